"""The experiment: warm worlds, then all others; then every deviation is examined, and the findings summed up."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fungible.verify.compare import Deviation, Relations, Sensitivity, not_judged, sensitivity
from fungible.verify.cuts import MOST_IMPORTED, MOST_LATE, late_cuts, writing_steps
from fungible.verify.examine import Evidence, Examination
from fungible.verify.findings import LIMITS, Findings, Verdict, WorldRow
from fungible.verify.fitness import NotJudged, check_enough
from fungible.verify.reference import Reference
from fungible.verify.schedule import schedule as schedules
from fungible.verify.schedule.coverage import coverage
from fungible.verify.schedule.schedule import Schedule
from fungible.verify.warming import WarmUp
from fungible.verify.workload.steps import Workload, step_text
from fungible.verify.world.laboratory import Laboratory
from fungible.verify.world.world import Execution

_Result = TypeVar("_Result")
BOOT_IN_FORKS = 10
"""So many times longer than a fork takes a boot, or more (benchmarks/bench_verify.py)."""
SWITCH_SECONDS = 0.0005
"""After so long a thread that compares answers lets the event loop go on. With CPython's 5 ms a request, which wakes
the loop several times, would wait several times so long while anything is compared (sys.setswitchinterval)."""
BUDGET_SECONDS = 360.0
"""After which no world is added where nothing else is wished: an app that boots in half a minute has an answer in the
time for which people and build servers wait."""

_GONE = frozenset({"reset", "refused", "cut"})

EXAMINE_LATEST = 240.0
"""Seconds after the budget for worlds, when no further step is examined."""


@dataclass(frozen=True)
class Wishes:
    """How far to go. `budget` is in seconds, from the start, None for BUDGET_SECONDS; without `masks` no split worlds
    run. `mode` is `fork`, `boot`, or `auto`: fork where that can be done, and say why where not."""

    budget: float | None = None
    masks: bool = True
    mode: str = "auto"


class Experiment:
    """One workload on one ground."""

    def __init__(
        self, laboratory: Laboratory, workload: Workload, wishes: Wishes, *, say: Callable[[str], None]
    ) -> None:
        self._laboratory = laboratory
        self._written = workload
        self._wishes = wishes
        self._say = say
        self._boot: Reference | None = None
        self._fork: Reference | None = None
        self._meanwhile: list[asyncio.Task[Any]] = []
        self._sensing: asyncio.Task[tuple[Relations, Sensitivity]] | None = None
        self._evidence: list[Evidence] = []
        self._examination: Examination | None = None
        self._warnings: list[str] = []
        self._warm_up = WarmUp(laboratory, workload, wishes.mode, begin=self._begin, say=say)

    async def run(self) -> Findings:
        """The whole experiment."""
        before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            boot = await self._warm_up.boots()
            self._fork = await self._warm_up.forks(boot)
            self._sensing = self._begin(self._sense(boot))
            await self._run_worlds(boot)
            await self._warm_up.learned()
            self._boot = boot
            latest = self._budget + EXAMINE_LATEST
            self._examination = Examination(self._boot, self._evidence, latest=latest, say=self._say)
            await self._examination.run()
            unexamined = self._examination.unexamined
            if unexamined and not self._examination.differences:
                steps = "1 step is" if len(unexamined) == 1 else f"{len(unexamined)} steps are"
                raise NotJudged(
                    f"{steps} answered otherwise in some world, which could neither be confirmed nor ruled out in "
                    f"time: {step_text(self._boot.workload, unexamined[0])}; a longer --budget gives it more"
                )
            if not self._examination.differences:
                check_enough(self._boot.workload, self._boot.warm[0])
        except NotJudged as reason:
            return self._findings(tuple(str(each) for each in reason.args))
        finally:
            for task in self._meanwhile:
                task.cancel()
            await asyncio.gather(*self._meanwhile, return_exceptions=True)
            await self._laboratory.close()
            sys.setswitchinterval(before)
        return self._findings(())

    def _begin(self, work: Coroutine[Any, Any, _Result]) -> asyncio.Task[_Result]:
        """Have it done while other things are; what comes of it is asked for later."""
        task = asyncio.ensure_future(work)
        self._meanwhile.append(task)
        return task

    async def _sense(self, boot: Reference) -> tuple[Relations, Sensitivity]:
        """How well the comparison can see, found while worlds run."""
        await self._warm_up.learned()
        return await asyncio.to_thread(_sensed, boot)

    async def _run_worlds(self, boot: Reference) -> None:
        """All other worlds: masks first to last, so that a budget cuts coverage and never truth. Those that take
        longest begin first, unless somebody chose the budget: then no lane waits for another one at the end."""
        wanted = self._wanted(boot)
        queue = list(enumerate(wanted))
        if self._wishes.budget is None:
            queue.sort(key=lambda each: _births(each[1][0], booted=each[1][1] is boot), reverse=True)
        judging: list[asyncio.Task[tuple[int, Evidence]]] = []
        one_by_one = asyncio.Lock()
        deaths: set[int] = set()
        """Steps at which a process ended by itself, and did so again when that world was run once more."""
        races: list[str] = []

        async def judge(
            position: int, reference: Reference, execution: Execution, *, is_second: bool = False
        ) -> tuple[int, Evidence]:
            """In a thread: other worlds go on meanwhile."""
            await self._warm_up.learned()
            async with one_by_one:
                deviations = await asyncio.to_thread(reference.deviations, execution)
            if reference is self._warm_up.imports and _is_strange(execution, deviations):
                return await judge(position, boot, await boot.run(execution.schedule))
            died = _deaths(deviations)
            if not died or died & deaths or is_second:
                return position, Evidence(reference, execution, deviations)
            # It may have lost a race that is no matter of requests (two that make the same table as they start): what
            # comes of requests comes again.
            judged = await judge(position, reference, await reference.run(execution.schedule), is_second=True)
            again = died & _deaths(judged[1].deviations)
            deaths.update(again)
            if not again:
                races.append(_died_once(boot.workload, execution, min(died)))
            return judged

        async def work() -> None:
            while queue and not self._over_budget():
                position, (schedule, reference) = queue.pop(0)
                self._say(f"{schedule.name} world ({len(wanted) - len(queue)} of {len(wanted)})")
                judging.append(self._begin(judge(position, reference, await reference.run(schedule))))

        await asyncio.gather(*(work() for _ in range(self._laboratory.lanes)))
        done = await asyncio.gather(*judging)
        self._evidence = [evidence for _, evidence in sorted(done, key=lambda each: each[0])]
        if races:
            more = f" (so it was in {len(races) - 1} more)" if len(races) > 1 else ""
            self._warnings.append(races[0] + more)
        if queue:
            self._warnings.append(
                f"{len(queue)} of {len(wanted)} worlds were left out after {self._budget:g} s; "
                "a longer --budget runs them too"
            )

    def _wanted(self, boot: Reference) -> list[tuple[Schedule, Reference]]:
        workload = boot.workload
        n, quiet = len(workload.steps), workload.quiet()
        if n - len(quiet) < 2:
            return []
        fast = self._fork or boot
        wanted: list[tuple[Schedule, Reference]] = [(schedules.newborn(n, quiet=quiet), fast)]
        if self._wishes.masks:
            wanted += [(each, fast) for each in schedules.splits(n, quiet)]
        late = self._warm_up.imports or boot
        cuts = late_cuts(workload, forked=fast is not boot, most=self._most_late)
        wanted += [(schedules.relieved(n, each, quiet), late) for each in (cuts[::2], cuts[1::2]) if each]
        if late is not boot:  # what packages read when they are loaded, and what a server reads itself
            wanted.append((schedules.relieved(n, late_cuts(workload, forked=False), quiet), boot))
        writes = writing_steps(workload)
        if writes and self._laboratory.ground.stores:
            wanted.append((schedules.killed(n, writes, quiet=quiet), fast))
        return wanted

    @property
    def _most_late(self) -> int:
        return MOST_LATE if self._warm_up.imports is None else MOST_IMPORTED

    @property
    def _budget(self) -> float:
        return BUDGET_SECONDS if self._wishes.budget is None else self._wishes.budget

    def _over_budget(self) -> bool:
        return self._laboratory.tally.elapsed > self._budget

    def _findings(self, reasons: tuple[str, ...]) -> Findings:
        tally, ground = self._laboratory.tally, self._laboratory.ground
        reference, examined = self._boot, self._examination
        differences = tuple(examined.differences) if examined else ()
        verdict: Verdict = "stateful" if differences else "not_judged" if reasons else "no_difference"
        n = len(self._written.steps)
        run = [each.execution for each in self._evidence]
        warm = reference.warm if reference else []
        return Findings(
            verdict=verdict,
            app=ground.app.name,
            steps=n,
            worlds=tally.worlds,
            executions=tally.executions,
            boots=tally.boots,
            seconds=round(tally.elapsed, 2),
            isolation=ground.isolation.level,
            coverage=coverage([each.schedule for each in (*warm, *run)], n),
            differences=differences,
            notes=tuple(examined.notes) if examined else (),
            not_judged=not_judged(reference.relations) if reference else (),
            sensitivity=self._sensitivity(reference) if reference else None,
            canaries=self._warm_up.canaries,
            reasons=reasons,
            not_covered=LIMITS,
            warnings=(*self._written.warnings, *self._warm_up.warnings, *self._warnings, *self._advice()),
            mode="fork" if self._fork else "boot",
            grid=(
                *(WorldRow(each.schedule.name, each.schedule.placement) for each in warm),
                *(_row(each) for each in self._evidence),
            ),
            workload=reference.workload if reference else self._written,
            variables=reference.defaults if reference else {},
        )

    def _sensitivity(self, reference: Reference) -> Sensitivity:
        """As it was found while worlds ran, unless more was learned since."""
        if self._sensing is not None and self._sensing.done() and not self._sensing.cancelled():
            relations, found = self._sensing.result()
            if relations is reference.relations:
                return found
        return _sensed(reference)[1]

    def _advice(self) -> list[str]:
        advice = []
        if self._examination and self._examination.unexamined:
            steps = ", ".join(f"#{step}" for step in self._examination.unexamined)
            advice.append(f"also different, not examined for lack of time: {steps}; mend the above and verify again")
        if self._examination and self._examination.is_blind:
            advice.append(
                "no object in memory is named: the processes that serve are not Python's, or take neither PYTHONPATH "
                "nor what it brings"
            )
        writes = len(writing_steps(self._written))
        if self._fork is not None and writes > self._most_late + 1:
            advice.append(
                f"a process was booted late after {self._most_late} of {writes} writing steps only: what is read "
                "once, at boot, may have been missed; shorter workloads, or --mode boot, look after every step"
            )
        if not self._laboratory.ground.stores:
            advice.append(
                "no backing service is declared, so no store was put back or compared; declare them under "
                "[tool.fungible.services]"
            )
        return advice


def _sensed(reference: Reference) -> tuple[Relations, Sensitivity]:
    """How well what is known so far can see, with what is known."""
    return reference.relations, sensitivity(reference.relations, reference.warm[0].transcript)


def _row(evidence: Evidence) -> WorldRow:
    schedule = evidence.execution.schedule
    deviating = {deviation.step for deviation in evidence.deviations if deviation.step is not None}
    return WorldRow(schedule.name, schedule.placement, tuple(sorted(deviating)))


def _is_strange(execution: Execution, deviations: Sequence[Deviation]) -> bool:
    """Whether processes that import the app themselves cannot stand for booted ones: one does not come up, or the
    first, which no late boot is about, answers in another way."""
    first = [step for step, slot in enumerate(execution.schedule.placement) if slot == 0]
    return bool(execution.failures) or any(
        deviation.step in first and deviation.place in ("status", "fault") for deviation in deviations
    )


def _deaths(deviations: Sequence[Deviation]) -> set[int]:
    """The steps at which a process had ended, or ended, by itself."""
    return {each.step for each in deviations if each.step is not None and each.place == "fault" and each.got in _GONE}


def _died_once(workload: Workload, execution: Execution, step: int) -> str:
    """What users should know of a process that ended by itself, and did not in the same world once more."""
    slot = execution.schedule.placement[step]
    ended = execution.ended[slot] if 0 <= slot < len(execution.ended) else None
    said = [line.strip() for line in (ended.output if ended else "").splitlines() if line.strip()]
    words = f"; its last words: {said[-1][:300].rstrip(' .')}" if said else ""
    return (
        f"{execution.schedule.name} world: a process ended by itself at {step_text(workload, step)}, and did not "
        f"when the same was run once more{words}. Are processes that start at the same moment in each other's way?"
    )


def _births(schedule: Schedule, *, booted: bool) -> int:
    """What the births of a world weigh, in forks."""
    return schedule.slots * (BOOT_IN_FORKS if booted else 1)
