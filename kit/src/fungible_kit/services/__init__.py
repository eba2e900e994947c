"""Backing services that an app names by URL: how they are opened, how long is waited, and when not to ask at all."""

VALKEY = ("valkey", "valkeys", "redis", "rediss", "unix")
POSTGRES = ("postgres", "postgresql")
SQLITE = ("sqlite",)
MEMCACHED = ("memcached",)
"""Schemes of URLs. Each service has a module of its own, which is loaded when it is first used."""
