"""A slot that was forked from an import."""

from __future__ import annotations

import array
import asyncio
import json
import os
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fungible.runtime.process.listeners import group_of, threads_of
from fungible.sandbox.layer import OverlayLayer
from fungible.verify.world.fork.output import Output
from fungible.verify.world.slot import Ended

_MESSAGE_AT_MOST = 65536


class ForkSlot:
    """A process that serves at `address`; it is the first of a PID namespace, so nothing of it outlives it. `gone`
    is done when it has ended, what it wrote is listed and its folder is out of the way (`drop`)."""

    def __init__(
        self, path: Path, stop_timeout: float, send: Callable[[int], None], drop: Callable[[], None]
    ) -> None:
        self._one_request = False
        self.address = f"unix@{path}"
        self.pid = 0
        self.output = Output()
        self._path = path
        self._drop = drop
        self._stop_timeout = stop_timeout
        self._send = send
        self._layer: int | None = None
        self._shared: frozenset[str] = frozenset()
        loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[int | None] = loop.create_future()
        self.gone: asyncio.Task[Ended] = asyncio.ensure_future(self._clean_up())

    def ended(self, status: int | None) -> None:
        """The fork server's word: it has exited."""
        if not self._exited.done():
            self._exited.set_result(status)

    def servers(self) -> int:
        """One: the process serves by itself."""
        return 1

    def serving(self) -> frozenset[int]:
        """The one process."""
        return frozenset({self.pid})

    def one_at_a_time(self) -> bool:
        """See `Slot.one_at_a_time`: the WSGI server has one thread; the app may have more."""
        return self._one_request and group_of(self.pid).pids == (self.pid,) and threads_of(self.pid) == 1

    async def end(self, number: int) -> Ended:
        """Send signal `number`; KILL follows after the stop time. Returns when nothing is left of the slot."""
        if not self._exited.done():
            self._send(number)
        if number != signal.SIGKILL:
            done, _ = await asyncio.wait({self.gone}, timeout=self._stop_timeout)
            if not done:
                self._send(signal.SIGKILL)
        return await asyncio.shield(self.gone)

    async def listens(self, channel: socket.socket, timeout: float) -> str | None:
        """Wait until the process serves, `timeout` seconds at most; else one sentence why not, and it is gone."""
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        channel.setblocking(False)
        told = asyncio.ensure_future(self._hear(channel))
        try:
            either: set[asyncio.Future[Any]] = {told, self._exited}
            await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if not told.done() and self._exited.done():
                await asyncio.wait({told}, timeout=1.0)  # what it said before it ended
            message = told.result() if told.done() else None
        finally:
            told.cancel()
            await asyncio.wait({told})  # it reads no more: whoever has the descriptor next is heard
            channel.close()
            if not told.done() or told.cancelled() or not told.result():
                await self.end(signal.SIGKILL)
        if message is None:
            return f"it did not listen in {timeout:g} s"
        if message.get("kind") == "ready":
            self._shared = frozenset(message["shared"])
            self._one_request = message["app"] == "wsgi"
            return None
        status = (await self.end(signal.SIGKILL)).status
        if not message:
            return f"it ended with {status} before it listened"
        where = f" ({message['path']})" if message["path"] else ""
        return f"it could not {message['stage']}: {message['error']}{where}"

    async def _hear(self, channel: socket.socket) -> dict[str, Any]:
        """The one message on `channel`, with the sender's pid and its layer; empty where it only ended."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(channel.fileno(), readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(channel.fileno())
        space = socket.CMSG_SPACE(4) + socket.CMSG_SPACE(12)
        data, ancillary, _, _ = channel.recvmsg(_MESSAGE_AT_MOST, space, socket.MSG_CMSG_CLOEXEC)
        for level, kind, sent in ancillary:
            if level != socket.SOL_SOCKET:
                continue
            if kind == socket.SCM_RIGHTS:
                self._layer = array.array("i", sent[:4])[0]
            elif kind == socket.SCM_CREDENTIALS:
                self.pid = struct.unpack("3i", sent[:12])[0]
        return dict(json.loads(data)) if data else {}

    async def _clean_up(self) -> Ended:
        status = await asyncio.shield(self._exited)
        self.output.close()  # everything that could write to it has ended with the namespace
        loop = asyncio.get_running_loop()
        wrote = await loop.run_in_executor(None, self._list_and_drop)
        return Ended(status, wrote, self.output.text())

    def _list_and_drop(self) -> tuple[str, ...]:
        wrote: tuple[str, ...] = ()
        if self._layer is not None:
            wrote = tuple(OverlayLayer(self._layer, self._shared).written())
            os.close(self._layer)
        self._drop()
        self._path.unlink(missing_ok=True)
        return wrote
