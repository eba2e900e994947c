"""One file over http(s), bounded in size and time, into scratch, and gone when the block ends."""

import http.client
import ipaddress
import os
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import SplitResult, urljoin, urlsplit

from almanac import settings

_CHUNK = 64 * 1024
_REDIRECTS = 3


class DownloadError(Exception):
    """The file cannot be had; the message is for the user. `retry`: it may work later."""

    def __init__(self, message: str, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry


class StoppedError(Exception):
    """The worker was asked to stop in the middle."""


@contextmanager
def downloaded(url: str, stop: Callable[[], bool] = lambda: False) -> Iterator[Path]:
    """Yield the path of a private copy of the file at `url`; the copy is removed at the end of the block.

    Raises DownloadError, and StoppedError as soon as `stop` returns True.
    """
    handle, name = tempfile.mkstemp(prefix="almanac-", suffix=".csv", dir=settings.scratch())
    try:
        with os.fdopen(handle, "wb") as file:
            _fetch(url, file, stop)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def check_url(url: str) -> SplitResult:
    """Return the parts of an http(s) URL. Raises DownloadError for anything else."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url or "@" in parts.netloc:
        raise DownloadError("give the address of a CSV file that starts with http:// or https://")
    return parts


def _fetch(url: str, file: IO[bytes], stop: Callable[[], bool]) -> None:
    deadline = time.monotonic() + settings.MAX_SECONDS
    for _ in range(_REDIRECTS + 1):
        try:
            moved = _exchange(check_url(url), file, stop, deadline)
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() >= deadline:
                raise DownloadError(f"the file did not come within {settings.MAX_SECONDS:g} seconds") from None
            raise DownloadError(f"the server could not be reached ({_cause(error)})", retry=True) from None
        if moved is None:
            return
        url = urljoin(url, moved)
    raise DownloadError(f"the address leads on more than {_REDIRECTS} times")


def _exchange(parts: SplitResult, file: IO[bytes], stop: Callable[[], bool], deadline: float) -> str | None:
    """Write the body to `file`; or return where the server sends us instead."""
    host, secure = parts.hostname or "", parts.scheme == "https"
    timeout = max(0.1, min(5.0, deadline - time.monotonic()))
    sock = socket.create_connection((host, parts.port or (443 if secure else 80)), timeout)
    # A server may send a byte now and then for ever: the socket is shut when the time is over.
    guard = threading.Timer(max(0.0, deadline - time.monotonic()), _shut, [sock])
    guard.daemon = True
    guard.start()
    try:
        # The address is judged after connecting: a name that resolves twice cannot give two answers.
        peer = ipaddress.ip_address(sock.getpeername()[0].partition("%")[0])
        if not settings.PRIVATE_URLS and not peer.is_global:
            raise DownloadError("the address is not on the public internet")
        if secure:
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(host, parts.port)
        connection.sock = sock
        with closing(connection):
            moved = _receive(connection, parts, file, stop)
        if moved is None and time.monotonic() >= deadline:
            raise TimeoutError
        return moved
    finally:
        guard.cancel()
        sock.close()


def _receive(
    connection: http.client.HTTPConnection, parts: SplitResult, file: IO[bytes], stop: Callable[[], bool]
) -> str | None:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"User-Agent": "almanac", "Accept-Encoding": "identity", "Connection": "close"}
    connection.request("GET", target, headers=headers)
    response = connection.getresponse()
    if response.status in (301, 302, 303, 307, 308) and (location := response.getheader("Location")):
        return location
    if response.status != 200:
        raise DownloadError(f"the server answered {response.status}", retry=response.status >= 500)
    announced, received = response.length, 0
    if announced is not None and announced > settings.MAX_BYTES:
        raise _too_large()
    while chunk := response.read1(_CHUNK):
        received += len(chunk)
        if received > settings.MAX_BYTES:
            raise _too_large()
        file.write(chunk)
        if stop():
            raise StoppedError
        if received == announced:
            break
    if announced is not None and received < announced:
        raise http.client.IncompleteRead(b"")
    return None


def _too_large() -> DownloadError:
    return DownloadError(f"the file is larger than {settings.MAX_BYTES:,} bytes")


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _cause(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "no answer"
    return "the answer broke off"
