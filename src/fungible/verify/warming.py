"""The warm worlds of an experiment: what an app answers when nothing is forgotten, and what varies anyway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
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
    themselves, `warnings` what users should know. No world can be compared before `learned`.
    """

    def __init__(
        self, laboratory: Laboratory, written: Workload, mode: str, *, begin: Begin, say: Callable[[str], None]
    ) -> None:
        self.canaries: tuple[str, ...] = ()
        self.imports: Reference | None = None
        self._learning: asyncio.Task[None] | None = None
        self.warnings: list[str] = []
        self._laboratory = laboratory
        self._written = written
        self._mode = mode
        self._begin = begin
        self._say = say
        self._opening: asyncio.Task[Instrument] | None = None
        self._loading: asyncio.Task[Instrument | None] | None = None
        self._forked: asyncio.Task[tuple[Reference, Execution]] | None = None
        self._booted: tuple[Execution, ...] = ()

    async def boots(self) -> Reference:
        """Warm worlds on real boots; what the app made in the first is bound in all that follow. Where no world runs
        the app is imported to fork from, and as soon as that is done a world of forks is under way. One warm world is
        slow: it goes on, with the search for the canaries, while others run. Raises NotJudged."""
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
        pausing, running = (
            self._begin(laboratory.run(schedule, each, defaults=first.variables))
            for each in (slow(workload), workload)
        )
        canaries = self._begin(laboratory.ground.canaries())
        second = await running
        paused: asyncio.Task[Execution] | None = pausing
        if statuses(second) != statuses(first):
            # A literal id whose maker never showed it: ids cannot be moved, so they stay where they are.
            await pausing
            paused = None
            laboratory.skewed = False
            second = await laboratory.run(schedule, workload, defaults=first.variables)
            if statuses(second) != statuses(first):
                workload = written
                second = await laboratory.run(schedule, workload, defaults=first.variables)
        self._fork_once(workload, second.variables)
        reference = Reference(laboratory, laboratory.boot, workload, second.variables)
        # The first is one of its runs, too: what is bound came from its own answers, so it sent the same.
        self._learning = self._begin(self._learn(reference, [second, first], paused, canaries))
        self._booted = (second, first)
        return reference

    async def _learn(
        self,
        reference: Reference,
        done: Sequence[Execution],
        paused: asyncio.Task[Execution] | None,
        canaries: asyncio.Task[tuple[str, ...]],
    ) -> None:
        """What warm worlds have in common, the slow one among them. Raises NotJudged without the canaries."""
        slow_one = [] if paused is None else [await paused]
        await reference.warm_up([*done, *slow_one], paused=bool(slow_one))
        self.canaries = await canaries
        blind = [each for each in EXPECTED if each not in self.canaries]
        if blind:
            raise NotJudged(
                f"the planted {' and the '.join(blind)} were not found: this machine or set-up hides state, so "
                "nothing can be said about the app (fungible doctor)"
            )

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
        if self._forked is None or self._loading is None or self._learning is None:
            return None
        self._say("importing the app to fork from")
        try:
            fork, first = await self._forked
        except Unforkable as unforkable:
            self._no_forks(str(unforkable))
            return None
        except BootFailure as failure:
            said = failure.output.strip().splitlines()[-1:]
            self._no_forks(": ".join([str(failure), *said]))
            return None
        reason = strange(boot.workload, self._booted, first)
        if reason is not None:
            self._no_forks(reason)
            return None
        importing = await self._loading
        imports = None if importing is None else Reference(self._laboratory, importing, boot.workload, boot.defaults)
        self.imports = imports
        again, booted = self._begin(fork.run(first.schedule)), self._learning

        async def learn() -> None:
            # What only the clock moves has been seen in booted processes: forks need not wait for it as well.
            runs = [first, await again]
            await booted
            await fork.warm_up([*runs, *boot.warm[-1:]], paused=True)
            if imports is not None:
                await asyncio.to_thread(imports.held_to, (boot, fork))

        self._learning = self._begin(learn())
        return fork

    async def learned(self) -> None:
        """When it is known what warm worlds have in common. Raises NotJudged without the canaries."""
        if self._learning is not None:
            await asyncio.shield(self._learning)

    def _no_forks(self, reason: str) -> None:
        text = f"processes were booted, which takes longer than to fork them: {reason}"
        if self._mode == "fork":
            raise NotJudged(text)
        self.warnings.append(text)
