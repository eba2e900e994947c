"""Runs worlds: gives each a lane and a number, side by side where cores allow, and counts what it took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fungible.verify.ground import Ground
from fungible.verify.lane import Lane
from fungible.verify.schedule import Schedule
from fungible.verify.slot import Birth
from fungible.verify.steps import Workload
from fungible.verify.world import Execution, Visit, run_world


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


class Laboratory:
    """`ground` with its lanes handed out one world at a time."""

    def __init__(self, ground: Ground, *, tell: Callable[[str], None] = lambda _: None) -> None:
        self.ground = ground
        self.tally = Tally()
        self.skewed = True
        self._lanes: asyncio.Queue[Lane] = asyncio.Queue()
        for lane in ground.lanes:
            self._lanes.put_nowait(lane)
        self._number = 0
        self._tell = tell

    @property
    def lanes(self) -> int:
        """How many worlds can run side by side."""
        return len(self.ground.lanes)

    async def run(
        self,
        schedule: Schedule,
        workload: Workload,
        *,
        defaults: Mapping[str, str] | None = None,
        equal_seeds: bool = False,
        birth: Birth | None = None,
        skew: bool | None = None,
        visit: Visit | None = None,
    ) -> Execution:
        """Run a world on the next free lane."""
        lane = await self._lanes.get()
        self._number += 1
        begin = time.monotonic()
        try:
            execution = await run_world(
                self.ground.given,
                schedule,
                workload,
                lane,
                birth or self.ground.birth,
                self._number,
                defaults=defaults,
                equal_seeds=equal_seeds,
                skewed=self.skewed if skew is None else skew,
                visit=visit,
            )
        finally:
            self._lanes.put_nowait(lane)
        self.tally.worlds += 1
        self.tally.executions += len(workload.steps)
        self.tally.boots += execution.boots
        self.tally.seconds += time.monotonic() - begin
        self._tell(schedule.name)
        return execution
