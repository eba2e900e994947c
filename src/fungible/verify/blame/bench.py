"""Worlds whose processes carry the blame agent, so that their memory can be looked into between two steps."""

from __future__ import annotations

import asyncio
import math
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fungible.sandbox.spec import Mount
from fungible.verify.blame.agent.connections import AgentError, NoAgent
from fungible.verify.blame.agent.host import AgentServer
from fungible.verify.blame.agent.told import Chance, Hashing
from fungible.verify.compare import Deviation, Relations, compare
from fungible.verify.schedule.schedule import Schedule
from fungible.verify.shrink.case import Case, part
from fungible.verify.workload.steps import Request, Workload, render
from fungible.verify.world.background import idle
from fungible.verify.world.client import DEFAULT_TIMEOUT, as_sent, host_header, knock, send
from fungible.verify.world.laboratory import Laboratory
from fungible.verify.world.slot import Birth, Ended, Site, Slot
from fungible.verify.world.world import Execution

BACKGROUND: Final = -2
"""The number under which the worker processes of a world stand among its agents."""

Like = Callable[[Sequence[Deviation]], bool]
Agents = Mapping[int, AgentServer]
Visit = Callable[[int, Agents], Awaitable[None]]
Ending = Callable[[int, Agents], Awaitable[None]]

_CONNECT_SECONDS = 10.0
_SILENT_SECONDS = 1.0
"""A Python process connects before it runs the app: where it serves already, this is for us to hear of it."""
_BOOT_SECONDS = 15.0
_SECONDS = 240.0
"""That the search for one culprit may take."""
_LEAST_SECONDS = 60.0
"""That it may take however late it is."""


@dataclass(frozen=True)
class Question:
    """The difference to explain. `relations` are of the case's warm runs on real boots, `like` recognises it among
    deviations, `faulty` says that it is no answer at all, `place` where it shows (`proof.general`); `apart` runs the
    case's steps by another schedule, by the cheapest means that show the difference, and says whether it shows there
    too."""

    case: Case
    relations: Relations
    like: Like
    faulty: bool
    place: str
    apart: Callable[[Schedule], Awaitable[bool]]

    @property
    def last(self) -> int:
        """The observer's position among the kept steps."""
        return len(self.case.kept) - 1

    def deviations(self, execution: Execution) -> tuple[Deviation, ...]:
        """Where a run of the case's steps is not what the warm ones have in common."""
        return compare(self.relations, execution.transcript)

    def is_broken(self, execution: Execution) -> bool:
        """Whether the observer got no answer at all (it hung, or the process died), where the difference is another:
        what was done to the process was too much for it, and tells nothing."""
        fault = any(each.step == self.last and each.place == "fault" for each in self.deviations(execution))
        return fault and not self.faulty

    def shows(self, execution: Execution) -> bool:
        """Whether a run of the case's steps shows the difference."""
        return self.like(self.deviations(execution))


@dataclass(frozen=True)
class Ran:
    """A world that ran with agents, and where each of its slots was."""

    execution: Execution
    sites: Mapping[int, Site]

    def root(self, slot: int) -> str:
        """The app's folder as a slot saw it."""
        return str(self.sites[slot].folder)


class Bench:
    """Runs the steps of a case with the agent in every process. Sockets are made in `folder`, whose path is short.

    Who looks for the culprit of one difference, from `begin` on, ends when there have been enough worlds, or when
    they have taken long enough: an app may need many seconds to boot. After `latest`, in seconds since the experiment
    began, there is only time for the likeliest.
    """

    def __init__(
        self,
        laboratory: Laboratory,
        workload: Workload,
        defaults: Mapping[str, str],
        folder: Path,
        latest: float = math.inf,
    ) -> None:
        self.workload = workload
        self.is_silent = False
        """Whether it was seen that no process carries the agent."""
        self._runs = 0
        self._end = 0.0
        self._latest = latest
        self._laboratory = laboratory
        self._defaults = defaults
        self._folder = folder

    def begin(self) -> None:
        """Another difference is asked about."""
        self._runs = 0
        now = self._laboratory.tally.elapsed
        self._end = min(now + _SECONDS, max(now + _LEAST_SECONDS, self._latest))

    def goes_on(self, most: int | None = None) -> bool:
        """Whether there is time for more, and there have been fewer than `most` worlds."""
        return (most is None or self._runs < most) and self._laboratory.tally.elapsed < self._end

    async def run(
        self,
        case: Case,
        schedule: Schedule,
        visit: Visit,
        *,
        ending: Ending | None = None,
        lines: bool = False,
        rehearsed: tuple[int, int] | None = None,
        unrehearsed: Callable[[Agents], Awaitable[None]] | None = None,
        chance: Chance | None = None,
        hashing: Hashing | None = None,
        equal_seeds: bool = False,
        background: bool = False,
    ) -> Ran:
        """Run the case's steps; `visit` is called before each, with the agents of the slots that live, `ending`
        before a slot (by number) ends. With `lines` writes can be traced. `rehearsed`: before this kept step (by
        position) the observer's request is sent once to this slot; `unrehearsed` is called before that. `chance`: the
        boots' randomness; `hashing`: what `hash` gives; with `equal_seeds` all processes have one hash seed. With
        `background` it is the worker processes that carry the agent, and the slots do not. Raises AgentError where a
        process does not carry the agent."""
        self._runs += 1
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="a", dir=self._folder)))
            birth = _AgentBirth(self._laboratory.ground.birth, folder, stack, lines, chance, hashing, ending)
            if background:
                return await self._run_background(case, schedule, visit, birth)

            async def at_step(index: int) -> None:
                if rehearsed is not None and index == rehearsed[0]:
                    if unrehearsed is not None:
                        await unrehearsed(birth.servers)
                    await self._rehearse(birth.slots[rehearsed[1]], case.observer)
                await visit(index, birth.servers)

            try:
                execution = await self._laboratory.run(
                    schedule,
                    part(self.workload, case.kept),
                    defaults=self._defaults,
                    equal_seeds=equal_seeds,
                    birth=birth,
                    visit=at_step,
                )
            except NoAgent:
                self.is_silent = True
                raise
            return Ran(execution, dict(birth.sites))

    async def _run_background(self, case: Case, schedule: Schedule, visit: Visit, birth: _AgentBirth) -> Ran:
        server = await birth.serve("workers")
        sites: dict[int, Site] = {}

        def dress(site: Site) -> Site:
            sites[BACKGROUND] = site
            return birth.carrying(site, server)

        async def at_step(index: int) -> None:
            if index == 0:  # what they import and look at first is no change
                await idle(lambda: [greeting.host_pid for greeting in server.greetings])
            await visit(index, {BACKGROUND: server})

        execution = await self._laboratory.run(
            schedule, part(self.workload, case.kept), defaults=self._defaults, visit=at_step, dress=dress
        )
        return Ran(execution, sites)

    async def plain(self, case: Case) -> Execution:
        """Run the case as it is, on real boots without agents."""
        self._runs += 1
        return await self._laboratory.run(case.schedule(), part(self.workload, case.kept), defaults=self._defaults)

    async def _rehearse(self, slot: Slot, observer: int) -> None:
        request = self.workload.steps[observer]
        if isinstance(request, Request):
            rendered = render(request, self._defaults, self.workload.headers)
            sent = as_sent(rendered, host_header(self.workload.host, {}), None)
            await send(slot.address, sent, request.timeout or DEFAULT_TIMEOUT)


