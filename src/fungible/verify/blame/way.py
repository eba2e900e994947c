"""The ways to ask about an object in memory: which world to run, and what an answer means there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fungible.verify.blame.bench import BACKGROUND
from fungible.verify.schedule.schedule import NOWHERE, Schedule, warm
from fungible.verify.shrink.case import Case, part
from fungible.verify.workload.steps import Workload


@dataclass(frozen=True)
class Way:
    """One way to ask: the world to run, the slot to look into, and what an answer means.

    `since` is the kept step (by position) before which the slot's memory is as it should be put back to. With
    `appears`, putting the culprit back makes the difference appear; otherwise it makes it vanish. With `rehearsed`
    the observer's request is sent once before that, so that what is made lazily is there to be put back to. With
    `each` it is put back before every later step, as if the process were replaced: for worker processes, whose work
    the observer only sees the outcome of. With `emptied`, the containers that were made since are emptied as well,
    for those who hold them where no path leads. With `at_end` it is put back when the last step is answered: what
    differs is a store, and what the process kept for later would get there as it ends. With `as_it_ends` it is put
    back when the slot is about to end, in order: what it writes then (a buffer that is flushed) is what the observer
    sees.
    """

    schedule: Schedule
    slot: int
    since: int
    appears: bool
    rehearsed: bool = False
    each: bool = False
    emptied: bool = False
    at_end: bool = False
    as_it_ends: bool = False

    @property
    def born(self) -> str:
        """The snapshot since which these requests made what was not there: a rehearsal comes after it."""
        return "born" if self.rehearsed else "before"


def way_of_workers(case: Case, workload: Workload) -> Way:
    """The way to ask about worker processes: they live on, and are put back before every step."""
    schedule = warm(len(case.kept), part(workload, case.kept).quiet())
    return Way(schedule, BACKGROUND, 0, appears=True, each=True)


def way_of_killed(case: Case, workload: Workload) -> Way:
    """The way to ask about what is lost with a killed process: one process serves all and ends with TERM, as what it
    has kept is put back to what it was before."""
    return Way(warm(len(case.kept), part(workload, case.kept).quiet()), 0, 0, appears=True, at_end=True)


def ways(case: Case, workload: Workload, *, held_here: bool = False) -> list[Way]:
    """The ways to ask about a case, the likelier first: a stale answer is `held_here`, where it is given."""
    schedule = case.schedule()
    home = schedule.placement[-1]
    before = list(enumerate(schedule.placement[:-1]))
    earlier = [index for index, slot in before if slot == home]
    in_one = Way(warm(len(case.kept), part(workload, case.kept).quiet()), 0, 0, appears=True)
    ending = _ending_ways(case, schedule)
    if not earlier:
        return [*ending, in_one]
    own = Way(schedule, home, earlier[0], appears=False)
    # What the observer's process lacks is what the first that another served has left, and those after it: before
    # it, what is loaded and made at first use is there.
    lacked = next((index for index, slot in before if slot not in (home, NOWHERE)), 0)
    by_one = [replace(in_one, since=lacked), in_one] if lacked else [in_one]
    return [*ending, *([own, *by_one] if held_here else [*by_one, own])]


def _ending_ways(case: Case, schedule: Schedule) -> list[Way]:
    """The ways to ask about what a process writes as it ends in order, the last to end first: where a difference only
    shows if processes end so, that is likely."""
    if not case.renewed or case.end != "TERM":
        return []
    observer = len(schedule.placement) - 1
    ended = [
        (life.until, slot)
        for slot, life in enumerate(schedule.lives)
        if life.until is not None and life.until < observer
    ]
    return [
        Way(schedule, slot, schedule.placement.index(slot), appears=False, as_it_ends=True)
        for _, slot in sorted(ended, reverse=True)
    ]
