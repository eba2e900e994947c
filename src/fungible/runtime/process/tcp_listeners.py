"""Which TCP ports are listened at: asked of the kernel by netlink, else read from /proc.

The files in /proc list every connection there is, those closed in the last minute above all: to read thousands of
lines for one port takes longer than everything else that is done while a process boots.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

# sock_diag(7), netlink(7); linux/inet_diag.h: a message has the port at 4 and the inode at 68.
_SOCK_DIAG = 4
_BY_FAMILY = 20
_REQUEST_AND_DUMP = 0x301
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_QUESTION = struct.Struct("=BBBxI48x")
_PORT = struct.Struct("!H")
_INODE = struct.Struct("=I")
_LISTEN = 10  # linux/tcp.h, TCP_LISTEN; the same in proc(5), in hexadecimal
_PATIENCE = 1.0  # seconds


def tcp_listeners() -> list[tuple[int, str]]:
    """Port and inode of every TCP socket that listens, of any address."""
    try:
        return [*_asked(socket.AF_INET), *_asked(socket.AF_INET6)]
    except OSError:  # a kernel without it, or a filter against it
        return [*_read("/proc/net/tcp"), *_read("/proc/net/tcp6")]


def _asked(family: int) -> Iterator[tuple[int, str]]:
    question = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 1 << _LISTEN)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.settimeout(_PATIENCE)
        kernel.send(_HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, _REQUEST_AND_DUMP, 0, 0) + question)
        while True:
            messages = kernel.recv(65536)
            at = 0
            while at < len(messages):
                length, kind, _, _, _ = _HEADER.unpack_from(messages, at)
                body = at + _HEADER.size
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    raise OSError(-struct.unpack_from("=i", messages, body)[0], "sock_diag")
                port, inode = _PORT.unpack_from(messages, body + 4)[0], _INODE.unpack_from(messages, body + 68)[0]
                yield port, str(inode)
                at += (length + 3) & ~3


def _read(table: str) -> Iterator[tuple[int, str]]:
    """Those that listen come first (Documentation/networking/proc_net_tcp.rst of the kernel)."""
    with contextlib.suppress(OSError), open(table) as lines:
        next(lines, None)
        for line in lines:
            fields = line.split()
            if len(fields) < 10 or int(fields[3], 16) != _LISTEN:
                break
            yield int(fields[1].rsplit(":", 1)[1], 16), fields[9]
