"""The supervisor: keeps the formation as wanted, one plan after another, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fungible.app.model import WEB, ProcessType
from fungible.runtime.events import Bus, Event
from fungible.runtime.memory import memory_of
from fungible.runtime.plan import Known, Retire, Start, Streak, Wanted, after_crash, plan
from fungible.runtime.port import Ports
from fungible.runtime.process import Place, Process, cannot_start, new_instance
from fungible.runtime.release import Release
from fungible.runtime.router.model import Upstream
from fungible.runtime.state import Happening, State

_JITTER = 0.1
"""The share of an age by which processes differ, so that they are not all replaced at once."""
_MEMORY_EVERY = 2.0
"""Seconds between looks at the memory of types that have a bound."""


class Routing(Protocol):
    """What the formation needs of a router."""

    async def add(self, upstream: Upstream) -> None: ...
    async def drain(self, instance: str) -> None: ...
    async def wait_idle(self, instance: str, timeout: float) -> bool: ...
    async def close_streams(self, instance: str) -> None: ...
    async def remove(self, instance: str) -> None: ...
    async def set_cause(self, cause: str) -> None: ...


@dataclass(frozen=True)
class Settled:
    """How many of the first processes of a type became ready, and how many failed."""

    ready: int
    failed: int


class Formation:
    """Runs `wanted` processes of each of `types`, all of `release`, each in a folder below `processes`."""

    def __init__(
        self,
        types: Mapping[str, ProcessType],
        wanted: Mapping[str, int],
        release: Release,
        *,
        router: Routing,
        bus: Bus,
        ports: Ports,
        processes: Path,
        sockets: Path,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.types = types
        self.wanted = dict(wanted)
        self.release = release
        self.processes: dict[str, Process] = {}
        self.restarts: dict[tuple[str, int], int] = {}
        self._router = router
        self._bus = bus
        self._ports = ports
        self._folder = processes
        self._sockets = sockets
        self._clock = clock
        self._chance = chance
        self._streaks: dict[tuple[str, int], Streak] = {}
        self._too_old_at: dict[str, float] = {}
        self._again = asyncio.Event()
        self._up = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._stopped = asyncio.Event()
        self._failed_boots: dict[str, dict[int, str]] = {}
        self._requests: dict[str, int] = {}
        self._cause = ""
        self._routed: set[str] = set()
        self._serving: set[str] = set()

    async def run(self) -> None:
        """Keep the formation until `stop`; returns when nothing is left."""
        watching = asyncio.ensure_future(self._watch_memory())
        unsubscribe = self._bus.subscribe(self._count_request)
        try:
            while not (self._stopping and not self.processes):
                self._again.clear()
                wake_at = self._act()
                await self._tell_cause()
                timeout = None if wake_at is None else max(0.01, wake_at - self._clock())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._again.wait(), timeout)
        finally:
            unsubscribe()
            watching.cancel()
            self._stopped.set()

    async def stop(self) -> None:
        """Retire everything; returns when the last process is gone."""
        self._stopping = True
        self.wanted = dict.fromkeys(self.wanted, 0)
        self._again.set()
        await self._stopped.wait()

    def kill(self) -> None:
        """End everything now (a second Ctrl-C)."""
        self._stopping = True
        self.wanted = dict.fromkeys(self.wanted, 0)
        for process in self.processes.values():
            process.retired = True
            process.kill()
        self._again.set()

    def scale(self, wanted: Mapping[str, int]) -> None:
        """Change how many of some types should run."""
        self.wanted.update(wanted)
        self._again.set()

    async def settled(self, type: str) -> Settled:
        """Wait until every process of the first formation of `type` can be chosen or has failed once."""
        while not self._stopping:
            ready = {p.number for p in self.processes.values() if p.type.name == type and self._is_up(p)}
            failed = self._failed_boots.get(type, {}).keys() - ready
            if len(ready) + len(failed) >= self.wanted.get(type, 0):
                return Settled(len(ready), len(failed))
            await self._moved()
        return Settled(0, 0)

    def _is_up(self, process: Process) -> bool:
        routed = process.type.name != WEB or process.instance in self._serving
        return process.state is State.READY and routed

    async def _moved(self) -> None:
        self._up.clear()
        await self._up.wait()

    def _act(self) -> float | None:
        now = self._clock()
        known = [self._known(process, now) for process in self.processes.values()]
        wanted = [Wanted(n, self.wanted.get(n, 0), t.singleton) for n, t in self.types.items()]
        decided = plan(wanted, known, self._streaks, now)
        for action in decided.actions:
            if isinstance(action, Start):
                self._start(action)
            elif isinstance(action, Retire):
                self._retire(self.processes[action.instance])
        ages = [at for instance, at in self._too_old_at.items() if instance in self.processes and at > now]
        return min([*ages, *([decided.wake_at] if decided.wake_at is not None else [])], default=None)

    def _known(self, process: Process, now: float) -> Known:
        too_old = now >= self._too_old_at.get(process.instance, math.inf)
        outdated = too_old or process.release.name != self.release.name
        return Known(process.type.name, process.number, process.instance, process.state, outdated, process.retired)

    def _start(self, action: Start) -> None:
        type = self.types[action.type]
        instance = new_instance()
        unix = type.listen == "unix"
        place = Place(
            private=self._folder / instance,
            port=self._ports.take() if type.listen == "port" else None,
            socket_folder=self._sockets / instance[:8] if unix else None,
        )
        process = Process(
            type,
            action.number,
            self.release,
            place,
            instance=instance,
            publish=self._bus.publish,
            changed=self._changed,
            clock=self._clock,
        )
        self.processes[instance] = process
        if type.max_age is not None:
            self._too_old_at[instance] = self._clock() + type.max_age * (1 - _JITTER * self._chance())
        if type.max_requests:
            self._requests[instance] = math.ceil(type.max_requests * (1 - _JITTER * self._chance()))
        process.start()

    def _count_request(self, event: Event) -> None:
        if event.kind == "router.request" and event.instance in self._requests:
            self._requests[event.instance] -= 1
            if self._requests[event.instance] <= 0:
                self._too_old_at[event.instance] = self._clock()
                self._again.set()

    async def _watch_memory(self) -> None:
        while any(type.memory for type in self.types.values()):
            await asyncio.sleep(_MEMORY_EVERY)
            for process in tuple(self.processes.values()):
                most, pid = process.type.memory, process.facts.pid
                if most is None or pid is None or process.facts.status is not None or process.facts.cause:
                    continue
                used = await asyncio.to_thread(memory_of, pid)
                if used > most and process.facts.status is None:
                    process.facts.cause = "memory"
                    process.tell("process.memory", used_bytes=used, allowed_bytes=most)
                    process.kill()

    def _retire(self, process: Process) -> None:
        if process.retired:
            return
        process.retired = True
        self._begin(self._retire_slowly(process))

    async def _retire_slowly(self, process: Process) -> None:
        process.move(Happening.RETIRED)
        if process.state is State.DRAINING:
            if process.instance in self._routed:
                await self._router.drain(process.instance)
                idle = await self._router.wait_idle(process.instance, process.type.drain_timeout)
                if not idle:
                    process.tell("process.drain_timeout", after_s=process.type.drain_timeout)
                await self._router.close_streams(process.instance)
                await self._unroute(process)
            process.move(Happening.DRAINED)
        await process.stop()

    async def _unroute(self, process: Process) -> None:
        if process.instance in self._routed:
            self._routed.discard(process.instance)
            await self._router.remove(process.instance)

    def _changed(self, process: Process) -> None:
        if process.state is State.READY and process.type.name == WEB and process.place.address:
            self._begin(self._route(process))
        elif process.state is State.STOPPING and not process.retired:
            self._begin(self._unroute(process))
        elif process.state is State.ENDED:
            self._forget(process)
        self._again.set()
        self._up.set()

    async def _route(self, process: Process) -> None:
        assert process.place.address is not None
        self._failed_boots.get(WEB, {}).pop(process.number, None)
        self._routed.add(process.instance)
        await self._router.add(
            Upstream(
                process.name,
                process.instance,
                process.release.name,
                process.place.address,
                process.type.max_in_flight,
            )
        )
        if process.state not in (State.READY, State.DRAINING):
            self._routed.discard(process.instance)
            await self._router.remove(process.instance)
            return
        self._serving.add(process.instance)
        self._up.set()

    def _forget(self, process: Process) -> None:
        self.processes.pop(process.instance, None)
        self._too_old_at.pop(process.instance, None)
        self._requests.pop(process.instance, None)
        self._serving.discard(process.instance)
        if process.place.port is not None:
            self._ports.give_back(process.place.port)
        if process.place.socket_folder is not None:
            shutil.rmtree(process.place.socket_folder, ignore_errors=True)
        if process.crashed:
            self._crashed(process)

    def _crashed(self, process: Process) -> None:
        key = (process.type.name, process.number)
        failed = self._failed_boots.setdefault(process.type.name, {})
        if process.facts.ready_at is None:
            failed[process.number] = process.facts.cause or "crashed"
        else:
            failed.pop(process.number, None)
        now = self._clock()
        uptime = now - process.facts.ready_at if process.facts.ready_at is not None else 0.0
        hopeless = cannot_start(process) is not None
        streak = after_crash(self._streaks.get(key), uptime, now, self._chance(), hopeless=hopeless)
        self._streaks[key] = streak
        self.restarts[key] = self.restarts.get(key, 0) + 1
        if streak.until > now:
            process.tell("process.backoff", crashes=streak.crashes, delay_s=round(streak.until - now, 1))

    async def _tell_cause(self) -> None:
        """Why there is no process to choose, for as long as there is none."""
        failed = self._failed_boots.get(WEB, {})
        web = [process for process in self.processes.values() if process.type.name == WEB]
        if self.wanted.get(WEB, 0) == 0:
            cause = "no-process"
        elif "boot-timeout" in failed.values():
            cause = "boot-timeout"
        elif any(process.state is State.STARTING and process.number not in failed for process in web):
            cause = "starting"
        else:
            cause = "crashed"
        if cause != self._cause:
            self._cause = cause
            await self._router.set_cause(cause)

    def _begin(self, work: asyncio.Future[None] | object) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._bus.publish(Event("formation.failed", data={"error": repr(task.exception())}))
