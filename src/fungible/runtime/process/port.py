"""Ports for processes: below the ephemeral range, locked among supervisors, reused last."""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from pathlib import Path

from fungible.app.problem import Exit, Problem

LOWEST = 20000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def ephemeral_start() -> int:
    """The first port that the kernel gives to outgoing connections (ip(7)), 32768 where it does not say."""
    try:
        return int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32768


class Ports:
    """Allots ports of `host`; each is locked from when it is taken, as its process listens there only later.

    The lock is the name of an abstract Unix socket (unix(7)): seen by whoever has these ports, of whatever user and
    with whatever folders, and gone with who holds it.
    """

    def __init__(self, host: str = "127.0.0.1", start: int | None = None) -> None:
        highest = max(LOWEST + 100, ephemeral_start())
        # Supervisors that start one after the other begin far apart.
        offset = (os.getpid() * 7919 if start is None else start) % (highest - LOWEST)
        self._host = host
        self._queue: deque[int] = deque([*range(LOWEST + offset, highest), *range(LOWEST, LOWEST + offset)])
        self._locks: dict[int, socket.socket] = {}

    def take(self) -> int:
        """A port that nobody listens on. Raises Problem when there is none."""
        for _ in range(len(self._queue)):
            port = self._queue.popleft()
            if self._lock(port):
                if self._free(port):
                    return port
                self._unlock(port)
            self._queue.append(port)
        raise Problem(f"no free port on {self._host} from {LOWEST} up: end what listens there", Exit.NOT_ALLOWED)

    def close(self) -> None:
        """Give back all of them."""
        for port in tuple(self._locks):
            self.give_back(port)

    def give_back(self, port: int) -> None:
        """The port may be used again, after all others."""
        if port in self._locks:
            self._unlock(port)
            self._queue.append(port)

    def _lock(self, port: int) -> bool:
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            lock.bind(f"\0fungible-port-{port}")
        except OSError as error:
            lock.close()
            if error.errno == errno.EADDRINUSE:
                return False
            raise
        self._locks[port] = lock
        return True

    def _unlock(self, port: int) -> None:
        self._locks.pop(port).close()

    def _free(self, port: int) -> bool:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((self._host, port))
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    return False
                raise
        return True
