"""HAProxy kept alive: started with what is wished, asked over its runtime API, replaced when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fungible.app.problem import Exit, Problem
from fungible.runtime.events import Event
from fungible.runtime.router import admin, process
from fungible.runtime.router.access_log import LogPipe
from fungible.runtime.router.binary import Binary
from fungible.runtime.router.configuration import Descriptors
from fungible.runtime.router.listener import listen, listen_at_path

_BOOT = 10.0
_STEADY = 10.0  # one that lived this long (seconds) is replaced without a pause when it dies
_SOCKET = "router.sock"
_CONFIG = "router.cfg"


class Haproxy:
    """One HAProxy after the other, on the same sockets.

    The public socket, the one of the runtime API and the pipe of the log are held here and inherited: while
    HAProxy is replaced, connections wait in the kernel's queue. `configure` is called for each start, under
    `lock`, and returns the configuration as wished at that time; whoever changes what is wished holds `lock`.
    `take` gets the lines of the log; `publish` gets `router.died` and `router.restarted`.
    """

    def __init__(
        self,
        binary: Binary,
        folder: Path,
        *,
        configure: Callable[[Descriptors], str],
        take: Callable[[Sequence[bytes]], None],
        publish: Callable[[Event], None],
        spawn: process.Spawn = process.spawn,
    ) -> None:
        self.binary = binary
        self.lock = asyncio.Lock()
        self._folder = folder
        self._configure = configure
        self._take = take
        self._publish = publish
        self._spawn = spawn
        self._up = asyncio.Event()
        self._stopping = False
        self._held = contextlib.ExitStack()
        self._listener: socket.socket | None = None
        self._runtime: socket.socket | None = None
        self._given: Descriptors | None = None
        self._running: process.Watched | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> socket.socket:
        """Listen and start; returns the listening socket. Raises `Problem` where one of the two is refused."""
        self._listener = self._held.enter_context(contextlib.closing(listen(host, port)))
        runtime = self._held.enter_context(contextlib.closing(listen_at_path(self._folder / _SOCKET)))
        self._runtime = runtime
        log = self._held.enter_context(contextlib.closing(LogPipe(self._take)))
        log.open()
        ipv6, port = self._listener.family == socket.AF_INET6, self._listener.getsockname()[1]
        self._given = Descriptors(self._listener.fileno(), runtime.fileno(), log.write_end, port, ipv6)
        await self._boot(self._given)
        self._watch = asyncio.create_task(self._keep_alive(self._given), name="router")
        return self._listener

    @property
    def pid(self) -> int | None:
        """The process id of the one that runs now."""
        return self._running.pid if self._running and not self._running.ended.is_set() else None

    async def tell(self, *commands: str) -> str | None:
        """What the one that runs answers to `commands`; None where it died, as its successor is configured anew."""
        running = self._running
        if running is None or not self._up.is_set():
            return None
        # Whoever asks may hold the lock that its successor waits for: so not longer than it lives.
        asked = asyncio.create_task(admin.ask(str(self._folder / _SOCKET), *commands))
        ended = asyncio.create_task(running.ended.wait())
        try:
            await asyncio.wait((asked, ended), return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                with contextlib.suppress(admin.GoneError):
                    return asked.result()
        finally:
            await _cancelled(asked, ended)
        if running is self._running:
            self._up.clear()
            running.signal(signal.SIGKILL)  # one that hangs is replaced as well
        return None

    async def serving(self) -> None:
        """Wait until one serves (or all is stopped)."""
        while not self._stopping and not self._up.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._up.wait()

    async def release(self) -> None:
        """Replace nothing any more and let go of the public port; what is under way goes on."""
        self._stopping = True
        if self._watch:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._listener:
            self._listener.close()

    async def stop(self) -> None:
        """End what runs, close what is held, delete the files."""
        await self.release()
        if self._running:
            await self._running.stop(2.0)
        self._held.close()
        for name in (_SOCKET, _CONFIG):
            (self._folder / name).unlink(missing_ok=True)

    async def _boot(self, given: Descriptors) -> None:
        """Start one that is configured as wished; returns when it serves."""
        self._forget_questions()
        write_private(self._folder / _CONFIG, self._configure(given))
        environment = {"PATH": os.environ.get("PATH", os.defpath), **self.binary.environment}
        command = [self.binary.path, "-db", "-C", str(self._folder), "-f", _CONFIG]
        self._running = running = process.Watched(
            self._spawn(command, environment, (given.listen, given.admin, given.log))
        )
        # The socket is bound already: the question waits in its queue until HAProxy takes it.
        asked = asyncio.create_task(admin.ask(str(self._folder / _SOCKET), "show version", timeout=_BOOT))
        ended = asyncio.create_task(running.ended.wait())
        try:
            await asyncio.wait((asked, ended), return_when=asyncio.FIRST_COMPLETED)
            if running.ended.is_set() or asked.exception():
                await running.stop(0)
                raise Problem(f"the router did not start: {alerts(running)}", Exit.NOT_ALLOWED)
        finally:
            await _cancelled(asked, ended)
        self._up.set()

    def _forget_questions(self) -> None:
        """What waits for the one that died is not for its successor, which is configured anew."""
        if self._runtime is not None:
            waiting = select.poll()
            waiting.register(self._runtime, select.POLLIN)
            while waiting.poll(0):
                self._runtime.accept()[0].close()

    async def _keep_alive(self, given: Descriptors) -> None:
        """Replace each one that dies: at once, and with growing pauses if its successors die young too."""
        deaths = 0
        while self._running:
            running, born = self._running, time.monotonic()
            await running.ended.wait()
            self._up.clear()
            died = time.monotonic()
            deaths = deaths + 1 if died - born < _STEADY else 1
            data = {"pid": running.pid, "exit_code": running.exit_code, "said": alerts(running)}
            self._publish(Event("router.died", data=data))
            while not self._up.is_set():
                await asyncio.sleep(0 if deaths == 1 else min(5.0, 0.05 * 2 ** min(deaths, 10)))
                try:
                    async with self.lock:
                        await self._boot(given)
                except (Problem, OSError) as error:
                    deaths += 1
                    data = {"pid": None, "exit_code": None, "said": str(error)}
                    self._publish(Event("router.died", data=data))
            after = round((time.monotonic() - died) * 1000)
            self._publish(Event("router.restarted", data={"pid": self.pid, "after_ms": after}))


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def alerts(running: process.Watched) -> str:
    """What HAProxy complained of last, in one line."""
    said = [line.partition(" : ")[2] or line for line in running.said if "[ALERT]" in line]
    return "; ".join(said[:2]) or f"exit code {running.exit_code}"


def write_private(path: Path, text: str) -> None:
    """Replace the file at `path`, mode 0600."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
