"""Which value, made when a process boots, sets two processes apart: carry one over, and see whether it matters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from fungible.verify.blame.agent.host import new_salt
from fungible.verify.blame.agent.naming import ObjectPath, differing_atoms
from fungible.verify.blame.agent.told import Roots
from fungible.verify.blame.bench import Agents, Bench, Question, Ran
from fungible.verify.blame.culprit import Line, container_of, culprit_of_object
from fungible.verify.blame.least import least
from fungible.verify.blame.memory import ways_to
from fungible.verify.blame.proof import Proof, places_at
from fungible.verify.schedule.schedule import NOWHERE, Schedule
from fungible.verify.shrink.case import Case

_MOST_CANDIDATES = 120
_MOST_RUNS = 36


class Constants:
    """Looks for the value behind one difference; `say` is told what is tried."""

    def __init__(self, bench: Bench, question: Question, say: Callable[[str], None]) -> None:
        self._bench = bench
        self._question = question
        self._say = say

    async def prove(self) -> Proof | None:
        """The value that two boots of the same code made differently and that matters when carried over."""
        case = self._question.case
        asked = _beginnings(case)
        if not asked:
            return None
        self._say("comparing what two processes made when they started")
        for schedule, at in asked:
            shown, differing = await self._look(schedule, at, "app")
            if shown:
                break
        else:
            return None
        proof = await self._among(schedule, at, differing)
        if proof is None:
            _, everywhere = await self._look(schedule, at, "all")
            proof = await self._among(schedule, at, [path for path in everywhere if path not in differing])
        return proof

    async def _look(self, schedule: Schedule, at: int, roots: Roots) -> tuple[bool, list[ObjectPath]]:
        """Whether the difference shows in this schedule, and what the two boots made differently."""
        home, other = _sides(schedule)
        salt = new_salt()
        atoms: dict[int, Mapping[ObjectPath, str]] = {}

        async def look(index: int, agents: Agents) -> None:
            if index == at:
                said = await asyncio.gather(*(agents[slot].boot(salt, roots) for slot in (home, other)))
                for slot, found in zip((home, other), said, strict=True):
                    atoms[slot] = {atom.path: atom.digest for atom in found}

        ran = await self._bench.run(self._question.case, schedule, look)
        if not self._question.shows(ran.execution) or len(atoms) < 2:
            return False, []
        return True, list(differing_atoms(atoms[other], atoms[home])[:_MOST_CANDIDATES])

    async def _among(self, schedule: Schedule, at: int, paths: list[ObjectPath]) -> Proof | None:
        if not paths:
            return None
        found: tuple[ObjectPath, Ran, dict[ObjectPath, Line]] | None = None

        async def matters(tried: Sequence[ObjectPath]) -> bool:
            nonlocal found
            what = container_of(tried[0].text()) if len(tried) == 1 else f"{len(tried)} values"
            self._say(f"carrying {what} from one process to the other")
            vanishes, ran, declared = await self._carry(self._question, schedule, at, tried)
            if vanishes and len(tried) == 1:
                found = tried[0], ran, declared
            return vanishes

        few = await least(paths, matters, lambda: self._bench.goes_on(_MOST_RUNS))
        if few is None:
            return None
        if found is None:
            _, ran, declared = await self._carry(self._question, schedule, at, few[:1])
            found = few[0], ran, declared
        guilty, ran, declared = found
        made = [declared[path] for path in ways_to(guilty) if path in declared]
        root = ran.root(_sides(schedule)[0])
        at_line = made[0] if made else None
        own = next((place for place in made if place[0].startswith(f"{root}/")), at_line)
        culprit = culprit_of_object(guilty.text(), root, own, at_line, own, confirmed=len(few) == 1)
        return Proof(culprit, lambda question, shown: self._explained(question, guilty, shown))

    async def _carry(
        self, question: Question, schedule: Schedule, at: int, paths: Sequence[ObjectPath]
    ) -> tuple[bool, Ran, dict[ObjectPath, Line]]:
        """Whether the difference vanishes when the observer's process has these values of the other's."""
        home, other = _sides(schedule)
        declared: dict[ObjectPath, Line] = {}

        async def visit(index: int, agents: Agents) -> None:
            if index != at:
                return
            for path in paths:
                value, impossible = await agents[other].export(path)
                if impossible is None:
                    await agents[home].implant(path, value)
            if len(paths) == 1:
                places = await agents[home].declared(ways_to(paths[0]))
                declared.update({path: (place.file, place.line) for path, place in places.items()})

        ran = await self._bench.run(question.case, schedule, visit)
        vanishes = not question.is_broken(ran.execution) and not question.shows(ran.execution)
        return vanishes, ran, declared

    async def _explained(self, question: Question, path: ObjectPath, shown: frozenset[str]) -> frozenset[str]:
        asked = _beginnings(question.case)
        if not asked:
            return frozenset()
        schedule, at = asked[1]
        _, ran, _ = await self._carry(question, schedule, at, [path])
        if question.is_broken(ran.execution):
            return frozenset()
        return shown - places_at(question.deviations(ran.execution), question.last)


def _beginnings(case: Case) -> list[tuple[Schedule, int]]:
    """The case's schedule with the step before which its slots are looked at, the most alike first: both born before
    the first step, on one host, where that shows it too; nothing but their boots sets them apart then."""
    schedule = case.schedule()
    schedule = replace(schedule, lives=tuple(replace(life, until=None) for life in schedule.lives))
    if schedule.slots < 2:
        return []
    home = schedule.placement[-1]
    early = replace(schedule, lives=tuple(replace(life, born=0) for life in schedule.lives))
    alike = replace(early, lives=tuple(replace(life, host=0) for life in early.lives))
    born = schedule.lives[home].born
    return [(alike, 0), (early, 0), *([(schedule, born)] if born else [])]


def _sides(schedule: Schedule) -> tuple[int, int]:
    """The observer's slot, and the first other one."""
    home = schedule.placement[-1]
    return home, next(slot for slot in schedule.placement if slot not in (home, NOWHERE))
