"""Examine what deviates: is it real, what is the least that shows it, and what held the state?

A step is examined with the instrument that showed it: three of three, against none of three warm runs. What forked
processes show is confirmed on real boots as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fungible.verify.alike import distinct_first, elsewhere
from fungible.verify.blame.bench import Question
from fungible.verify.blame.blame import Blame
from fungible.verify.blame.culprit import Culprit
from fungible.verify.blame.proof import general, places_at
from fungible.verify.compare import Deviation, turned
from fungible.verify.confirm import CONFIRMATIONS, ask, confirm
from fungible.verify.findings import Difference, Note
from fungible.verify.known import Known
from fungible.verify.reference import Reference, find_like
from fungible.verify.schedule.schedule import NOWHERE
from fungible.verify.shrink.case import Case, cut_after, likely_cases
from fungible.verify.shrink.shrink import Shrunk, likely_writers, shrink
from fungible.verify.workload.steps import Workload, step_text
from fungible.verify.world.world import Execution

EXAMINE_SECONDS = 300.0
"""Once a difference is found, further ones are only examined for so long; the rest is listed."""
SHRINK_SECONDS = 180.0
"""So long is one difference made small, which matters where an app takes seconds to boot."""
LEAST_SECONDS = 60.0
"""So long may each of these take, however late it is."""
MOST_BESIDE = 2
"""So many other places of one answer are examined for themselves."""
WORLDS_TRIED = 3
"""So many of the worlds that show a deviation are tried, one after the other, until one leads to a difference."""


@dataclass(frozen=True)
class Evidence:
    """A world that ran, what it was compared with, and where it deviates."""

    reference: Reference
    execution: Execution
    deviations: tuple[Deviation, ...]


class Examination:
    """Turns evidence into differences and notes. `boot` is the reference of real boots; `latest`, in seconds since
    the experiment began, is when no further step is looked at."""

    def __init__(
        self, boot: Reference, evidence: Sequence[Evidence], *, latest: float, say: Callable[[str], None]
    ) -> None:
        self.notes: list[Note] = []
        self.unexamined: list[int] = []
        self._boot = boot
        self._known = Known(boot.workload)
        self._evidence = evidence
        self._say = say
        self._latest = latest
        self._about = ""
        self._blame = Blame(
            boot.laboratory,
            boot.workload,
            boot.defaults,
            boot.laboratory.ground.sockets,
            latest=latest + LEAST_SECONDS,
            say=lambda text: say(f"{self._about}: {text}"),
        )

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What was found, in the order of the requests that show it."""
        return self._known.differences

    @property
    def is_blind(self) -> bool:
        """Whether it was seen that the processes cannot be looked into."""
        return self._blame.is_blind

    @property
    def _workload(self) -> Workload:
        return self._boot.workload

    async def run(self) -> None:
        """Examine every step that deviates in some world, the first of each endpoint first, then the stores."""
        tally = self._boot.laboratory.tally
        began = tally.elapsed
        suspects = self._suspects()
        for observer in distinct_first(self._workload, list(suspects)):
            if tally.elapsed > self._latest or (self._known and tally.elapsed - began > EXAMINE_SECONDS):
                self.unexamined.append(observer)
            else:
                self._about = step_text(self._workload, observer)
                await self._step(observer, suspects[observer])
        await self._stores()
        self.unexamined.sort()

    def _suspects(self) -> dict[int, list[tuple[Evidence, Deviation]]]:
        """Steps that deviate -> the worlds in which they do, and the first deviation there."""
        found: dict[int, list[tuple[Evidence, Deviation]]] = {}
        for evidence in self._evidence:
            seen = set()
            for deviation in evidence.deviations:
                if deviation.step is not None and deviation.step not in seen:
                    seen.add(deviation.step)
                    found.setdefault(deviation.step, []).append((evidence, deviation))
        return found

    async def _step(self, observer: int, suspects: Sequence[tuple[Evidence, Deviation]]) -> None:
        for evidence, deviation in suspects[:WORLDS_TRIED]:
            if deviation.identity:
                self._note(deviation, "a process's own name, id or address is shown")
                return
            told = await self._known_elsewhere(observer, deviation, evidence)
            if told is None:
                told = await self._made_small(observer, deviation, evidence)
            if told is not None:
                await self._beside(told, deviation, evidence)
                return

    async def _made_small(
        self, observer: int, like: Deviation, evidence: Evidence, *, exact: bool = False
    ) -> Case | None:
        """The least case that shows this at `observer`, once it is told as a difference or with a known one; None
        where it is not shown again. `exact`: at the very place of `like`."""
        case = await self._find_case(observer, like, evidence, exact=exact)
        if case is None:
            return None
        shrunk = await self._shrink(case, like, evidence, likely_writers(self._workload, observer), exact=exact)
        is_told = (
            self._known.lists(shrunk.case, like)
            or await self._follows(shrunk.case, like, evidence)
            or await self._explained(shrunk.case, like, evidence)
            or await self._settle(shrunk.case, like, evidence, shrunk.minimal, exact=exact)
        )
        return shrunk.case if is_told else None

    async def _beside(self, told: Case, like: Deviation, evidence: Evidence) -> None:
        """What else differs in the same answer, though the least case that shows `like` does not show it: another
        request left it, which may be another leak."""
        others = {
            general(each.place): each
            for each in reversed(evidence.deviations)
            if each.step == like.step and not each.identity
        }
        if len(others) < 2:
            return
        shown = places_at(await evidence.reference.deviations_of(told, like), len(told.kept) - 1)
        for place in [place for place in others if place not in shown][:MOST_BESIDE]:
            await self._made_small(told.observer, others[place], evidence, exact=True)

    async def _shrink(
        self,
        case: Case,
        like: Deviation,
        evidence: Evidence,
        guesses: Sequence[int] = (),
        most: int = 60,
        *,
        exact: bool = False,
    ) -> Shrunk:
        self._say(f"{self._about}: making the difference small")
        smallest = len(case.kept)

        async def shows(candidate: Case) -> bool:
            nonlocal smallest
            shown = await evidence.reference.shows(candidate, like, exact=exact)
            if shown and len(candidate.kept) < smallest:
                smallest = len(candidate.kept)
                self._say(f"{self._about}: {smallest} requests show it")
            return shown

        tally = self._boot.laboratory.tally
        end = min(tally.elapsed + SHRINK_SECONDS, max(tally.elapsed + LEAST_SECONDS, self._latest))
        return await shrink(
            self._workload, case, shows, guesses=guesses, most=most, goes_on=lambda: tally.elapsed < end
        )

    async def _follows(self, case: Case, like: Deviation, evidence: Evidence) -> bool:
        """Whether this is what comes of a known difference: one of the requests that it takes is answered in another
        way itself (a write that was refused), and that is known. Then this observer is listed with it."""
        known = self._known.shown_at(case.kept[:-1])
        if not known:
            return False
        deviations = await evidence.reference.deviations_of(case, like)
        if find_like(deviations, case, like) is None:
            return False
        differing = {case.kept[each.step] for each in deviations if each.step is not None}
        for number, steps in known:
            if steps & differing:
                self._known.list_with(number, case.observer)
                return True
        return False

    async def _explained(self, case: Case, like: Deviation, evidence: Evidence) -> bool:
        """Whether what confirmed a known difference that shares a writer with this case explains all of it, though it
        takes other requests: then this observer is listed with that one, and nothing is looked for anew."""
        known = () if like.step is None else self._known.confirmed_of(case.kept[:-1])
        if not known:
            return False
        deviations, question = await asyncio.gather(
            evidence.reference.deviations_of(case, like), ask(self._boot, evidence.reference, case, like)
        )
        shown = places_at(deviations, question.last)
        for number, each in known:
            if shown and await self._blame.explained(each.culprit, question, shown) >= shown:
                self._known.list_with(number, case.observer)
                return True
        return False

    async def _known_elsewhere(self, observer: int, like: Deviation, evidence: Evidence) -> Case | None:
        """The case by which the writers of a known difference, or steps like them, show this one too: then it is
        listed with that one where its culprit explains all of it; else only its own culprit is looked for."""
        for number, known in self._known:
            if known.deviation.step is None:
                continue
            for case in elsewhere(self._workload, known.case, observer):
                deviations = await evidence.reference.deviations_of(case, like)
                if find_like(deviations, case, like) is None:
                    continue
                if self._known.lists(case, like):
                    return case
                if self._blame.is_blind and known.culprit.is_nameless:
                    # As far as can be seen, it is what the same requests leave.
                    self._known.list_with(number, observer)
                    return case
                if not known.culprit.confirmed:
                    return case if await self._settle(case, like, evidence, known.minimal) else None
                question = await ask(self._boot, evidence.reference, case, like)
                shown = places_at(deviations, question.last)
                explained = await self._blame.explained(known.culprit, question, shown)
                if explained >= shown:
                    self._known.list_with(number, observer)
                    return case
                if not explained:
                    return case if await self._settle(case, like, evidence, known.minimal) else None
                rest = [
                    each for each in deviations if each.step == question.last and general(each.place) not in explained
                ]
                unexplained = replace(rest[0], step=observer)
                settled = await self._settle(case, unexplained, evidence, known.minimal, beside=number)
                return case if settled else None
        return None

    async def _find_case(
        self, observer: int, like: Deviation, evidence: Evidence, *, exact: bool = False
    ) -> Case | None:
        """A placement that shows the deviation again, simplest first."""
        workers = bool(self._boot.laboratory.ground.given.workers)
        for case in likely_cases(evidence.execution.schedule, observer, self._workload.quiet(), workers=workers):
            if await evidence.reference.shows(case, like, exact=exact):
                return case
        return None

    async def _settle(
        self,
        case: Case,
        like: Deviation,
        evidence: Evidence,
        minimal: bool,
        beside: int | None = None,
        *,
        exact: bool = False,
    ) -> bool:
        """Confirm, and tell a difference from what only looks like one; then look for the culprit.

        `beside`: the known difference (by number) whose culprit explains all but this place of the same answer; what
        no other culprit is found for is listed with that one.
        """
        self._say(f"{self._about}: confirming the difference")
        confirmed = await confirm(self._boot, evidence.reference, case, like)
        if confirmed is None:
            return False
        if isinstance(confirmed, str):
            self._note(like, confirmed)
            return True
        is_old = minimal and all(deviation.outdated for deviation in confirmed.shown)
        deviation = replace(confirmed.shown[0], step=like.step, outdated=False)
        difference = Difference(
            deviation=turned(deviation) if is_old else deviation,
            case=confirmed.case,
            world=evidence.execution.schedule.name,
            requests=tuple(step_text(self._workload, step) for step in case.kept),
            shown=CONFIRMATIONS,
            tried=CONFIRMATIONS,
            minimal=minimal,
        )
        question = await ask(self._boot, evidence.reference, difference.case, like, exact=exact or beside is not None)
        culprit = await self._culprit(difference, question)
        if beside is not None and not culprit.confirmed:
            self._known.list_with(beside, case.observer)
        else:
            self._known.add(replace(difference, culprit=culprit))
        return True

    async def _culprit(self, difference: Difference, question: Question) -> Culprit:
        case, told = difference.case, difference.deviation
        if case.end == "KILL" and told.store is not None:
            return await self._blame.culprit_in_killed(question)
        if case.renewed and len(set(case.slots) - {NOWHERE}) == 1:
            return await self._blame.culprit_in_workers(question)
        return await self._blame.culprit(question, held_here=told.kind == "stale" and not told.outdated)

    async def _stores(self) -> None:
        """Stores that differ though every answer was right: a lost write, a row written twice."""
        if self._known:
            return
        for evidence in self._evidence:
            if not evidence.deviations or evidence.deviations[0].step is not None:
                continue
            like, schedule = evidence.deviations[0], evidence.execution.schedule
            case = cut_after(schedule, len(self._workload.steps) - 1)
            if not await evidence.reference.shows(case, like):
                continue
            self._about = f"store {like.store}"
            shrunk = await self._shrink(case, like, evidence, most=30)
            if await self._settle(shrunk.case, like, evidence, shrunk.minimal):
                return

    def _note(self, deviation: Deviation, text: str) -> None:
        note = Note(deviation.step, deviation.place, text)
        if note not in self.notes:
            self.notes.append(note)
