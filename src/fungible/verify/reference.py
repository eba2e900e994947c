"""The reference of an experiment: what warm worlds have in common, for the whole workload and for parts of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from fungible.verify.blame.proof import general, places_at
from fungible.verify.compare import Deviation, Relations, compare, is_outdated, learn
from fungible.verify.pace import covers, paced, pauses_for, slow
from fungible.verify.schedule import schedule as schedules
from fungible.verify.schedule.schedule import Schedule
from fungible.verify.shrink.case import Case, part
from fungible.verify.workload.steps import Request, Workload
from fungible.verify.world.laboratory import Instrument, Laboratory
from fungible.verify.world.world import Execution

WARM_RUNS = 3


class Reference:
    """Runs worlds with one instrument, and compares them with warm worlds of the same instrument."""

    def __init__(
        self, laboratory: Laboratory, instrument: Instrument, workload: Workload, defaults: Mapping[str, str]
    ) -> None:
        self.laboratory = laboratory
        self.instrument = instrument
        self.workload = workload
        self.defaults = dict(defaults)
        self.warm: list[Execution] = []
        self._relations: Relations | None = None
        self._apart: tuple[Execution, ...] = ()
        self._others: tuple[Reference, ...] = ()
        self._parts: dict[tuple[int, ...], list[Execution]] = {}
        self._paced: dict[tuple[int, ...], tuple[float, ...]] = {}

    @property
    def relations(self) -> Relations:
        """What the warm worlds of the whole workload have in common."""
        assert self._relations is not None, "warm_up comes first"
        return self._relations

    async def run(
        self, schedule: Schedule, workload: Workload | None = None, *, equal_seeds: bool = False
    ) -> Execution:
        """Run a world with this instrument."""
        return await self.laboratory.run(
            schedule,
            workload or self.workload,
            instrument=self.instrument,
            defaults=self.defaults,
            equal_seeds=equal_seeds,
        )

    async def warm_up(self, done: Sequence[Execution] = (), *, paused: bool = False) -> None:
        """Repeat the warm world, on processes of their own, so that what legally varies is seen to vary. One of them
        pauses (see `slow`), if none of those that are `done` has `paused`."""
        self.warm = list(done)
        schedule = schedules.warm(len(self.workload.steps), self.workload.quiet())
        missing = max(0, WARM_RUNS - len(self.warm))
        paces = [slow(self.workload) if number == 0 and not paused else self.workload for number in range(missing)]
        self.warm += await asyncio.gather(*(self.run(schedule, pace) for pace in paces))
        self._apart = tuple(self.warm)
        self._relations = await asyncio.to_thread(_learn, self.workload, self.warm)

    def held_to(self, others: Sequence[Reference]) -> None:
        """Take the warm worlds of others for one's own."""
        self.warm = [execution for other in others for execution in other.warm]
        self._relations = _learn(self.workload, self.warm)
        self._others = tuple(others)

    def deviations(self, execution: Execution) -> tuple[Deviation, ...]:
        """Where a world of the whole workload is not what the warm ones have in common."""
        return compare(self.relations, execution.transcript)

    async def relations_of(self, kept: tuple[int, ...], like: Deviation, least: int | None = None) -> Relations:
        """What warm runs of only these steps have in common.

        One run is enough where the full warm runs never differed in what `like` is about; else two. More where
        `least` asks for them.
        """
        if len(kept) == len(self.workload.steps):
            return self.relations
        if least is None:
            least = 2 if self.is_noisy(like) else 1
        workload = part(self.workload, kept)
        runs = self._parts.setdefault(kept, [])
        warm = schedules.warm(len(kept), workload.quiet())
        missing = max(0, least - len(runs))
        runs += await asyncio.gather(*(self.run(warm, workload) for _ in range(missing)))
        return _learn(workload, runs)

    def is_noisy(self, like: Deviation) -> bool:
        """Whether the full warm runs ever differed in what `like` is about; of stores it is not known."""
        place = (like.step, sort_of(like))
        return like.step is None or any(place in each._noisy for each in self._others or (self,))

    @cached_property
    def _noisy(self) -> frozenset[tuple[int | None, tuple[str, ...]]]:
        """Where the warm worlds differ: only asked for where something deviates."""
        alone = _learn(self.workload, self._apart[:1])
        found = (deviation for other in self._apart[1:] for deviation in compare(alone, other.transcript))
        return frozenset((deviation.step, sort_of(deviation)) for deviation in found)

    async def deviations_of(
        self, case: Case, like: Deviation, schedule: Schedule | None = None
    ) -> tuple[Deviation, ...]:
        """Where a run of the case's steps, by its own schedule or another, is not what their warm runs have in
        common; `like` tells how many of these it takes."""
        relations, execution = await asyncio.gather(
            self.relations_of(case.kept, like), self.run(schedule or case.schedule(), part(self.workload, case.kept))
        )
        return compare(relations, execution.transcript)

    async def shows(self, case: Case, like: Deviation, *, exact: bool = False) -> bool:
        """Run the case; is the observer different from the case's own warm run in the same way? `exact`: at the same
        place, whatever the position in a list."""
        deviations = await self.deviations_of(case, like)
        if exact:
            return general(like.place) in places_at(deviations, len(case.kept) - 1)
        return find_like(deviations, case, like) is not None

    async def repeat(
        self, case: Case, like: Deviation, times: int, least: int = WARM_RUNS, *, as_long: bool = True
    ) -> list[Deviation | None]:
        """The deviation that is like `like` in each of so many runs of the case, against `least` warm ones, one of
        which took as long as these (`as_long`): what comes of waiting is the clock's, not a process's."""
        workload = part(self.workload, case.kept)
        relations, runs = await asyncio.gather(
            self.relations_of(case.kept, like, least),
            asyncio.gather(*(self.run(case.schedule(), workload) for _ in range(times))),
        )
        if as_long and any(find_like(compare(relations, run.transcript), case, like) is not None for run in runs):
            relations = await self._wait_as_long(case.kept, relations, runs)
        return [_told(relations, run, find_like(compare(relations, run.transcript), case, like)) for run in runs]

    async def _wait_as_long(
        self, kept: tuple[int, ...], relations: Relations, runs: Sequence[Execution]
    ) -> Relations:
        """What warm runs of these steps have in common, when one of them waits before each step as long as these
        runs did; no shorter wait than one that was tried already is tried again."""
        warm = self.warm if len(kept) == len(self.workload.steps) else self._parts[kept]
        pauses = pauses_for([run.gaps for run in runs], warm[0].gaps)
        if covers(self._paced.get(kept), pauses):
            return relations
        self._paced[kept] = pauses
        workload = part(self.workload, kept)
        waiting = await self.run(schedules.warm(len(kept), workload.quiet()), paced(workload, pauses))
        if len(kept) == len(self.workload.steps):
            self.warm.append(waiting)
            self._relations = _learn(self.workload, self.warm)
            return self._relations
        self._parts[kept].append(waiting)
        return _learn(workload, self._parts[kept])

    async def shows_with_equal_seeds(self, case: Case, like: Deviation) -> bool:
        """Whether it still shows when all processes have the same hash seed."""
        workload = part(self.workload, case.kept)
        relations = await self.relations_of(case.kept, like, WARM_RUNS)
        run = await self.run(case.schedule(), workload, equal_seeds=True)
        return find_like(compare(relations, run.transcript), case, like) is not None


def find_like(deviations: Sequence[Deviation], case: Case, like: Deviation) -> Deviation | None:
    """The deviation at the case's observer that is of the same sort as `like`, if there is one; at the same place
    rather than at another."""
    last = len(case.kept) - 1
    if like.step is None:
        found = [each for each in deviations if each.store is not None and each.store == like.store]
    else:
        found = [each for each in deviations if each.step == last and sort_of(each) == sort_of(like)]
    return next((each for each in found if each.place == like.place), found[0] if found else None)


def sort_of(deviation: Deviation) -> tuple[str, ...]:
    """Deviations of one sort have the same first part of their place."""
    head = deviation.place.split(".")[0].split("[")[0]
    return ("status",) if deviation.place in ("status", "fault") else (head,)


def _told(relations: Relations, run: Execution, found: Deviation | None) -> Deviation | None:
    """With whether it is the warm runs that show an old value."""
    return None if found is None else replace(found, outdated=is_outdated(relations, run.transcript, found))


def _learn(workload: Workload, runs: Sequence[Execution]) -> Relations:
    ignored = [index for index, step in enumerate(workload.steps) if isinstance(step, Request) and step.ignore_body]
    return learn([each.transcript for each in runs], workload.masks, ignored, [each.window for each in runs])
