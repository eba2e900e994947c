"""One file over http(s), bounded in bytes, seconds, hosts and addresses.

The address is judged where it counts: of all that the name resolves to, only allowed ones are connected to, by
address, and the peer of the connection is judged again. A name that resolves twice cannot give two answers. Proxies
of the environment are not used: a proxy would choose the address for us.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import IO, Any

from fungible_kit.scratch_space.address import (
    Network,
    Target,
    address_allowed,
    host_allowed,
    redirected,
    target_of,
)
from fungible_kit.scratch_space.errors import FetchError, FetchRefused, FetchStopped
from fungible_kit.scratch_space.quantity import written

_CHUNK = 256 * 1024
_CONNECT = 10.0  # seconds for one address, of several
_MOVED = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Policy:
    """What a download may be. `timeout` is seconds for all of it; `hosts` None is any public host."""

    max_bytes: int
    timeout: float
    hosts: tuple[str, ...] | None = None
    networks: tuple[Network, ...] = ()
    redirects: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None


class Download:
    """A download that another thread may stop."""

    def __init__(self, policy: Policy, stop: Callable[[], bool] | None = None) -> None:
        self._policy = policy
        self._asked = stop
        self._stopped = threading.Event()
        self._late = False
        self._deadline = 0.0
        self._socket: socket.socket | None = None

    def stop(self) -> None:
        """End it soon, with `FetchStopped` in the thread that runs it."""
        self._stopped.set()
        self._shut()

    def run(self, url: str, begin: Callable[[int | None], IO[bytes]]) -> None:
        """Write the body of `url` to what `begin` returns, which gets the announced length, or None.

        Raises `FetchRefused`, `FetchStopped`, `FetchError`, and what `begin` and its file raise.
        """
        self._deadline = time.monotonic() + self._policy.timeout
        target = target_of(url)
        headers = dict(self._policy.headers)
        # A server may send a byte now and then for ever, and a resolver may hang: the clock is a thread of its own.
        clock = threading.Timer(self._policy.timeout, self._time_over)
        clock.daemon = True
        clock.start()
        try:
            for left in range(self._policy.redirects, -1, -1):
                location = self._judged(target, headers, begin)
                if location is None:
                    return
                onward = redirected(target, location)
                if left == 0:
                    raise FetchRefused(
                        f"{target.shown} redirects to {onward.shown}: "
                        + ("allow it with redirects=1" if not self._policy.redirects else "that is one too many"),
                        "redirect",
                    )
                if (onward.secure, onward.host, onward.port) != (target.secure, target.host, target.port):
                    headers = {}  # they were meant for the first host alone
                target = onward
        finally:
            clock.cancel()

    def _judged(
        self, target: Target, headers: Mapping[str, str], begin: Callable[[int | None], IO[bytes]]
    ) -> str | None:
        """One exchange, its failures in our words."""
        if self._policy.hosts is not None and not host_allowed(target.host, self._policy.hosts):
            raise FetchRefused(f"{target.host} is not one of the hosts that are allowed", "host")
        try:
            return self._exchange(target, headers, begin)
        except FetchError:
            self._check_stop()
            raise
        except _OfTheFile as error:
            raise error.why from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._check_stop()
            if self._over():
                raise FetchError(
                    f"{target.shown} did not come within {self._policy.timeout:g} seconds", "time", retry=True
                ) from None
            cause = _cause(error)
            raise FetchError(f"{target.shown} cannot be had: {cause}", "network", detail=cause, retry=True) from None

    def _exchange(
        self, target: Target, headers: Mapping[str, str], begin: Callable[[int | None], IO[bytes]]
    ) -> str | None:
        """Write the body; or return where the server sends us instead."""
        connected = self._connected(target)
        try:
            kind = http.client.HTTPSConnection if target.secure else http.client.HTTPConnection
            connection = kind(target.host, target.port)
            connection.sock = connected
            with closing(connection):
                return self._received(connection, target, headers, begin)
        finally:
            self._socket = None
            connected.close()

    def _connected(self, target: Target) -> socket.socket:
        allowed = [each for each in self._resolved(target) if address_allowed(each[1][0], self._policy.networks)]
        if not allowed:
            raise FetchRefused(
                f"{target.host} is not on the public internet: a network of your own is allowed with "
                'networks=["10.1.0.0/16"]',
                "address",
            )
        failure: Exception | None = None
        for family, place in allowed:
            plain = self._socket = socket.socket(family, socket.SOCK_STREAM)
            try:
                plain.settimeout(min(self._left(), _CONNECT))
                self._check_stop()
                plain.connect(place)
                # Judged on the connection itself, whatever led here.
                if not address_allowed(plain.getpeername()[0], self._policy.networks):
                    raise FetchRefused(f"{target.host} is not on the public internet", "address")
                plain.settimeout(self._left())
                return self._secured(plain, target) if target.secure else plain
            except (OSError, FetchError) as error:
                plain.close()
                if isinstance(error, FetchError | ssl.SSLError):
                    raise
                failure = error
        raise failure or OSError("no address")

    def _secured(self, plain: socket.socket, target: Target) -> socket.socket:
        context = self._policy.tls or ssl.create_default_context()
        wrapped = context.wrap_socket(plain, server_hostname=target.host, do_handshake_on_connect=False)
        self._socket = wrapped  # before the handshake: the clock must be able to shut it
        try:
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped

    def _resolved(self, target: Target) -> list[tuple[int, Any]]:
        """(family, socket address) of all that the host resolves to. The resolver has no time limit of its own."""
        answers: list[Any] = []

        def resolve() -> None:
            try:
                answers.append(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))
            except Exception as error:
                answers.append(error)

        thread = threading.Thread(target=resolve, daemon=True, name="fungible-resolve")
        thread.start()
        while thread.is_alive():
            thread.join(min(self._left(), 0.1))
            self._check_stop()
            if self._over():
                raise TimeoutError
        if isinstance(answers[0], Exception):
            raise answers[0]
        return [(family, place) for family, _, _, _, place in answers[0]]

    def _received(
        self,
        connection: http.client.HTTPConnection,
        target: Target,
        headers: Mapping[str, str],
        begin: Callable[[int | None], IO[bytes]],
    ) -> str | None:
        sent = {"User-Agent": "fungible-kit", "Accept-Encoding": "identity", "Connection": "close"} | dict(headers)
        connection.request("GET", target.path, headers=sent)
        response = connection.getresponse()
        if response.status in _MOVED and (location := response.getheader("Location")):
            return location
        if response.status != 200:
            again = response.status >= 500 or response.status in (408, 425, 429)
            raise FetchError(
                f"{target.shown} answered {response.status}", "status", retry=again, status=response.status
            )
        coding = response.getheader("Content-Encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise FetchRefused(
                f"{target.shown} sent {coding[:40]!r} although it was asked for the file as it is", "coding"
            )
        announced, received = response.length, 0
        if announced is not None and announced > self._policy.max_bytes:
            raise self._too_large(target, announced)
        file = _Sink(begin, announced)
        while received != announced and (chunk := response.read1(_CHUNK)):
            received += len(chunk)
            if received > self._policy.max_bytes:
                raise self._too_large(target, None)
            file.write(chunk)
            self._check_stop()
        if self._over():
            raise TimeoutError
        self._check_stop()
        if announced is not None and received < announced:
            raise http.client.IncompleteRead(b"")
        return None

    def _too_large(self, target: Target, announced: int | None) -> FetchRefused:
        size = f"{written(announced)} large: " if announced else ""
        return FetchRefused(
            f"{target.shown} is {size}more than the {written(self._policy.max_bytes)} that may be fetched", "size"
        )

    def _check_stop(self) -> None:
        if self._stopped.is_set() or (self._asked is not None and self._asked()):
            raise FetchStopped("the download was stopped", "stop")

    def _left(self) -> float:
        return max(0.01, self._deadline - time.monotonic())

    def _over(self) -> bool:
        return self._late or time.monotonic() >= self._deadline

    def _time_over(self) -> None:
        self._late = True
        self._shut()

    def _shut(self) -> None:
        held = self._socket
        if held is not None:
            with suppress(OSError):
                # The socket alone: SSLSocket.shutdown would pull its TLS state from under the thread that reads.
                socket.socket.shutdown(held, socket.SHUT_RDWR)


class _OfTheFile(Exception):
    """The file could not be written: no fault of the network, though an OSError as well."""

    def __init__(self, why: Exception) -> None:
        self.why = why


class _Sink:
    """The file, its errors told from those of the network."""

    def __init__(self, begin: Callable[[int | None], IO[bytes]], announced: int | None) -> None:
        try:
            self._file = begin(announced)
        except Exception as error:
            raise _OfTheFile(error) from None

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except Exception as error:
            raise _OfTheFile(error) from None


def _cause(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return "the TLS connection failed"
    if isinstance(error, socket.gaierror | UnicodeError):
        return "its name is not known"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, http.client.IncompleteRead | ConnectionError):
        return "the answer broke off"
    if isinstance(error, OSError):
        return (error.strerror or "no connection").lower()
    return f"the answer is no HTTP ({type(error).__name__})"
