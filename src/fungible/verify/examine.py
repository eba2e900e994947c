"""Examine what deviates: is it real, what is the least that shows it, and what held the state?

A step is examined with the instrument that showed it, and every finding is confirmed on real boots: three of
three, against none of three warm runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fungible.verify.blame.blame import Blame
from fungible.verify.compare import Deviation
from fungible.verify.findings import Culprit, Difference, Note
from fungible.verify.reference import WARM_RUNS, Reference, find_like
from fungible.verify.schedule.schedule import NOWHERE
from fungible.verify.shrink.case import Case, closure, cut_after, observer_alone, workers_renewed
from fungible.verify.shrink.shrink import likely_writers, shrink
from fungible.verify.workload.steps import Job, Request, Workload
from fungible.verify.world.world import Execution

CONFIRMATIONS = 3
EXAMINE_SECONDS = 420.0
"""Once a difference is found, further ones are only examined for so long; the rest is listed."""
WORLDS_TRIED = 3
"""So many of the worlds that show a deviation are tried, one after the other, until one leads to a difference."""


@dataclass(frozen=True)
class Evidence:
    """A world that ran, what it was compared with, and where it deviates."""

    reference: Reference
    execution: Execution
    deviations: tuple[Deviation, ...]


class Examination:
    """Turns evidence into differences and notes. `boot` is the reference of real boots."""

    def __init__(self, boot: Reference, evidence: Sequence[Evidence], *, say: Callable[[str], None]) -> None:
        self.differences: list[Difference] = []
        self.notes: list[Note] = []
        self.unexamined: list[int] = []
        self._boot = boot
        self._evidence = evidence
        self._say = say

    @property
    def _workload(self) -> Workload:
        return self._boot.workload

    async def run(self) -> None:
        """Examine every step that deviates in some world, the earliest first, then the stores."""
        tally = self._boot.laboratory.tally
        began = tally.elapsed
        for observer, suspects in self._suspects().items():
            if self.differences and tally.elapsed - began > EXAMINE_SECONDS:
                self.unexamined.append(observer)
            else:
                await self._step(observer, suspects)
        await self._stores()

    def _suspects(self) -> dict[int, list[tuple[Evidence, Deviation]]]:
        """Steps that deviate -> the worlds in which they do, and the first deviation there."""
        found: dict[int, list[tuple[Evidence, Deviation]]] = {}
        for evidence in self._evidence:
            seen = set()
            for deviation in evidence.deviations:
                if deviation.step is not None and deviation.step not in seen:
                    seen.add(deviation.step)
                    found.setdefault(deviation.step, []).append((evidence, deviation))
        return dict(sorted(found.items()))

    async def _step(self, observer: int, suspects: Sequence[tuple[Evidence, Deviation]]) -> None:
        if self._listed_with_another(observer):
            return
        for evidence, deviation in suspects[:WORLDS_TRIED]:
            if deviation.identity:
                self._note(deviation, "a process's own name, id or address is shown")
                return
            if await self._same_writers(observer, deviation, evidence):
                return
            case = await self._find_case(observer, deviation, evidence)
            if case is None:
                continue
            self._say(f"request {observer}: making the difference small")
            shrunk = await shrink(
                self._workload,
                case,
                lambda candidate, it=evidence, like=deviation: it.reference.shows(candidate, like),  # type: ignore[misc]
                guesses=likely_writers(self._workload, observer),
            )
            world = evidence.execution.schedule.name
            if await self._settle(shrunk.case, deviation, world, shrunk.minimal):
                return

    def _listed_with_another(self, observer: int) -> bool:
        """The same request as a known observer's, once more: it is listed with that."""
        request = self._workload.steps[observer]
        for index, known in enumerate(self.differences):
            seen = self._workload.steps[known.observer]
            if (
                isinstance(request, Request)
                and isinstance(seen, Request)
                and (request.method, _route(request.path)) == (seen.method, _route(seen.path))
            ):
                self.differences[index] = replace(known, also=(*known.also, observer))
                return True
        return False

    async def _same_writers(self, observer: int, like: Deviation, evidence: Evidence) -> bool:
        """Whether the writers of a known difference show this one too: then only its culprit is looked for."""
        for known in self.differences:
            writers = known.case.kept[:-1]
            if max(writers, default=observer) >= observer or known.deviation.step is None:
                continue
            kept = closure(self._workload, set(writers), observer)
            slots = dict(zip(known.case.kept, known.case.slots, strict=True))
            home, away = known.case.slots[-1], known.case.slots[0]
            case = replace(known.case, kept=kept, slots=(*(slots.get(step, away) for step in kept[:-1]), home))
            if len(kept) <= len(known.case.kept) and await evidence.reference.shows(case, like):
                return await self._settle(case, like, evidence.execution.schedule.name, known.minimal)
        return False

    async def _find_case(self, observer: int, like: Deviation, evidence: Evidence) -> Case | None:
        """A placement that shows the deviation again, simplest first."""
        quiet, schedule = self._workload.quiet(), evidence.execution.schedule
        candidates = [observer_alone(observer, quiet)] if observer > 0 else []
        if schedule.kind != "newborn":
            candidates.append(cut_after(schedule, observer))
            if schedule.kind == "late":
                candidates.append(replace(candidates[-1], renewed=True))
        else:
            if quiet and self._boot.laboratory.ground.given.workers:
                candidates.append(workers_renewed(observer, quiet))
            kept = tuple(range(observer + 1))
            apart = tuple(NOWHERE if step in quiet else step for step in kept)
            candidates.append(Case(kept, apart, renewed=True))
        for case in candidates:
            if await evidence.reference.shows(case, like):
                return case
        return None

    async def _settle(self, case: Case, like: Deviation, world: str, minimal: bool) -> bool:
        """Confirm on real boots, and tell a difference from what only looks like one; then look for the culprit."""
        found = await self._boot.repeat(case, like, CONFIRMATIONS)
        shown = [deviation for deviation in found if deviation is not None]
        if len(shown) < CONFIRMATIONS:
            return False
        if all(each.order_only for each in shown) and not await self._boot.shows_with_equal_seeds(case, like):
            self._note(like, "the order depends on the hash seed alone")
            return True
        if all(deviation.identity for deviation in shown):
            self._note(like, "a process's own name, id or address is shown")
            return True
        difference = Difference(
            deviation=replace(shown[0], step=like.step),
            case=case,
            world=world,
            requests=tuple(describe(self._workload, step) for step in case.kept),
            shown=len(shown),
            tried=CONFIRMATIONS,
            minimal=minimal,
        )
        self._add(replace(difference, culprit=await self._culprit(difference, like)))
        return True

    async def _culprit(self, difference: Difference, like: Deviation) -> Culprit:
        case = difference.case
        if case.renewed and len(set(case.slots) - {NOWHERE}) == 1:
            return Culprit(where="memory of a worker process")
        self._say(f"request {difference.observer}: looking for what held the state")
        laboratory = self._boot.laboratory
        blame = Blame(laboratory, self._workload, self._boot.defaults, laboratory.ground.sockets)
        return await blame.culprit(
            difference,
            await self._boot.relations_of(case.kept, like, WARM_RUNS),
            lambda deviations: find_like(deviations, case, like) is not None,
        )

    def _add(self, difference: Difference) -> None:
        """One culprit is one difference: whatever else it shows at is listed with it."""
        culprit = difference.culprit
        for index, known in enumerate(self.differences):
            same = (known.culprit.object, known.culprit.file) == (culprit.object, culprit.file)
            if culprit.confirmed and same:
                self.differences[index] = replace(known, also=(*known.also, difference.observer))
                return
        self.differences.append(difference)

    async def _stores(self) -> None:
        """Stores that differ though every answer was right: a lost write, a row written twice."""
        if self.differences:
            return
        for evidence in self._evidence:
            if not evidence.deviations or evidence.deviations[0].step is not None:
                continue
            like, schedule = evidence.deviations[0], evidence.execution.schedule
            case = cut_after(schedule, len(self._workload.steps) - 1)
            case = replace(case, renewed=schedule.newborn)
            if not await evidence.reference.shows(case, like):
                continue
            self._say(f"store {like.store}: making the difference small")
            shrunk = await shrink(
                self._workload,
                case,
                lambda candidate, it=evidence, like=like: it.reference.shows(candidate, like),  # type: ignore[misc]
                most=30,
            )
            if await self._settle(shrunk.case, like, schedule.name, shrunk.minimal):
                return

    def _note(self, deviation: Deviation, text: str) -> None:
        note = Note(deviation.step, deviation.place, text)
        if note not in self.notes:
            self.notes.append(note)


def describe(workload: Workload, step: int) -> str:
    """`#2 GET /items` as people read it."""
    it = workload.steps[step]
    if isinstance(it, Request):
        return f"#{step} {it.method} {it.path}"
    return f"#{step} job {it.command}" if isinstance(it, Job) else f"#{step} until quiet"


def _route(path: str) -> str:
    return path.partition("?")[0]
