"""Warm worlds that wait: what only the clock changes is then seen to change in one process as well. Pure.

Processes that boot take time, and an answer may tell how long ago something was ("2 s ago"): no process holds that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fungible.verify.workload.steps import Request, Workload

UNNOTICED = 0.1
"""Seconds between two answers for which no warm world need wait."""
NOTICED = 1.1
"""Seconds; whatever counts in whole ones shows one more."""
LONGEST = 20.0
"""Seconds before one step, at most."""


def slow(workload: Workload) -> Workload:
    """The same workload with two pauses of more than a second: what a coarse clock shows is then seen to move."""
    steps = len(workload.steps)
    middle = {steps // 3, 2 * steps // 3}
    return paced(workload, [NOTICED if index in middle else 0.0 for index in range(steps)])


def paced(workload: Workload, pauses: Sequence[float]) -> Workload:
    """The same workload with these waits more, in seconds, before each step."""
    steps = zip(workload.steps, pauses, strict=True)
    waits = [replace(step, wait=step.wait + pause) if isinstance(step, Request) else step for step, pause in steps]
    return replace(workload, steps=tuple(waits))


def pauses_for(runs: Sequence[Sequence[float]], warm: Sequence[float]) -> tuple[float, ...]:
    """The pauses before each step with which a warm run takes as long as the longest of `runs`. All are seconds from
    answer to answer; `warm` is what it takes without."""
    longest = [max(each) for each in zip(*runs, strict=True)]
    more = (gap - alone for gap, alone in zip(longest, warm, strict=True))
    return tuple(min(max(each, NOTICED), LONGEST) if each > UNNOTICED else 0.0 for each in more)


def covers(tried: Sequence[float] | None, pauses: Sequence[float]) -> bool:
    """Whether a run with the pauses `tried` has shown what these would: no step waits much longer."""
    tried = tried or [0.0] * len(pauses)
    return all(pause <= 1.25 * before for before, pause in zip(tried, pauses, strict=True))
