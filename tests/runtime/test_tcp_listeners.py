"""Who listens, as the kernel tells it in two ways."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fungible.runtime.process import tcp_listeners
from fungible.runtime.process.listeners import is_listening

MANY = 200  # more than one message of the kernel, and more than a page of /proc, can hold


@pytest.fixture
def listening() -> Iterator[set[tuple[int, str]]]:
    """Listeners of both families, their ports and inodes. One has a connection that we have closed."""
    with ExitStack() as stack:
        found = set()
        for number in range(MANY):
            one = stack.enter_context(socket.socket(socket.AF_INET6 if number % 2 else socket.AF_INET))
            one.bind(("::1" if number % 2 else "127.0.0.1", 0))
            one.listen()
            found.add((one.getsockname()[1], str(os.fstat(one.fileno()).st_ino)))
            if number == 0:
                stack.enter_context(socket.create_connection(one.getsockname())).shutdown(socket.SHUT_WR)
        yield found


def refused(*_: Any) -> socket.socket:
    raise OSError(errno.EPERM, "refused")


@pytest.mark.parametrize("way", ["netlink", "proc"])
def test_all_that_listen_are_told_and_no_other(
    listening: set[tuple[int, str]], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "proc":
        monkeypatch.setattr(socket, "socket", refused)
    else:
        monkeypatch.setattr(tcp_listeners, "_read", refused)
    told = tcp_listeners.tcp_listeners()
    assert listening <= set(told)
    assert not {port for port, inode in told if inode == "0"}, "those that are closed have no inode"


def test_a_port_is_listened_at_from_listen_to_close() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        assert not is_listening(os.getpid(), port)
        one.listen()
        assert is_listening(os.getpid(), port)
    assert not is_listening(os.getpid(), port)
