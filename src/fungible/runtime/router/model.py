"""What the router is told: its settings, and the processes it may choose."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class RouterSettings:
    """Limits of the router; times in seconds, sizes in bytes.

    `queue_timeout`: longest wait for a process below its `max_in_flight`. `request_timeout`: longest silence of
    a process that was given a request, before its answer or within it. `stream_timeout`: the same for
    WebSockets and server-sent events. `connect_timeout`: to establish a connection to a process.
    `header_timeout`: to receive a complete request header. `client_timeout`: longest silence of a client within
    a request body or while it takes an answer. `keep_alive_timeout`: how long an idle client connection is
    kept. `max_body` holds for bodies whose length is announced; chunked ones are not bounded. `certificate`:
    path of a PEM file with certificate and key; then the URL is https.
    """

    queue_timeout: float = 10.0
    request_timeout: float = 60.0
    max_body: int = 1024 * MIB
    certificate: str | None = None
    connect_timeout: float = 2.0
    header_timeout: float = 10.0
    client_timeout: float = 60.0
    keep_alive_timeout: float = 60.0
    stream_timeout: float = 3600.0
    max_connections: int = 10_000


@dataclass(frozen=True)
class Upstream:
    """A ready process: its `name` (`web.1`), the `instance` id of this start, and where it listens.

    `address` is `127.0.0.1:20001`, `[::1]:20001` or `unix@/path`; `max_in_flight` bounds the requests that it is
    given at once (0: unlimited), more wait in the router; open WebSockets and event streams count for it.
    """

    name: str
    instance: str
    release: str
    address: str
    max_in_flight: int = 0
