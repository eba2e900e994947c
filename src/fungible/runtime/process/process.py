"""One running instance of a process type: from spawn to an empty, wiped sandbox, through named states."""

from __future__ import annotations

import asyncio
import math
import secrets
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from fungible.app.model import ProcessType
from fungible.runtime.events import Event
from fungible.runtime.ground.confinement import shell_command
from fungible.runtime.ground.release import Release
from fungible.runtime.logs.logs import Line, Pipe
from fungible.runtime.process.boot import cannot_start, count_servers_of, elsewhere, listens_elsewhere
from fungible.runtime.process.bounds import Bounds
from fungible.runtime.process.limits import rlimits
from fungible.runtime.process.listeners import is_foreign
from fungible.runtime.process.place import Facts, Place
from fungible.runtime.process.readiness import wait_until_answers
from fungible.runtime.process.state import Happening, State, advance
from fungible.sandbox.launch import wipe
from fungible.sandbox.spawn import Child, Message, spawn
from fungible.sandbox.spec import Mount

__all__ = ["Facts", "Place", "Process", "answers", "new_instance"]

_GRACE = 5.0
"""Seconds that what a command left behind gets, where nobody asked for its end."""
_REFUSED_FOR = 2.0
"""Seconds for which it may answer that it is not ready before that is told: it may be warming up."""


def new_instance() -> str:
    """An id for one start of a process, never used again."""
    return secrets.token_hex(6)


async def answers(process: Process, address: str) -> bool:
    """Readiness of the run stage: a complete answer within the boot time, given by the process itself: another
    program may have taken its port, one of another user's formation for instance."""

    def is_own() -> bool:
        pid, place = process.facts.pid, process.place
        return pid is None or not is_foreign(pid, place.port, str(place.socket) if place.socket else None)

    wanted, timeout = process.type.ready, process.type.boot_timeout
    return await wait_until_answers(address, wanted, timeout, is_own, process.refused)


IsReady = Callable[["Process", str], Awaitable[bool]]


