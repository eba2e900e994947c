"""The experiment: warm worlds, then all others; every deviation confirmed, made small, and told from noise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fungible.verify import schedule as schedules
from fungible.verify.binding import infer_bindings
from fungible.verify.blame import Blame
from fungible.verify.canary import EXPECTED
from fungible.verify.case import Case, closure, cut_after, observer_alone, part, workers_renewed
from fungible.verify.compare import Deviation, Relations, compare, learn, not_judged, sensitivity
from fungible.verify.coverage import coverage
from fungible.verify.findings import LIMITS, Culprit, Difference, Findings, Note
from fungible.verify.laboratory import Laboratory
from fungible.verify.schedule import Schedule
from fungible.verify.shrink import likely_writers, shrink
from fungible.verify.steps import Job, Request, Workload
from fungible.verify.world import Execution

WARM_RUNS = 3
CONFIRMATIONS = 3
EXAMINE_SECONDS = 240.0
"""Once a difference is found, further ones are only examined for so long; the rest is listed."""


@dataclass(frozen=True)
class Wishes:
    """How far to go. `budget` is in seconds, None for no limit; without `masks` only the newborn world runs."""

    budget: float | None = None
    masks: bool = True


class NotJudged(Exception):
    """The app or the workload cannot be judged; the reasons are its arguments."""


class Experiment:
    """One workload on one ground."""

    def __init__(
        self, laboratory: Laboratory, workload: Workload, wishes: Wishes, *, say: Callable[[str], None]
    ) -> None:
        self._laboratory = laboratory
        self._written = workload
        self._workload = workload
        self._wishes = wishes
        self._say = say
        self._defaults: dict[str, str] = {}
        self._warm: list[Execution] = []
        self._relations: Relations | None = None
        self._others: list[Execution] = []
        self._notes: list[Note] = []
        self._differences: list[Difference] = []
        self._canaries: tuple[str, ...] = ()
        self._small: dict[tuple[int, ...], list[Execution]] = {}
        self._noisy: set[tuple[int | None, tuple[str, ...]]] = set()
        self._unexamined: list[int] = []

    @property
    def relations(self) -> Relations:
        """What the warm worlds have in common."""
        assert self._relations is not None
        return self._relations

    @property
    def _quiet(self) -> frozenset[int]:
        return self._workload.quiet()

    async def run(self) -> Findings:
        """The whole experiment."""
        try:
            await self._warm_up()
            self._canaries = await self._laboratory.ground.canaries()
            blind = [each for each in EXPECTED if each not in self._canaries]
            if blind:
                raise NotJudged(
                    f"the planted {' and the '.join(blind)} were not found: this machine or set-up hides state, so "
                    "nothing can be said about the app (fungible doctor)"
                )
            await self._run_worlds()
            await self._examine()
        except NotJudged as reason:
            return self._findings(tuple(str(each) for each in reason.args))
        return self._findings(())

    async def _warm_up(self) -> None:
        """The reference: repeated on processes of their own, so that what legally varies is seen to vary."""
        self._say("warm world")
        schedule = schedules.warm(len(self._workload.steps), self._quiet)
        first = await self._laboratory.run(schedule, self._workload, skew=False)
        self._check_warm(first)
        bound = infer_bindings(self._written, first.transcript)
        second = await self._laboratory.run(schedule, bound, defaults=first.variables)
        if _statuses(second) != _statuses(first):
            # A literal id whose maker never showed it: ids cannot be moved, so they stay where they are.
            self._laboratory.skewed = False
            second = await self._laboratory.run(schedule, bound, defaults=first.variables)
            if _statuses(second) != _statuses(first):
                bound = self._written
                second = await self._laboratory.run(schedule, bound, defaults=first.variables)
        self._workload = bound
        self._defaults = dict(second.variables)
        if self._laboratory.skewed:
            self._warm = [second]
        else:
            self._warm = [first, second]
        missing = WARM_RUNS - len(self._warm)
        more = await asyncio.gather(*(self._run(schedule) for _ in range(missing)))
        self._warm += more
        self._learn()

    def _check_warm(self, first: Execution) -> None:
        if first.failures:
            raise NotJudged(f"the app did not come up: {first.failures[0]}")
        requests = [
            answer
            for step, answer in zip(self._workload.steps, first.transcript.answers, strict=True)
            if isinstance(step, Request)
        ]
        if not requests:
            raise NotJudged("the workload has no request; record some, or write them by hand")
        bad = sum(answer.status == 0 or answer.status >= 400 for answer in requests)
        if bad > 0.8 * len(requests) and bad > 1:
            worst = next(answer for answer in requests if answer.status == 0 or answer.status >= 400)
            what = worst.fault or str(worst.status)
            raise NotJudged(
                f"{bad} of {len(requests)} requests failed in one warm process (the first with {what}): the workload "
                "does not fit this app or its data; check the paths, the `host`, a login, or add a `setup`"
            )
        if first.servers > 1:
            raise NotJudged(
                f"the command of `web` runs {first.servers} servers behind one port, which hides state by chance; "
                "start one (gunicorn -w 1, uvicorn --workers 1) and scale with web=N"
            )

    def _learn(self) -> None:
        ignored = [
            index for index, step in enumerate(self._workload.steps) if isinstance(step, Request) and step.ignore_body
        ]
        self._relations = learn(
            [each.transcript for each in self._warm],
            self._workload.masks,
            ignored,
            [each.window for each in self._warm],
        )
        alone = learn([self._warm[0].transcript], self._workload.masks, ignored, [self._warm[0].window])
        self._noisy = {
            (deviation.step, _sort(deviation))
            for other in self._warm[1:]
            for deviation in compare(alone, other.transcript)
        }

    async def _run(
        self, schedule: Schedule, workload: Workload | None = None, *, equal_seeds: bool = False
    ) -> Execution:
        return await self._laboratory.run(
            schedule, workload or self._workload, defaults=self._defaults, equal_seeds=equal_seeds
        )

    async def _run_worlds(self) -> None:
        """All other worlds, in order: masks first to last, so that a budget cuts coverage and never truth."""
        n = len(self._workload.steps)
        wanted: list[Schedule] = []
        if n - len(self._quiet) > 1:
            wanted.append(schedules.newborn(n, quiet=self._quiet))
            if self._wishes.masks:
                wanted += schedules.splits(n, self._quiet)
            middle = n // 2
            if 0 < middle < n:
                wanted.append(schedules.late(n, middle, self._quiet))
        queue = list(enumerate(wanted))
        done: list[tuple[int, Execution]] = []

        async def work() -> None:
            while queue and not self._over_budget():
                position, schedule = queue.pop(0)
                self._say(f"{schedule.name} world ({len(done) + 1} of {len(wanted)})")
                done.append((position, await self._run(schedule)))

        await asyncio.gather(*(work() for _ in range(self._laboratory.lanes)))
        self._others = [execution for _, execution in sorted(done, key=lambda each: each[0])]

    def _over_budget(self) -> bool:
        return self._wishes.budget is not None and self._laboratory.tally.elapsed > self._wishes.budget

    async def _examine(self) -> None:
        """For every step at which some world deviates: is it real, and what is the least that shows it?"""
        judged: set[int] = set()
        began = self._laboratory.tally.elapsed
        while True:
            suspects = self._suspects()
            open_ones = [step for step in suspects if step not in judged]
            if not open_ones:
                break
            observer = open_ones[0]
            judged.add(observer)
            if self._differences and self._laboratory.tally.elapsed - began > EXAMINE_SECONDS:
                self._unexamined.append(observer)
                continue
            await self._examine_step(observer, suspects[observer])
        await self._examine_stores()

    def _suspects(self) -> dict[int, list[tuple[Execution, Deviation]]]:
        """Steps that deviate -> the worlds in which they do, newborn first."""
        found: dict[int, list[tuple[Execution, Deviation]]] = {}
        for execution in self._others:
            for deviation in compare(self.relations, execution.transcript):
                if deviation.step is None:
                    continue
                evidence = found.setdefault(deviation.step, [])
                if all(execution is not other for other, _ in evidence):
                    evidence.append((execution, deviation))
        return dict(sorted(found.items()))

    async def _examine_step(self, observer: int, evidence: Sequence[tuple[Execution, Deviation]]) -> None:
        if self._explained(observer):
            return
        for execution, deviation in evidence[:3]:
            if deviation.identity:
                self._note(deviation, "a process's own name, id or address is shown")
                return
            if await self._same_writers(observer, deviation, execution):
                return
            case = await self._find_case(observer, execution, deviation)
            if case is None:
                continue
            self._say(f"request {observer}: making the difference small")
            shrunk = await shrink(
                self._workload,
                case,
                lambda candidate, like=deviation: self._shows(candidate, like),  # type: ignore[misc]
                guesses=likely_writers(self._workload, observer),
            )
            difference = await self._confirm(shrunk.case, deviation, execution.schedule.name, shrunk.minimal)
            if difference is not None:
                await self._report_with_culprit(difference, deviation)
                return

    async def _report_with_culprit(self, difference: Difference, like: Deviation) -> None:
        """Add the difference, with what held the state where that can be found."""
        self._say(f"request {difference.observer}: looking for what held the state")
        case = difference.case
        blame = Blame(self._laboratory, self._workload, self._defaults, self._laboratory.ground.sockets)
        if case.renewed and len(set(case.slots) - {-1}) == 1:
            self._differences.append(replace(difference, culprit=Culprit(where="memory of a worker process")))
            return
        culprit = await blame.culprit(
            difference,
            await self._relations_of(case.kept, like, WARM_RUNS),
            lambda deviations: self._like(deviations, case, like) is not None,
        )
        difference = replace(difference, culprit=culprit)
        for index, known in enumerate(self._differences):
            if culprit.confirmed and (known.culprit.object, known.culprit.file) == (culprit.object, culprit.file):
                self._differences[index] = replace(known, also=(*known.also, difference.observer))
                return
        self._differences.append(difference)

    def _explained(self, observer: int) -> bool:
        """Whether a known difference's writers explain this one: then it is listed with that."""
        request = self._workload.steps[observer]
        for index, known in enumerate(self._differences):
            seen = self._workload.steps[known.observer]
            if (
                isinstance(request, Request)
                and isinstance(seen, Request)
                and (request.method, _route(request.path)) == (seen.method, _route(seen.path))
            ):
                self._differences[index] = replace(known, also=(*known.also, observer))
                return True
        return False

    async def _same_writers(self, observer: int, deviation: Deviation, execution: Execution) -> bool:
        """Whether the writers of a known difference show this one too: then only its culprit is looked for."""
        for known in self._differences:
            writers = known.case.kept[:-1]
            if max(writers, default=observer) >= observer or known.deviation.step is None:
                continue
            kept = closure(self._workload, set(writers), observer)
            slots = dict(zip(known.case.kept, known.case.slots, strict=True))
            home, away = known.case.slots[-1], known.case.slots[0]
            case = replace(known.case, kept=kept, slots=(*(slots.get(step, away) for step in kept[:-1]), home))
            if len(kept) <= len(known.case.kept) and await self._shows(case, deviation):
                difference = await self._confirm(case, deviation, execution.schedule.name, known.minimal)
                if difference is not None:
                    await self._report_with_culprit(difference, deviation)
                    return True
        return False

    async def _find_case(self, observer: int, execution: Execution, deviation: Deviation) -> Case | None:
        """A placement that shows the deviation again, simplest first."""
        candidates = []
        if observer > 0:
            candidates.append(observer_alone(observer, self._quiet))
        if execution.schedule.kind != "newborn":
            candidates.append(cut_after(execution.schedule, observer))
        elif self._quiet and self._laboratory.ground.given.workers:
            candidates.append(workers_renewed(observer, self._quiet))
        for case in candidates:
            if await self._shows(case, deviation):
                return case
        if execution.schedule.kind == "newborn":
            case = Case(
                tuple(range(observer + 1)),
                tuple(-1 if step in self._quiet else step for step in range(observer + 1)),
                renewed=True,
            )
            if await self._shows(case, deviation):
                return case
        return None

    async def _shows(self, case: Case, like: Deviation) -> bool:
        """Run the case; is the observer different from the case's own warm run in the same way?"""
        workload = part(self._workload, case.kept)
        relations, execution = await asyncio.gather(
            self._relations_of(case.kept, like), self._run(case.schedule(), workload)
        )
        return self._like(compare(relations, execution.transcript), case, like) is not None

    async def _relations_of(self, kept: tuple[int, ...], like: Deviation, least: int | None = None) -> Relations:
        """What warm runs of only these steps have in common.

        One run is enough where the full warm runs never differed in what `like` is about; else two. More where
        `least` asks for them.
        """
        if len(kept) == len(self._workload.steps):
            return self.relations
        if least is None:
            least = 2 if (like.step, _sort(like)) in self._noisy or like.step is None else 1
        workload = part(self._workload, kept)
        runs = self._small.setdefault(kept, [])
        warm = schedules.warm(len(kept), workload.quiet())
        missing = max(0, least - len(runs))
        runs += await asyncio.gather(*(self._run(warm, workload) for _ in range(missing)))
        ignored = [i for i, step in enumerate(workload.steps) if isinstance(step, Request) and step.ignore_body]
        return learn([each.transcript for each in runs], workload.masks, ignored, [each.window for each in runs])

    @staticmethod
    def _like(deviations: Sequence[Deviation], case: Case, like: Deviation) -> Deviation | None:
        """The deviation at the observer that is of the same sort, if there is one."""
        last = len(case.kept) - 1
        for deviation in deviations:
            if like.step is None:
                if deviation.store == like.store and deviation.store is not None:
                    return deviation
            elif deviation.step == last and _sort(deviation) == _sort(like):
                return deviation
        return None

    async def _confirm(self, case: Case, like: Deviation, world: str, minimal: bool) -> Difference | None:
        """Three of three, and none of three warm: only then it is one. Order by hash seed alone is a note."""
        workload = part(self._workload, case.kept)
        relations = await self._relations_of(case.kept, like, WARM_RUNS)
        runs = await asyncio.gather(*(self._run(case.schedule(), workload) for _ in range(CONFIRMATIONS)))
        found = [self._like(compare(relations, run.transcript), case, like) for run in runs]
        shown = [deviation for deviation in found if deviation is not None]
        if len(shown) < CONFIRMATIONS:
            return None
        if all(deviation.order_only for deviation in shown):
            equal = await self._run(case.schedule(), workload, equal_seeds=True)
            if self._like(compare(relations, equal.transcript), case, like) is None:
                self._note(like, "the order depends on the hash seed alone")
                return None
        if all(deviation.identity for deviation in shown):
            self._note(like, "a process's own name, id or address is shown")
            return None
        return Difference(
            deviation=replace(shown[0], step=like.step),
            case=case,
            world=world,
            requests=tuple(describe(self._workload, step) for step in case.kept),
            shown=len(shown),
            tried=CONFIRMATIONS,
            minimal=minimal,
        )

    async def _examine_stores(self) -> None:
        """Stores that differ though every answer was right: a lost write, a row written twice."""
        for execution in self._others:
            deviations = compare(self.relations, execution.transcript)
            if not deviations or deviations[0].step is not None or self._differences:
                continue
            last = len(self._workload.steps) - 1
            case = cut_after(execution.schedule, last)
            if execution.schedule.kind == "newborn":
                case = Case(case.kept, execution.schedule.placement)
            again = await self._run(execution.schedule)
            if self._like(compare(self.relations, again.transcript), case, deviations[0]) is None:
                continue
            shrunk = await shrink(
                self._workload,
                case,
                lambda candidate, like=deviations[0]: self._shows(candidate, like),  # type: ignore[misc]
                most=30,
            )
            difference = await self._confirm(shrunk.case, deviations[0], execution.schedule.name, shrunk.minimal)
            if difference is not None:
                await self._report_with_culprit(difference, deviations[0])
                return

    def _note(self, deviation: Deviation, text: str) -> None:
        note = Note(deviation.step, deviation.place, text)
        if note not in self._notes:
            self._notes.append(note)

    def _findings(self, reasons: tuple[str, ...]) -> Findings:
        tally = self._laboratory.tally
        ground = self._laboratory.ground
        relations = self._relations
        unjudged = not_judged(relations) if relations is not None else ()
        verdict = "stateful" if self._differences else "not_judged" if reasons else "no_difference"
        n = len(self._workload.steps)
        run = [each.schedule for each in (*self._warm, *self._others)]
        return Findings(
            verdict=verdict,  # type: ignore[arg-type]
            app=ground.app.name,
            steps=n,
            worlds=tally.worlds,
            executions=tally.executions,
            boots=tally.boots,
            seconds=round(tally.elapsed, 2),
            isolation=ground.isolation.level,
            coverage=coverage(run, n),
            differences=tuple(self._differences),
            notes=tuple(self._notes),
            not_judged=unjudged,
            sensitivity=sensitivity(relations, self._warm[0].transcript) if relations is not None else None,
            canaries=self._canaries,
            reasons=reasons,
            not_covered=LIMITS,
            warnings=(*self._written.warnings, *self._advice()),
        )

    def _advice(self) -> list[str]:
        advice = []
        if self._unexamined:
            steps = ", ".join(f"#{step}" for step in self._unexamined)
            advice.append(f"also different, not examined for lack of time: {steps}; mend the above and verify again")
        if not self._laboratory.ground.stores:
            advice.append(
                "no backing service is declared, so no store was put back or compared; declare them under "
                "[tool.fungible.services]"
            )
        return advice


def describe(workload: Workload, step: int) -> str:
    """`#2 GET /items` as people read it."""
    it = workload.steps[step]
    if isinstance(it, Request):
        return f"#{step} {it.method} {it.path}"
    return f"#{step} job {it.command}" if isinstance(it, Job) else f"#{step} until quiet"


def _statuses(execution: Execution) -> list[tuple[int, str | None]]:
    return [(answer.status, answer.fault) for answer in execution.transcript.answers]


def _sort(deviation: Deviation) -> tuple[str, ...]:
    """Deviations of one sort have the same first part of their place."""
    head = deviation.place.split(".")[0].split("[")[0]
    return ("status",) if deviation.place in ("status", "fault") else (head,)


def _route(path: str) -> str:
    return path.partition("?")[0]
