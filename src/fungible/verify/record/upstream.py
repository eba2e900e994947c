"""Where the app is: its address, and a connection to it."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from fungible.app.problem import Problem


@dataclass(frozen=True)
class Upstream:
    """A TCP address, or the path of a Unix socket. `tls` where it speaks TLS."""

    host: str = ""
    port: int = 0
    path: str | None = None
    tls: bool = False

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection. Raises OSError."""
        if self.path is not None:
            return await asyncio.open_unix_connection(self.path)
        return await asyncio.open_connection(self.host, self.port, ssl=_tls(self.host) if self.tls else None)


def upstream_of(address: str) -> Upstream:
    """`http://HOST:PORT`, `https://HOST`, `127.0.0.1:PORT` or `unix@PATH`. Raises Problem for anything else."""
    if address.startswith("unix@"):
        return Upstream(path=address.removeprefix("unix@"))
    url = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit("x:"), None, None
    if parts.scheme not in ("http", "https") or not host or parts.path not in ("", "/") or parts.query:
        raise Problem(f"--url {address}: write the address of the running app, as in http://127.0.0.1:5000")
    tls = parts.scheme == "https"
    return Upstream(host, port or (443 if tls else 80), tls=tls)


def _tls(host: str) -> ssl.SSLContext:
    """Certificates of this machine's own loopback are usually self-signed; others are checked."""
    context = ssl.create_default_context()
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if loopback:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
