"""The sockets that outlive an HAProxy: the public port, and the one of its runtime API."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from fungible.app.problem import Exit, Problem

_BACKLOG = 1024


def listen(host: str, port: int, option: str = "") -> socket.socket:
    """A listening TCP socket at `host` (a name or an address) and `port` (0: a free one). Messages name the options
    `--host` and `--port`, with `option` before the word (`metrics-`).

    It is held here and inherited by HAProxy, so that what a client sends while HAProxy is replaced waits in
    its queue instead of being refused. Raises `Problem` for a host that is none and a port that is not free.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, OverflowError, UnicodeError):
        raise Problem(f"--{option}host {host}: no such host; write an address of this machine") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        code = error.errno if isinstance(error, OSError) else None
        if code == errno.EADDRINUSE:
            text = f"port {port} of {host} is in use; stop what listens there, or choose another with --{option}port"
            raise Problem(text, Exit.NOT_ALLOWED) from None
        if code == errno.EACCES:
            text = f"port {port} is not allowed to this user; choose one from 1024 with --{option}port"
            raise Problem(text, Exit.NOT_ALLOWED) from None
        if code == errno.EADDRNOTAVAIL:
            raise Problem(f"--{option}host {host}: not an address of this machine", Exit.NOT_ALLOWED) from None
        raise Problem(f"cannot listen on {host}:{port}: {error}", Exit.NOT_ALLOWED) from None
    return listener


def listen_at_path(path: Path) -> socket.socket:
    """A listening Unix socket at `path`, mode 0600; replaces a stale one. Raises `Problem` if it is too long."""
    if len(os.fsencode(path)) > 107:
        raise Problem(f"{path}: too long for a socket (107 bytes); set XDG_RUNTIME_DIR to a shorter folder")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Between bind and chmod the folder's 0700 protects it.
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(_BACKLOG)
    return listener


def url_of(listener: socket.socket, scheme: str) -> str:
    """The URL under which this machine reaches `listener`."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
