"""An embedded server: its folder, port, process, readiness and end; the kinds say only what differs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.services import place
from fungible.services.spawn import Child, Spawn, spawn_process
from fungible.services.store import Store

_ATTEMPTS = 4  # at a port that another process took between our look and the server's bind
_MOST_SAID = 300  # characters


@dataclass(frozen=True)
class End:
    """How a server ended unasked: its pid, its exit code or minus the signal, and its last lines (none: empty)."""

    pid: int
    status: int
    said: str


class EmbeddedServer(Store):
    """A server of our own on loopback, with its data in `folder` (mode 0700).

    `durable` False is for the stores of worlds: nothing is forced to disk, and `stop` deletes the folder.
    """

    boot_seconds = 30.0
    recovery_seconds = 300.0
    """One that starts again may have its data to mend first: ended too soon, it would begin that anew."""
    lock_seconds = 5.0
    stop_seconds = 15.0
    stop_signal = signal.SIGTERM

    def __init__(self, name: str, folder: Path, *, spawn: Spawn | None = None, durable: bool = True) -> None:
        self.name = name
        self.folder = folder
        self.durable = durable
        self._spawn: Spawn = spawn if spawn is not None else spawn_process
        self._child: Child | None = None
        self._port: int | None = None

    @property
    def port(self) -> int:
        """The loopback port; raises RuntimeError before `start`."""
        if self._port is None:
            raise RuntimeError(f"{self.name} has no port before it is started")
        return self._port

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._child.pid if self._child is not None else None

    @property
    def sockets(self) -> Path:
        """The private folder of its Unix socket: `folder`, or one with a shorter path."""
        return place.socket_folder(self.folder)

    @property
    def log(self) -> Path:
        """Where the server's own words go; begun anew at each start."""
        return self.folder / "server.log"

    @abstractmethod
    async def command(self, port: int) -> Sequence[str]:
        """Prepare the folder and say what to execute, listening on loopback `port`."""

    @abstractmethod
    async def answers(self) -> bool:
        """Whether the server answers a request of ours now."""

    async def opened(self) -> None:
        """What is left to do once it answers for the first time since its start."""

    @abstractmethod
    def brought_back(self) -> str:
        """What of its content is there again after `start_again`, as the end of a sentence."""

    def environment(self) -> Mapping[str, str]:
        """The server's whole environment: nothing of the user's."""
        return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}

    def user(self) -> tuple[int, int] | None:
        """The uid and gid to run as; None is ours."""
        return None

    def descriptors(self) -> tuple[int, ...]:
        """Descriptors that the server inherits, beside the lock."""
        return ()

    async def start(self) -> None:
        if self._child is not None:
            return
        place.private_folder(self.folder)
        held = await place.lock(self.folder, self.name, self.lock_seconds)
        await self._boot_with(held, self._boot)

    async def ended(self) -> End:
        """Wait until the server ends, though nobody stopped it; raises RuntimeError before `start`."""
        if self._child is None:
            raise RuntimeError(f"{self.name} does not run")
        status = await self._child.wait()
        return End(self._child.pid, status, " | ".join(_lines(self.log)[-2:])[:_MOST_SAID])

    async def start_again(self) -> None:
        """Start the server that ended once more, at the address and with the data that it had.

        What it left behind, such as a process that writes its data, gets `lock_seconds` to end. Raises `Problem` or
        OSError where it does not start; may then be tried again.
        """
        self._child = None
        place.private_folder(self.folder)
        try:
            held = await place.lock(self.folder, self.name, self.lock_seconds)
        except Problem:
            place.end_holders(self.folder)
            held = await place.lock(self.folder, self.name, self.lock_seconds)
        except BaseException:  # nobody will look after it any more
            place.end_holders(self.folder)
            raise
        await self._boot_with(held, self._boot_again)

    async def stop(self) -> None:
        await self._end()
        with contextlib.suppress(OSError, Problem):
            place.remove_socket_folder(self.folder)
        if not self.durable:
            await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    async def ask_to_stop(self) -> None:
        """Begin an orderly end. The default is the stop signal."""
        if self._child is not None:
            self._child.signal(self.stop_signal)

    async def _boot_with(self, held: int, boot: Callable[[int], Awaitable[None]]) -> None:
        try:
            await boot(held)
        except BaseException:
            await self._end()
            raise
        finally:
            os.close(held)  # from here on, the server alone holds it

    async def _boot(self, held: int) -> None:
        kept = self.folder / "port"
        preferred: int | None = None
        with contextlib.suppress(OSError, ValueError):
            preferred = int(kept.read_text())
        taken: set[int] = set()
        for attempt in range(_ATTEMPTS):
            self._port = place.free_port(preferred, taken)
            taken.add(self._port)
            said = await self._boot_at(self._port, held, self.boot_seconds)
            if said is None:
                place.write_private(kept, f"{self._port}\n")
                await self.opened()
                return
            if "in use" not in said.lower() or attempt == _ATTEMPTS - 1:
                raise Problem(self._failure(said), Exit.NOT_ALLOWED)

    async def _boot_again(self, held: int) -> None:
        said = await self._boot_at(self.port, held, self.recovery_seconds)
        if said is not None:
            raise Problem(self._failure(said), Exit.NOT_ALLOWED)
        await self.opened()

    async def _boot_at(self, port: int, held: int, seconds: float) -> str | None:
        """Run it; None once it answers, what it said last if it ended instead."""
        self.log.unlink(missing_ok=True)
        argv = await self.command(port)
        self._child = child = await self.spawn(argv, held)
        said = await self._wait_until_it_answers(child, seconds)
        if said is not None:
            self._child = None
        return said

    async def spawn(self, argv: Sequence[str], *keep: int) -> Child:
        """Run a program of this service, as its user, with its output in the log."""
        return await self._spawn(
            argv,
            environment=self.environment(),
            folder=Path("/"),
            log=self.log,
            death_signal=self.stop_signal,
            user=self.user(),
            keep=(*keep, *self.descriptors()),
        )

    async def _wait_until_it_answers(self, child: Child, seconds: float) -> str | None:
        """None once it answers; what it said last, if it ended instead. Raises `Problem` after `seconds`."""
        ended = asyncio.ensure_future(child.wait())
        deadline = asyncio.get_running_loop().time() + seconds
        pause = 0.004
        asked: asyncio.Future[bool] | None = None
        try:
            while asyncio.get_running_loop().time() < deadline:
                # Side by side: at a port that another process took, its answer may never come.
                asked = asyncio.ensure_future(self.answers())
                await asyncio.wait([ended, asked], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    return last_words(self.log)
                if asked.done() and asked.result():
                    return None
                await asyncio.wait([ended], timeout=pause)
                pause = min(pause * 1.5, 0.1)
        finally:
            ended.cancel()
            if asked is not None and not asked.done():
                asked.cancel()
                await asyncio.wait([asked])
        raise Problem(
            f"{self.name}: the embedded {self.kind} server did not answer within {seconds:g} s; "
            f"it said: {last_words(self.log)}",
            Exit.NOT_ALLOWED,
        )

    def _failure(self, said: str) -> str:
        if "in use" in said.lower():
            return f"{self.name}: the embedded {self.kind} server did not start: port {self.port} is taken ({said})"
        return (
            f"{self.name}: the embedded {self.kind} server did not start and said: {said}; "
            f"if its data is damaged, move {self.folder} away to begin afresh"
        )

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        self._child = child
        try:
            await self.ask_to_stop()
        finally:
            self._child = None
            try:
                await asyncio.wait_for(child.wait(), self.stop_seconds)
            except TimeoutError:
                child.signal(signal.SIGKILL)
                await child.wait()


def unprivileged(*names: str) -> tuple[int, int] | None:
    """The uid and gid of the first of these users that exists, if we are root; None (stay who we are) if not."""
    if os.geteuid() != 0:
        return None
    for name in names:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    return 65534, 65534  # the kernel's own nobody (/proc/sys/kernel/overflowuid)


def last_words(log: Path) -> str:
    """The most telling of a log's last lines, in one piece of at most 300 characters."""
    lines = _lines(log)
    telling = [
        line for line in lines if any(w in line for w in ("FATAL", "PANIC", "in use", "rror", "Short read", "ailed"))
    ]
    chosen = (telling or lines or ["nothing"])[-1 if not telling else 0]
    return chosen[:_MOST_SAID]


def _lines(log: Path) -> list[str]:
    """The lines at the end of a log that say something."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            return [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return []
