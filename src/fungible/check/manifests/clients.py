"""What tells one client from another: where requests are placed by it, a client returns to its process.

Placement by what is asked for (`$request_uri`, a host, a shard's name) is locality of a cache, and no affinity: two
clients that ask for the same meet, and one client is served by all.
"""

from __future__ import annotations

import re

from fungible.check.finding import Level

_ADDRESS = (
    r"remote_addr|realip_remote_addr|proxy_protocol_addr|x_forwarded_for|x_real_ip|true_client_ip|cf_connecting_ip"
)
_CLIENT = re.compile(rf"(?i)(?:^|_)(?:{_ADDRESS}|remote_user|http_cookie|ssl_session_id|ssl_client_\w+)$|^cookie_")
_LIKELY = re.compile(
    r"(?i)session|(?:^|_)(?:sid|jsessionid|phpsessid|user|user_?id|uid|client_?id|token|auth\w*)(?:$|_)"
)
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_EVERY_CONNECTION = frozenset({"remote_port", "request_id", "connection", "connection_requests", "msec"})
_HEADERS = re.compile(
    r"(?i)^(?:cookie|authorization|x-forwarded-for|x-real-ip|true-client-ip|cf-connecting-ip|forwarded"
    r"|.*(?:session|user|client)[-_]?(?:id)?)$"
)


def variable(name: str) -> Level | None:
    """How sure it is that this variable of nginx tells clients apart; None: it does not."""
    plain = name.removeprefix("binary_")
    if _CLIENT.search(plain):
        return Level.CERTAIN
    return Level.LIKELY if plain.startswith(("arg_", "http_", "jwt_")) and _LIKELY.search(plain) else None


def key(text: str) -> Level | None:
    """The same for a key made of variables (`$remote_addr`, `${cookie_sid}$uri`)."""
    names = _VARIABLE.findall(text)
    if _EVERY_CONNECTION & set(names):
        return None
    return max((level for each in names if (level := variable(each))), default=None)


def header(name: str) -> Level | None:
    """The same for a request header."""
    return Level.LIKELY if _HEADERS.match(name.strip("\"' ")) else None
