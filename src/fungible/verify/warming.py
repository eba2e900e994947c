"""The warm worlds of an experiment: what an app answers when nothing is forgotten, and what varies anyway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from fungible.verify.fitness import NotJudged, check_warm, statuses, strange, weak_spots
from fungible.verify.pace import slow
from fungible.verify.reference import Reference
from fungible.verify.schedule import schedule as schedules
from fungible.verify.workload.binding import infer_bindings
from fungible.verify.workload.steps import Workload
from fungible.verify.world.canary import EXPECTED
from fungible.verify.world.fork.unforkable import Unforkable
from fungible.verify.world.laboratory import Instrument, Laboratory
from fungible.verify.world.slot import BootFailure
from fungible.verify.world.world import Execution

_Result = TypeVar("_Result")


class Begin(Protocol):
    """Have work done while other things are; whoever began it ends it with the experiment."""

    def __call__(self, work: Coroutine[Any, Any, _Result]) -> asyncio.Task[_Result]: ...


class WarmUp:
    """Warm worlds on real boots, then of forked processes, where the app can be forked (`mode`: see `Wishes`).

    `canaries` are the planted leaks that were found, `imports` the reference of processes that import the app
    themselves, `learning` what has to end before forked worlds can be compared, `warnings` what users should know.
    """

    def __init__(
        self, laboratory: Laboratory, written: Workload, mode: str, *, begin: Begin, say: Callable[[str], None]
    ) -> None:
        self.canaries: tuple[str, ...] = ()
        self.imports: Reference | None = None
        self.learning: asyncio.Task[None] | None = None
        self.warnings: list[str] = []
        self._laboratory = laboratory
        self._written = written
        self._mode = mode
        self._begin = begin
        self._say = say
        self._opening: asyncio.Task[Instrument] | None = None
        self._loading: asyncio.Task[Instrument | None] | None = None
        self._forked: asyncio.Task[tuple[Reference, Execution]] | None = None

    async def boots(self) -> Reference:
        """Warm worlds on real boots; what the app made in the first is bound in all that follow. Where no world runs
        the app is imported to fork from, and as soon as that is done a world of forks is under way; the canaries are
        looked for while the slow world pauses. Raises NotJudged."""
        self._say("warm world")
        laboratory, written = self._laboratory, self._written
        schedule = schedules.warm(len(written.steps), written.quiet())
        beginning = self._begin(laboratory.run(schedule, written, skew=False))
        if self._mode != "boot" and len(written.steps) > 1:
            self._opening = self._begin(laboratory.open_forks())
            self._loading = self._begin(self._load(self._opening))
        first = await beginning
        check_warm(written, first)
        self.warnings += weak_spots(written, first)
        workload = infer_bindings(written, first.transcript)
        # The slow one first: it takes longest, and its pauses are time for all others.
        runs = [
            self._begin(laboratory.run(schedule, each, defaults=first.variables))
            for each in (slow(workload), workload)
        ]
        canaries = self._begin(laboratory.ground.canaries())
        second = await runs[1]
        alike = statuses(second) == statuses(first)
        if alike:
            self._fork_once(workload, second.variables)
        # The first is one of its runs, too: what is bound came from its own answers, so it sent the same.
        done = [second, await runs[0], first]
        if not alike:
            # A literal id whose maker never showed it: ids cannot be moved, so they stay where they are.
            laboratory.skewed = False
            second = await laboratory.run(schedule, workload, defaults=first.variables)
            if statuses(second) != statuses(first):
                workload = written
                second = await laboratory.run(schedule, workload, defaults=first.variables)
            done = [first, second]
            self._fork_once(workload, second.variables)
        reference = Reference(laboratory, laboratory.boot, workload, second.variables)
        await reference.warm_up(done, paused=laboratory.skewed)
        self.canaries = await canaries
        blind = [each for each in EXPECTED if each not in self.canaries]
        if blind:
            raise NotJudged(
                f"the planted {' and the '.join(blind)} were not found: this machine or set-up hides state, so "
                "nothing can be said about the app (fungible doctor)"
            )
        return reference

    async def _load(self, opening: asyncio.Task[Instrument]) -> Instrument | None:
        """Load the app's packages, where that can be done, for processes that import it themselves."""
        try:
            await asyncio.shield(opening)
            return await self._laboratory.open_imports()
        except (Unforkable, BootFailure):
            return None

    def _fork_once(self, workload: Workload, defaults: Mapping[str, str]) -> None:
        """Begin a warm world of forked processes, where any can be forked; what becomes of it is asked for later."""
        opening = self._opening
        if opening is None:
            return

        async def run() -> tuple[Reference, Execution]:
            fork = Reference(self._laboratory, await asyncio.shield(opening), workload, defaults)
            return fork, await fork.run(schedules.warm(len(workload.steps), workload.quiet()))

        self._forked = self._begin(run())

    async def forks(self, boot: Reference) -> Reference | None:
        """A warm world of forked processes, where forking is possible and answers the same; others follow. Processes
        that import the app themselves are held to what booted and forked ones have in common."""
        if self._forked is None or self._loading is None:
            return None
        self._say("importing the app to fork from")
        try:
            fork, first = await self._forked
        except Unforkable as reason:
            self._no_forks(str(reason))
            return None
        except BootFailure as failure:
            said = failure.output.strip().splitlines()[-1:]
            self._no_forks(": ".join([str(failure), *said]))
            return None
        for deviation in boot.deviations(first):
            if deviation.step is not None and deviation.place in ("status", "fault"):
                self._no_forks(strange(boot.workload, deviation, first))
                return None
        importing = await self._loading
        imports = None if importing is None else Reference(self._laboratory, importing, boot.workload, boot.defaults)
        self.imports = imports

        async def warm_up() -> None:
            await fork.warm_up([first])
            if imports is not None:
                await asyncio.to_thread(imports.held_to, (boot, fork))

        self.learning = self._begin(warm_up())
        return fork

    def _no_forks(self, reason: str) -> None:
        text = f"processes were booted, which takes longer than to fork them: {reason}"
        if self._mode == "fork":
            raise NotJudged(text)
        self.warnings.append(text)