class Process:
    """A process of `type`, numbered, of one release; `changed` is called after every move.

    `publish` gets its events; those of a `former` one say so, as another has its name by now. Nothing is started
    before `start`. `is_ready` decides when it may be chosen;
    without `wipe` its private folder outlives it. `bounds` hold what it uses of the machine.
    """

    def __init__(
        self,
        type: ProcessType,
        number: int,
        release: Release,
        place: Place,
        *,
        instance: str,
        publish: Callable[[Event], None],
        changed: Callable[[Process], None],
        clock: Callable[[], float] = time.monotonic,
        is_ready: IsReady = answers,
        host_name: str | None = None,
        wipe: bool = True,
        bounds: Bounds | None = None,
    ) -> None:
        self.type = type
        self.number = number
        self.release = release
        self.place = place
        self.instance = instance
        self.state = State.STARTING
        self.facts = Facts(born_at=clock())
        self.retired = False
        self.former = False
        self.gone: asyncio.Event = asyncio.Event()
        self._is_ready = is_ready
        self._host_name = host_name or f"{type.name}-{number}-{instance[:6]}"
        self._wipe = wipe
        self.bounds = bounds
        self._publish = publish
        self._changed = changed
        self._clock = clock
        self._child: Child | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._exited = asyncio.Event()
        self._pipes: list[Pipe] = []
        self._refused_since: float | None = None

    @property
    def name(self) -> str:
        """`web.1`."""
        return f"{self.type.name}.{self.number}"

    @property
    def crashed(self) -> bool:
        """Whether it ended without anyone wanting it."""
        return self.state is State.ENDED and not self.retired

    def start(self) -> None:
        """Spawn it. To be called in the main thread.

        Where the system has no room for one more (descriptors, processes, disk), it has failed and is gone. Raises
        Problem for an environment that does not resolve.
        """
        environment = self.release.environment(self.place.given(self.name, self.instance))
        self.tell("process.starting", port=self.place.port)
        try:
            self._spawn(environment)
        except OSError as error:
            self._heard(Message("failed", {"stage": "spawn", "error": str(error.strerror), "path": error.filename}))
            wipe(str(self.place.private))
            self._heard(Message("gone", {}))

    def _spawn(self, environment: Mapping[str, str]) -> None:
        mounts: tuple[Mount, ...] = ()
        if self.place.socket_folder is not None:
            self.place.socket_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = str(self.place.socket_folder)
            mounts = (Mount(folder, folder, writable=True),)
        self.place.private.mkdir(mode=0o700, parents=True, exist_ok=not self._wipe)
        spec = self.release.confinement.spec(
            argv=shell_command(self.type.command),
            environment=environment,
            private=self.place.private,
            host_name=self._host_name,
            wipe=self._wipe,
            grace=min(_GRACE, self.type.stop_timeout),
            patience=self.type.stop_timeout,
            limits=rlimits(self.type),
            mounts=mounts,
        )
        if self.bounds is not None:
            spec = replace(spec, control_groups=self.bounds.folders)
        pipes = [Pipe(self._line(stream)) for stream in ("stdout", "stderr")]
        self._pipes = pipes
        try:
            self._child = spawn(spec, self._heard, stdout=pipes[0].write_end, stderr=pipes[1].write_end)
        finally:
            for pipe in pipes:
                pipe.started()

    def signal(self, number: int) -> None:
        """Send a signal to its group."""
        if self._child is not None:
            self._child.signal(number)

    def move(self, happening: Happening) -> None:
        """Take note of what happened; tells the bus and the formation if the state is a new one."""
        before = self.state
        self.state = advance(before, happening)
        if self.state is before:
            return
        if self.state is State.READY:
            self.facts.ready_at = self._clock()
            took = round(self.facts.ready_at - self.facts.born_at, 3)
            answered = self.place.address is not None or None
            self.tell("process.ready", boot_s=took, pid=self.facts.pid, answered=answered)
        elif self.state is not State.ENDED:
            self.tell(f"process.{self.state.value}")
        self._changed(self)

    async def stop(self) -> None:
        """Its stop signal, KILL at its stop time, until nothing of it is left. It must not be chosen any more."""
        self.signal(getattr(signal, f"SIG{self.type.stop_signal}"))
        try:
            await asyncio.wait_for(self.gone.wait(), self.type.stop_timeout)
        except TimeoutError:
            self.tell("process.killed", after_s=self.type.stop_timeout)
            self.kill()
            await self.gone.wait()

    def kill(self) -> None:
        """KILL everything of it."""
        if self._child is not None:
            self._child.kill()

    def tell(self, kind: str, **data: Any) -> None:
        """Publish an event about it; values that are None are left out."""
        kept = {key: value for key, value in data.items() if value is not None}
        if self.former:
            kept["former"] = True
        self._publish(Event(kind, self.name, self.instance, self.release.name, kept))

    def _line(self, stream: str) -> Callable[[Line], None]:
        def tell(line: Line) -> None:
            self.tell("log.line", stream=stream, text=line.text, continued=line.continued or None)

        return tell

    def _heard(self, message: Message) -> None:
        data = message.data
        if message.kind == "started":
            self.facts.pid = data["pid"]
            self.tell("process.started", pid=data["pid"])
            if self.place.address is None:
                self.move(Happening.ANSWERED)
            else:
                self._begin(self._become_ready(self.place.address))
        elif message.kind == "failed":
            self.facts.cause = "sandbox"
            self.tell("process.failed", stage=data["stage"], error=data["error"], path=data["path"] or None)
        elif message.kind == "database":
            self.tell("process.database", path=data["path"])
        elif message.kind == "outbound":
            self.tell("process.outbound", **data)
        elif message.kind == "wrote":
            self.facts.wrote = data["paths"]
            self.tell("process.wrote", paths=data["paths"], count=data["count"])
        elif message.kind == "exited":
            self.facts.status = data["status"]
            self.facts.ended_at = self._clock()
            self._ask_for_memory()
            self._exited.set()
            self.move(Happening.EXITED)
        elif message.kind == "gone":
            self._begin(self._end())

    async def _become_ready(self, address: str) -> None:
        answered = asyncio.ensure_future(self._is_ready(self, address))
        exited = asyncio.ensure_future(self._exited.wait())
        looking = asyncio.ensure_future(self._look_where_it_listens())
        try:
            await asyncio.wait({answered, exited}, return_when=asyncio.FIRST_COMPLETED)
            if not answered.done():
                return
            if not answered.result():
                if self.state is State.STARTING:
                    self.facts.cause = "boot-timeout"
                    where = self.facts.listens_on or elsewhere(self.facts.pid, self.place)
                    self.facts.listens_on, after = where, self.type.boot_timeout
                    wanted, refused = self.place.wanted, self.facts.refused
                    self.tell("process.boot_timeout", after_s=after, listens_on=where, wanted=wanted, refused=refused)
                    self.kill()
                return
        finally:
            answered.cancel()
            exited.cancel()
            looking.cancel()
        self.facts.listens_on = self.facts.refused = None
        self.move(Happening.ANSWERED)
        self.facts.servers = await count_servers_of(self.facts.pid, self.place, self._exited)
        if self.facts.servers is not None and self.facts.servers > 1:
            self.tell("process.forks_servers", servers=self.facts.servers)

    def refused(self, refusal: str) -> None:
        """Hear what it answered at its `ready` path that does not count; told, once, where it goes on so."""
        self.facts.refused = refusal
        now = self._clock()
        if self._refused_since is None:
            self._refused_since = now
        elif now - self._refused_since >= _REFUSED_FOR:
            self._refused_since = math.inf
            self.tell("process.not_ready", refused=refusal)

    async def _look_where_it_listens(self) -> None:
        self.facts.listens_on = await listens_elsewhere(self.facts.pid, self.place)
        self.tell("process.listens_elsewhere", listens_on=self.facts.listens_on, wanted=self.place.wanted)
        self._changed(self)

    def _ask_for_memory(self) -> None:
        if self.bounds is not None and self.facts.cause is None and self.bounds.ran_out_of_memory():
            self.facts.cause = "memory"
            used = self.bounds.most_memory() or self.type.memory
            self.tell("process.memory", used_bytes=used, allowed_bytes=self.type.memory)

    async def _end(self) -> None:
        self._exited.set()
        for pipe in self._pipes:
            try:
                await asyncio.wait_for(asyncio.shield(pipe.ended), 1.0)
            except TimeoutError:
                pipe.close()
        uptime = None if self.facts.ready_at is None else round(self._clock() - self.facts.ready_at, 3)
        self.state = advance(self.state, Happening.EMPTIED)
        self._ask_for_memory()
        if self.bounds is not None:
            self.bounds.let_go()
        self.tell(
            "process.ended",
            status=self.facts.status,
            crashed=self.crashed or None,
            uptime_s=uptime,
            cause=self.facts.cause,
            listens_on=self.facts.listens_on,
            refused=self.facts.refused,
            cannot_start=cannot_start(self.type, self.place, self.facts),
        )
        self.gone.set()
        self._changed(self)

    def _begin(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the loop keeps only weak references
        task.add_done_callback(self._tasks.discard)
