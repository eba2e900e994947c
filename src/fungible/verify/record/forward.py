"""Which headers a proxy passes on: RFC 9110, 7.6.1."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

RawPairs: TypeAlias = list[tuple[bytes, bytes]]

_HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te")
)
_FRAMING: Final = frozenset((b"transfer-encoding", b"upgrade"))
_READABLE: Final = (b"gzip", b"x-gzip", b"deflate", b"identity")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)


def end_to_end(headers: RawPairs) -> RawPairs:
    """The headers that are meant for the other end: without hop-by-hop ones and those that Connection names.

    Transfer-Encoding and Upgrade are left out as well: whoever passes a message on frames it anew.
    """
    named = {
        each.strip().lower() for name, value in headers if name.lower() == b"connection" for each in value.split(b",")
    }
    # A Connection header cannot take away what the message needs to be understood.
    named -= {b"host", b"content-length", b"content-type", b"cookie", b"authorization"}
    return [
        (name, value)
        for name, value in headers
        if (lower := name.lower()) not in _HOP_BY_HOP and lower not in _FRAMING and lower not in named
    ]


def for_app(headers: RawPairs, *, upgrade: bytes | None) -> RawPairs:
    """The headers of a request on its way to the app, over a connection of its own.

    Answers must be readable here, so only codings that are offered are ones that can be undone. A request for
    WebSocket keeps its `upgrade`. No Via, Forwarded or Host is added or changed: the app must answer as it would
    without the proxy.
    """
    passed: RawPairs = []
    for name, value in end_to_end(headers):
        if name.lower() == b"accept-encoding":
            value = _readable(value)
        passed.append((name, value))
    if any(name.lower() == b"transfer-encoding" for name, _ in headers):
        passed = [pair for pair in passed if pair[0].lower() != b"content-length"]
        passed.append((b"Transfer-Encoding", b"chunked"))
    if upgrade is None:
        passed.append((b"Connection", b"close"))
    else:
        passed += [(b"Connection", b"Upgrade"), (b"Upgrade", upgrade)]
    return passed


def for_client(headers: RawPairs, *, upgrade: bytes | None = None) -> RawPairs:
    """The headers of an answer on its way back; `upgrade` where it opens a tunnel.

    Without a Content-Length the body is framed anew, by chunks or, for HTTP/1.0, by the connection's end.
    """
    passed = end_to_end(headers)
    if any(name.lower() == b"transfer-encoding" for name, _ in headers):
        passed = [pair for pair in passed if pair[0].lower() != b"content-length"]
    if upgrade is not None:
        passed += [(b"Connection", b"Upgrade"), (b"Upgrade", upgrade)]
    return passed


def _readable(accepted: bytes) -> bytes:
    kept = [each.strip() for each in accepted.split(b",") if each.partition(b";")[0].strip().lower() in _READABLE]
    return b", ".join(kept) or b"identity"


def websocket(headers: RawPairs) -> bytes | None:
    """The value of Upgrade where it asks for WebSocket (RFC 6455, 4.1), else None."""
    named = {name.lower(): value for name, value in headers}
    asked = named.get(b"upgrade", b"")
    wanted = any(each.strip().lower() == b"upgrade" for each in named.get(b"connection", b"").split(b","))
    return asked if wanted and asked.strip().lower() == b"websocket" else None


def origin_form(target: bytes) -> tuple[bytes, bytes | None]:
    """A request target without scheme and host, and the host where it had one (RFC 9112, 3.2.2)."""
    found = _ABSOLUTE.match(target)
    if found is None:
        return target, None
    rest = target[found.end() :]
    return (rest if rest.startswith(b"/") else b"/" + rest), found[1]
