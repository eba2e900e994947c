"""Who may ask a TCP port of this machine: rules against pages of other sites, which a browser lets reach it."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Mapping

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?")
NOT_THIS_MACHINE = "this port answers to localhost, 127.0.0.1 and [::1] only"
_SAME = frozenset({"same-origin", "none"})


def is_loopback(host: str) -> bool:
    """Whether `host` is `localhost` or a loopback address."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def names_this_machine(host: str) -> bool:
    """Whether the header `Host` is one under which only this machine is reached, with any port: a page that had its
    own name point to 127.0.0.1 (DNS rebinding) still sends that name."""
    match = _HOST.fullmatch(host)
    return match is not None and is_loopback(match[1])


def refusal(headers: Mapping[str, str], token: str) -> tuple[int, str] | None:
    """Status and sentence with which a request with these `headers` (names in small letters) is refused; None where
    it may be answered.

    It must name this machine (`Host`), where a browser says from which page it comes this must be our own (`Origin`,
    RFC 6454; `Sec-Fetch-Site`, W3C Fetch Metadata), and it must carry `token` (`Authorization: Bearer`, RFC 6750). No
    cookie is looked at: a browser sends those to every port of a host, the app's own among them.
    """
    host = headers.get("host", "")
    if not names_this_machine(host):
        return 403, NOT_THIS_MACHINE
    own = headers.get("origin", f"http://{host}").lower() == f"http://{host}".lower()
    if not own or headers.get("sec-fetch-site", "same-origin") not in _SAME:
        return 403, "a page of another site may not ask this"
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
        return 401, "this needs the token of the address that `fungible dashboard` printed"
    return None
