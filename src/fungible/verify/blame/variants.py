"""What variants of a world say of where state lies: a disk handed on, a host kept. For any language."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from fungible.verify.blame.bench import Question
from fungible.verify.schedule.schedule import NOWHERE, Life, Schedule
from fungible.verify.shrink.case import Case

_REPEATS = 2
Where = Literal["memory", "file", "identity"]


async def where_held(question: Question) -> Where:
    """`file` where a kept disk makes the difference vanish, `identity` where the same host does, else `memory`."""
    in_turn = _one_at_a_time(question.case)
    if in_turn is None:
        return "memory"
    # It may need a process that was there before, or one that ends in order: then it is no matter of disks.
    if not await _apart(question, in_turn, 1 if question.case.late else _REPEATS):
        return "memory"
    disk_kept = _with_one_disk(in_turn)
    if not await _apart(question, disk_kept):
        return "file" if await _vanishes(question, disk_kept) else "memory"
    host_kept = replace(disk_kept, lives=tuple(replace(life, host=0) for life in disk_kept.lives))
    if not await _apart(question, host_kept):
        return "identity" if await _vanishes(question, host_kept) else "memory"
    return "memory"


def with_disk_kept(case: Case) -> Schedule | None:
    """The case's placement, one slot at a time, each with the disk that the one before it left; None where that
    would be another case."""
    in_turn = _one_at_a_time(case)
    return None if in_turn is None else _with_one_disk(in_turn)


def _with_one_disk(schedule: Schedule) -> Schedule:
    return replace(schedule, lives=tuple(replace(life, disk=0) for life in schedule.lives))


async def _apart(question: Question, schedule: Schedule, times: int = 1) -> bool:
    """Whether it shows each time."""
    for _ in range(times):
        if not await question.apart(schedule):
            return False
    return True


async def _vanishes(question: Question, schedule: Schedule) -> bool:
    """Whether it does not show once more either: what comes and goes is no matter of disks or names."""
    return not await question.apart(schedule)


def _one_at_a_time(case: Case) -> Schedule | None:
    """The case's placement with a new slot at every switch, one living at a time, so that a disk can be handed on;
    None where that would be another case, because a slot serves again after another."""
    schedule = case.schedule()
    served = [(index, slot) for index, slot in enumerate(schedule.placement) if slot != NOWHERE]
    turns = [
        (index, slot) for number, (index, slot) in enumerate(served) if number == 0 or slot != served[number - 1][1]
    ]
    if schedule.slots < 2 or len(turns) != schedule.slots:
        return None
    ends = [*(index - 1 for index, _ in turns[1:]), None]
    lives = tuple(Life(born, end, "KILL", slot, slot) for (born, slot), end in zip(turns, ends, strict=True))
    return replace(schedule, lives=lives)
