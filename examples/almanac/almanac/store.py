"""The connection to Valkey: counters that expire by themselves."""

import valkey

from almanac import settings

client = valkey.Valkey.from_url(
    settings.VALKEY_URL, decode_responses=True, socket_timeout=3, socket_connect_timeout=3
)
