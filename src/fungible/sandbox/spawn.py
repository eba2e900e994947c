"""The supervisor's side of a sandboxed process: order a launcher, hear what it says, pass signals on."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional

from . import zygote
from .launch import wipe
from .spec import Spec

_HERE = os.path.dirname(os.path.abspath(__file__))
_SO_PASSCRED = getattr(socket, "SO_PASSCRED", None)


@dataclass(frozen=True)
class Message:
    """What the launcher tells.

    `kind` is `started` (pid: the host's pid of the command), `database` (path: an SQLite file written in the app's
    folder), `outbound` (to, port, allowed, loopback, program: where it connects to, each told once), `exited`
    (status: exit code, or minus the signal's number), `wrote` (paths, count), `failed` (stage, error, path: the
    sandbox could not be made), `empty` (nothing of the group is left) or `gone` (the launcher has ended and the
    private folder is wiped; always the last one, told exactly once).
    """

    kind: str
    data: dict[str, Any]


class Child:
    """A sandboxed process as its supervisor sees it. Made by `spawn`."""

    def __init__(self, control: socket.socket, spec: Spec) -> None:
        self.pid: Optional[int] = None
        self.status: Optional[int] = None
        self._control = control
        self._spec = spec
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unread = b""

    def signal(self, number: int) -> None:
        """Send a signal to the command's group; KILL reaches everything that descends from it."""
        with contextlib.suppress(OSError):
            self._control.sendall(json.dumps({"signal": int(number)}).encode() + b"\n")

    def kill(self) -> None:
        """KILL the group, by way of the launcher."""
        self.signal(signal.SIGKILL)

    def _hear(self, tell: Callable[[Message], None]) -> None:
        try:
            data, ancillary, _, _ = self._control.recvmsg(65536, socket.CMSG_SPACE(12))
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        if not data:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            asyncio.ensure_future(self._end(tell))  # noqa: RUF006 - `gone` keeps it reachable
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            said = json.loads(line.decode("utf-8", "surrogateescape"))
            kind = said.pop("kind")
            if kind == "started":
                self.pid = said["pid"] = _sender(ancillary) or said["pid"]
            elif kind == "exited":
                self.status = said["status"]
            tell(Message(kind, said))

    async def _end(self, tell: Callable[[Message], None]) -> None:
        """Nobody has the other end of the control socket: launcher and init have ended."""
        loop = asyncio.get_running_loop()
        self._control.close()
        if self._spec.wipe and os.path.isdir(self._spec.private):  # the launcher itself was killed
            await loop.run_in_executor(None, wipe, self._spec.private)
        tell(Message("gone", {}))
        if not self.gone.done():
            self.gone.set_result(None)


def _sender(ancillary: list[tuple[int, int, bytes]]) -> Optional[int]:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == getattr(socket, "SCM_CREDENTIALS", None):
            return int(struct.unpack("3i", data[:12])[0])
    return None


def spawn(
    spec: Spec,
    tell: Callable[[Message], None],
    *,
    stdin: Optional[int] = None,
    stdout: Optional[int] = None,
    stderr: Optional[int] = None,
) -> Child:
    """Start `spec` under a launcher; `tell` hears every Message, in the loop's thread.

    `stdin`, `stdout` and `stderr` are descriptors that the command gets (None: ours). To be called in the main
    thread with a running event loop. Raises OSError where not even a launcher can be ordered.
    """
    ours, theirs = socket.socketpair()
    if _SO_PASSCRED is not None:
        ours.setsockopt(socket.SOL_SOCKET, _SO_PASSCRED, 1)
    ours.setblocking(False)
    try:
        with theirs, tempfile.TemporaryFile() as file, open(os.devnull, "r+b") as nothing:
            file.write(spec.to_json())
            file.flush()
            file.seek(0)
            standard = [
                given if given is not None else number if _is_standard(number) else nothing.fileno()
                for number, given in enumerate((stdin, stdout, stderr))
            ]
            _order(zygote.order_for(spec), [file.fileno(), theirs.fileno(), *standard])
    except BaseException:
        ours.close()
        raise
    child = Child(ours, spec)
    asyncio.get_running_loop().add_reader(ours.fileno(), child._hear, tell)
    return child


def _is_standard(descriptor: int) -> bool:
    """Whether it is what we were started with: where that was nothing, the number is free for files of our own."""
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


class _Zygote:
    """Our side of the process in zygote.py; that ends with our end of its socket, so at the latest with us."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", os.path.join(_HERE, "__main__.py"), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if _is_standard(2) else subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            )

    def order(self, order: bytes, descriptors: list[int]) -> None:
        """Have a launcher forked. Raises BrokenPipeError or ConnectionResetError where it has ended, or OSError."""
        socket.send_fds(self._orders, [order], descriptors)

    def close(self) -> None:
        """Let it end, and wait for that."""
        self._orders.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)


_zygote: Optional[_Zygote] = None


def _order(order: bytes, descriptors: list[int]) -> None:
    """Have a launcher forked: by the zygote that there is, or by a new one if there is none or it has ended."""
    global _zygote
    if _zygote is not None:
        try:
            _zygote.order(order, descriptors)
        except (BrokenPipeError, ConnectionResetError):
            _zygote.close()
        else:
            return
    _zygote = _Zygote()
    _zygote.order(order, descriptors)


@atexit.register
def end_zygote() -> None:
    """Let the zygote end, if there is one; the next `spawn` starts another. What it forked lives on."""
    global _zygote
    if _zygote is not None:
        _zygote.close()
        _zygote = None
