"""Runs worlds: gives each a lane and a number, side by side where cores allow, and counts what it took."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from fungible.app.model import WEB
from fungible.verify.schedule.schedule import Schedule
from fungible.verify.workload.steps import Workload
from fungible.verify.world.boot import one_server
from fungible.verify.world.fork.birth import ForkBirth, ImportBirth
from fungible.verify.world.fork.unforkable import Unforkable
from fungible.verify.world.ground import Ground
from fungible.verify.world.lane import Lane
from fungible.verify.world.slot import Birth, Site
from fungible.verify.world.world import Execution, Visit, make_site, run_world


@dataclass
class Tally:
    """What the experiment has cost so far."""

    worlds: int = 0
    executions: int = 0
    boots: int = 0
    seconds: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began


@dataclass(frozen=True)
class Instrument:
    """A way to make processes, for every lane: `boot` runs the type's command, `fork` forks an import of the app,
    `import` imports it in a process that has the packages for it."""

    name: str
    births: Mapping[int, Birth]


class Laboratory:
    """`ground` with its lanes handed out one world at a time."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.tally = Tally()
        self.skewed = True
        self.boot = Instrument("boot", {lane.number: ground.birth for lane in ground.lanes})
        self._forks: dict[int, ForkBirth] = {}
        self._free = list(ground.lanes)
        self._waiting: list[tuple[Lane | None, asyncio.Future[Lane]]] = []
        self._number = 0

    @property
    def lanes(self) -> int:
        """How many worlds can run side by side."""
        return len(self.ground.lanes)

    async def open_forks(self) -> Instrument:
        """Import the app twice for every lane, when no world runs there, to fork from. Raises Unforkable, or
        BootFailure."""
        if any(lane.reset is not None for lane in self.ground.lanes):
            raise Unforkable("stores are reset by a command, which an import would not survive")
        opened = await asyncio.gather(*(self._open_fork(lane) for lane in self.ground.lanes), return_exceptions=True)
        failure = next((each for each in opened if isinstance(each, BaseException)), None)
        if failure is not None:
            raise failure
        births = {
            lane.number: birth
            for lane, birth in zip(self.ground.lanes, opened, strict=True)
            if isinstance(birth, ForkBirth)
        }
        self.tally.boots += 2 * len(births)
        return Instrument("fork", births)

    async def _open_fork(self, lane: Lane) -> ForkBirth:
        """Import the app twice with the stores of `lane`, and keep what that left in them as the beginning."""
        given, web = self.ground.given, self.ground.app.types[WEB]
        assert given.confine is not None
        folder = self.ground.sockets / f"f{lane.number}"
        folder.mkdir(mode=0o700, exist_ok=True)
        async with self._taken(lane):
            await lane.prepare(0)
            birth = await ForkBirth.open(
                one_server(web.command),
                given.confine,
                (self._fork_site(lane, 0), self._fork_site(lane, 1)),
                folder,
                setting=web.callable,
                boot_timeout=web.boot_timeout,
                stop_timeout=min(5.0, web.stop_timeout),
                note=given.note,
            )
            self._forks[lane.number] = birth
            await lane.keep("fork")
        return birth

    async def open_imports(self) -> Instrument:
        """Load, for every lane, the packages that its forks' import needed, for processes that import the app
        themselves; to be called after `open_forks`. Raises Unforkable, or BootFailure."""
        lanes = self.ground.lanes
        loading = (self._forks[lane.number].packages(self._fork_site(lane, 2)) for lane in lanes)
        opened = await asyncio.gather(*loading, return_exceptions=True)
        failure = next((each for each in opened if isinstance(each, BaseException)), None)
        if failure is not None:
            raise failure
        births = zip(lanes, opened, strict=True)
        return Instrument("import", {lane.number: each for lane, each in births if isinstance(each, ImportBirth)})

    def _fork_site(self, lane: Lane, number: int) -> Site:
        given = self.ground.given
        private = given.folder / f"f{lane.number}-{number}"
        return make_site(given, lane, private, number, f"fork/{lane.number}/{number}")

    async def close(self) -> None:
        """End the imports."""
        forks, self._forks = self._forks, {}
        for birth in forks.values():
            await birth.close()

    async def run(
        self,
        schedule: Schedule,
        workload: Workload,
        *,
        instrument: Instrument | None = None,
        defaults: Mapping[str, str] | None = None,
        equal_seeds: bool = False,
        birth: Birth | None = None,
        skew: bool | None = None,
        visit: Visit | None = None,
        dress: Callable[[Site], Site] | None = None,
    ) -> Execution:
        """Run a world on the next free lane, its processes made by `instrument` (None: booted), or by `birth`; for
        the rest see `run_world`."""
        made_by = instrument or self.boot
        async with self._taken() as lane:
            self._number += 1
            begin = time.monotonic()
            execution = await run_world(
                self.ground.given,
                schedule,
                workload,
                lane,
                birth or made_by.births[lane.number],
                self._number,
                defaults=defaults,
                equal_seeds=equal_seeds,
                skewed=self.skewed if skew is None else skew,
                visit=visit,
                instrument=made_by.name,
                dress=dress,
            )
        self.tally.worlds += 1
        self.tally.executions += len(workload.steps)
        if made_by is self.boot:
            self.tally.boots += execution.boots
        self.tally.seconds += time.monotonic() - begin
        return execution

    @contextlib.asynccontextmanager
    async def _taken(self, wanted: Lane | None = None) -> AsyncIterator[Lane]:
        """A lane for oneself, in the order of asking: the `wanted` one, or the next that is free."""
        lane = next((each for each in self._free if wanted is None or each is wanted), None)
        if lane is not None:
            self._free.remove(lane)
        else:
            given: asyncio.Future[Lane] = asyncio.get_running_loop().create_future()
            self._waiting.append((wanted, given))
            try:
                lane = await given
            except asyncio.CancelledError:
                if given.done() and not given.cancelled():
                    self._give_back(given.result())
                raise
        try:
            yield lane
        finally:
            self._give_back(lane)

    def _give_back(self, lane: Lane) -> None:
        for each in list(self._waiting):
            wanted, given = each
            if given.done():
                self._waiting.remove(each)
            elif wanted is None or wanted is lane:
                self._waiting.remove(each)
                given.set_result(lane)
                return
        self._free.append(lane)