class _AgentBirth:
    """Bears slots that carry the blame agent; keeps the agent's server of each by slot number."""

    def __init__(
        self,
        birth: Birth,
        folder: Path,
        stack: AsyncExitStack,
        lines: bool,
        chance: Chance | None,
        hashing: Hashing | None,
        ending: Ending | None,
    ) -> None:
        self._birth = birth
        self._folder = folder
        self._stack = stack
        self._lines = lines
        self._chance = chance
        self._hashing = hashing
        self._ending = ending
        self.servers: dict[int, AgentServer] = {}
        self.slots: dict[int, Slot] = {}
        self.sites: dict[int, Site] = {}

    async def bear(self, site: Site) -> Slot:
        """See `Birth.bear`."""
        server = await self.serve(str(site.number))
        slot = await self._birth.bear(self.carrying(site, server))
        self.servers[site.number] = server
        self.slots[site.number] = slot
        self.sites[site.number] = site
        try:
            await _meet(slot, server)
        except BaseException:
            await slot.end(signal.SIGKILL)
            raise
        ending = self._ending
        return slot if ending is None else _Watched(slot, lambda: ending(site.number, self.servers))

    async def serve(self, name: str) -> AgentServer:
        """A server for processes to connect to."""
        folder = self._folder / name
        folder.mkdir(mode=0o700)
        return await self._stack.enter_async_context(AgentServer(folder / "s"))

    def carrying(self, site: Site, server: AgentServer) -> Site:
        """The site with what brings the agent into its Python processes; they connect to `server`."""
        python_path = site.environment.get("PYTHONPATH", "")
        brought = server.environment(
            str(site.folder), python_path, lines=self._lines, chance=self._chance, hashing=self._hashing
        )
        inside, folder = str(server.inside), str(server.path.parent)
        mounts = (Mount(inside, inside), Mount(folder, folder, writable=True))
        return replace(site, environment={**site.environment, **brought}, mounts=site.mounts + mounts)


class _Watched:
    """A slot before whose end something else is done."""

    def __init__(self, slot: Slot, before_end: Callable[[], Awaitable[None]]) -> None:
        self._slot = slot
        self._before_end = before_end

    @property
    def address(self) -> str:
        """See `Slot.address`."""
        return self._slot.address

    @property
    def pid(self) -> int:
        """See `Slot.pid`."""
        return self._slot.pid

    def servers(self) -> int:
        """See `Slot.servers`."""
        return self._slot.servers()

    def serving(self) -> frozenset[int]:
        """See `Slot.serving`."""
        return self._slot.serving()

    def one_at_a_time(self) -> bool:
        """See `Slot.one_at_a_time`."""
        return self._slot.one_at_a_time()

    async def end(self, number: int) -> Ended:
        """See `Slot.end`."""
        try:
            await self._before_end()
        finally:
            ended = await self._slot.end(number)
        return ended


async def _meet(slot: Slot, server: AgentServer) -> None:
    """Wait until the process that serves has imported the app and is connected to the agent's server."""
    await knock(slot.address, _BOOT_SECONDS)
    began = time.monotonic()
    while time.monotonic() < began + _CONNECT_SECONDS:
        greetings = server.greetings
        if {greeting.host_pid for greeting in greetings} & slot.serving():
            return
        if not greetings and time.monotonic() > began + _SILENT_SECONDS:
            raise NoAgent("no process connected to the blame agent")
        await asyncio.sleep(0.02)
    raise AgentError("the process that serves did not connect to the blame agent")
