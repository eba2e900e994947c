"""The formation's life cycle: keeps it as wanted, one plan after another, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from fungible.app.model import WEB, ProcessType
from fungible.runtime.events import Bus, Event
from fungible.runtime.formation.chosen import Chosen, Routing
from fungible.runtime.formation.plan import Known, Retire, Start, Streak, Wanted, after_crash, plan
from fungible.runtime.formation.standing import Boots, cause_of_none
from fungible.runtime.ground.release import Release
from fungible.runtime.process.boot import cannot_start
from fungible.runtime.process.bounds import Bind, unbound
from fungible.runtime.process.port import Ports
from fungible.runtime.process.process import Place, Process, new_instance
from fungible.runtime.process.state import Happening, State

_JITTER = 0.1
"""The share of an age by which processes differ, so that they are not all replaced at once."""
SETTLES = 2.0
"""Seconds that a process which is asked nothing must live before it may take another's place."""


class Formation:
    """Runs processes of each type of `release`, as many as `wanted` says and otherwise as the type does, each in a
    folder below `processes`. Whatever changes it calls one of its methods, in the loop's thread."""

    def __init__(
        self,
        wanted: Mapping[str, int],
        release: Release,
        *,
        router: Routing,
        bus: Bus[Event],
        ports: Ports,
        processes: Path,
        sockets: Path,
        bind: Bind = unbound,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.release = release
        self.processes: dict[str, Process] = {}
        self.boots = Boots()
        self.stopping = False
        self._counts = dict(wanted)
        self._router = router
        self._chosen = Chosen(router)
        self._bus = bus
        self._ports = ports
        self._folder = processes
        self._sockets = sockets
        self._bind = bind
        self.clock = clock
        self.chance = chance
        self._streaks: dict[tuple[str, int], Streak] = {}
        self._too_old_at: dict[str, float] = {}
        self._worn: set[str] = set()
        self._again = asyncio.Event()
        self._change = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()
        self._cause = ""

    @property
    def types(self) -> Mapping[str, ProcessType]:
        """The process types of the release."""
        return self.release.types

    @property
    def wanted(self) -> dict[str, int]:
        """How many processes of each type of the release are wanted."""
        if self.stopping:
            return dict.fromkeys(self.types, 0)
        return {name: self._counts.get(name, type.processes) for name, type in self.types.items()}

    async def run(self) -> None:
        """Keep the formation until `stop`; returns when nothing is left."""
        try:
            while not (self.stopping and not self.processes):
                self._again.clear()
                wake_at = self._act()
                await self._tell_cause()
                timeout = None if wake_at is None else max(0.01, wake_at - self.clock())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._again.wait(), timeout)
        finally:
            self._stopped.set()
            self._change.set()

    async def stop(self) -> None:
        """Retire everything; returns when the last process is gone."""
        self.stopping = True
        self._act_soon()
        await self._stopped.wait()

    def kill(self) -> None:
        """End everything now (a second Ctrl-C)."""
        self.stopping = True
        for process in self.processes.values():
            process.retired = True
            process.kill()
        self._act_soon()

    def scale(self, counts: Mapping[str, int]) -> None:
        """Change how many of some types should run."""
        self._counts.update(counts)
        self._act_now()

    def turn_to(self, release: Release) -> None:
        """Replace every process of another release, one after the other; crashes so far are forgotten."""
        self.release = release
        self._streaks.clear()
        self.boots.forgive()
        self._act_now()

    def wear(self, instances: Iterable[str]) -> None:
        """Replace these processes, each when its successor is ready."""
        self._worn.update(instances)
        self._act_soon()

    def spare(self, instances: Iterable[str]) -> None:
        """Do not replace these after all, as far as they still live."""
        self._worn.difference_update(instances)
        self._act_soon()

    def look_again(self) -> None:
        """Have whoever waits for a move look again."""
        self._act_soon()

    async def moved(self) -> None:
        """Wait until a process has moved, or the formation has ended."""
        self._change.clear()
        if not self._stopped.is_set():
            await self._change.wait()

    def is_up(self, process: Process) -> bool:
        """Whether it does its work: it may be chosen, or, where nobody asks it, it has lived for a moment."""
        if process.state is not State.READY:
            return False
        if process.type.name == WEB:
            return self._chosen.may_be(process)
        return process.place.address is not None or self.clock() >= self._settles_at(process)

    def leaves(self, process: Process) -> bool:
        """Whether it is to go: retired, of another release, or worn."""
        return process.retired or self._is_outdated(process, self.clock())

    def resting(self) -> dict[tuple[str, int], Streak]:
        """Which names wait for their next start after crashes."""
        now, wanted = self.clock(), self.wanted
        return {
            (type, number): streak
            for (type, number), streak in self._streaks.items()
            if streak.until > now and number <= wanted.get(type, 0)
        }

    def _is_outdated(self, process: Process, now: float) -> bool:
        instance = process.instance
        too_old = instance in self._worn or now >= self._too_old_at.get(instance, math.inf)
        return too_old or process.release.name != self.release.name

    def _settles_at(self, process: Process) -> float:
        asked = process.place.address is not None or process.facts.ready_at is None
        return -math.inf if asked else (process.facts.ready_at or 0.0) + SETTLES

    def _act(self) -> float | None:
        now = self.clock()
        known = [self._known(process, now) for process in self.processes.values()]
        types = self.types
        wanted = [Wanted(name, count, types[name].singleton) for name, count in self.wanted.items()]
        decided = plan(wanted, known, self._streaks, now)
        for action in decided.actions:
            if isinstance(action, Start):
                self._start(action)
            elif isinstance(action, Retire):
                self._retire(self.processes[action.instance])
        times = [at for instance, at in self._too_old_at.items() if instance in self.processes]
        times += [self._settles_at(process) for process in self.processes.values() if process.state is State.READY]
        times += [decided.wake_at] if decided.wake_at is not None else []
        self._change.set()
        return min((at for at in times if at > now), default=None)

    def _act_now(self) -> None:
        self._act()
        self._act_soon()

    def _act_soon(self) -> None:
        self._again.set()
        self._change.set()

    def _known(self, process: Process, now: float) -> Known:
        outdated = self._is_outdated(process, now)
        state = process.state
        if state is State.READY and not outdated and not self.is_up(process):
            state = State.STARTING  # nobody makes room for it yet
        return Known(process.type.name, process.number, process.instance, state, outdated, process.retired)

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
            clock=self.clock,
            bounds=self._bind(type, instance),
        )
        self.processes[instance] = process
        self._tell_apart(process.name)
        if type.max_age is not None:
            self._too_old_at[instance] = self.clock() + type.max_age * (1 - _JITTER * self.chance())
        process.start()

    def _tell_apart(self, name: str) -> None:
        """Of two with one name, only the newest goes by the name alone."""
        holders = [process for process in self.processes.values() if process.name == name]
        for process in holders:
            process.former = process is not holders[-1]

    def _retire(self, process: Process) -> None:
        if process.retired:
            return
        process.retired = True
        self._begin(self._retire_slowly(process))

    async def _retire_slowly(self, process: Process) -> None:
        process.move(Happening.RETIRED)
        if process.state is State.DRAINING:
            await self._chosen.drain(process)
            process.move(Happening.DRAINED)
        # It cannot be chosen any more, but what it streams goes on until it hears of its end and closes it itself.
        cutting = asyncio.ensure_future(self._chosen.cut_streams(process))
        try:
            await process.stop()
        finally:
            cutting.cancel()
        await self._chosen.dismiss(process)

    def _changed(self, process: Process) -> None:
        if process.state is State.READY and process.type.name == WEB and process.place.address:
            self._begin(self._route(process))
        elif process.state is State.STARTING and process.facts.listens_on:
            self.boots.missed(process.type.name, process.number)
        elif process.state is State.STOPPING and not process.retired:
            self._begin(self._chosen.dismiss(process))
        elif process.state is State.ENDED:
            self._forget(process)
        self._act_soon()

    async def _route(self, process: Process) -> None:
        self.boots.succeeded(WEB, process.number)
        await self._chosen.admit(process)
        self._act_soon()

    def _forget(self, process: Process) -> None:
        self.processes.pop(process.instance, None)
        self._tell_apart(process.name)
        self._too_old_at.pop(process.instance, None)
        self._worn.discard(process.instance)
        self._chosen.forget(process)
        if process.place.port is not None:
            self._ports.give_back(process.place.port)
        if process.place.socket_folder is not None:
            shutil.rmtree(process.place.socket_folder, ignore_errors=True)
        if process.crashed:
            self._crashed(process)

    def _crashed(self, process: Process) -> None:
        key = (process.type.name, process.number)
        self.boots.crashed(process.release.name, *key, process.facts)
        if process.release.name != self.release.name:
            return  # one of an abandoned release: that of the one that serves on has not crashed
        self.boots.failed_at(*key, process.facts)
        now = self.clock()
        uptime = now - process.facts.ready_at if process.facts.ready_at is not None else 0.0
        hopeless = cannot_start(process.type, process.place, process.facts) is not None
        streak = after_crash(self._streaks.get(key), uptime, now, self.chance(), hopeless=hopeless)
        self._streaks[key] = streak
        if streak.until > now:
            process.tell("process.backoff", crashes=streak.crashes, delay_s=round(streak.until - now, 1))

    async def _tell_cause(self) -> None:
        """Why there is no process to choose, for as long as there is none."""
        booting = {p.number for p in self.processes.values() if p.type.name == WEB and p.state is State.STARTING}
        cause = cause_of_none(self.wanted.get(WEB, 0), booting, self.boots.failed(WEB))
        if cause != self._cause:
            self._cause = cause
            await self._router.set_cause(cause)

    def _begin(self, work: Awaitable[None]) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._bus.publish(Event("formation.failed", data={"error": repr(task.exception())}))
