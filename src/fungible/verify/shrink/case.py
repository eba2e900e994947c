"""A case: some steps of a workload and the slot of each; what shrinking makes smaller. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from fungible.verify.schedule.schedule import NOWHERE, End, Kind, Life, Schedule
from fungible.verify.workload.steps import Quiet, Workload


@dataclass(frozen=True)
class Case:
    """`kept` are steps of the whole workload in order, the last one the observer; `slots` the slot of each.

    With `late`, a slot is born just before the first step that it serves, as in the newborn world; otherwise all
    are born before the first step. With `renewed`, a slot ends with the last step that it serves, by the signal
    `end`, and unless it is killed, worker processes are replaced after every step.
    """

    kept: tuple[int, ...]
    slots: tuple[int, ...]
    late: bool = True
    renewed: bool = False
    end: End = "TERM"

    @property
    def observer(self) -> int:
        """The step at which the difference shows."""
        return self.kept[-1]

    def schedule(self, name: str = "placed") -> Schedule:
        """The schedule over the kept steps alone."""
        order: dict[int, int] = {}
        for slot in self.slots:
            if slot != NOWHERE:
                order.setdefault(slot, len(order))
        placement = tuple(order.get(slot, NOWHERE) for slot in self.slots)
        born = {slot: placement.index(slot) if self.late else 0 for slot in order.values()}
        until = {slot: max(i for i, each in enumerate(placement) if each == slot) for slot in born}
        lives = tuple(
            Life(born[slot], until[slot] if self.renewed else None, self.end, slot, slot) for slot in sorted(born)
        )
        kind: Kind = "killed" if self.end == "KILL" else "newborn" if self.renewed else "placed"
        return Schedule(name, kind, placement, lives)

    def without(self, steps: Collection[int]) -> Case:
        """The case without some steps."""
        pairs = [(k, s) for k, s in zip(self.kept, self.slots, strict=True) if k not in steps]
        return replace(self, kept=tuple(k for k, _ in pairs), slots=tuple(s for _, s in pairs))

    def moved(self, steps: Collection[int], slot: int) -> Case:
        """The case with some steps on another slot."""
        return replace(
            self, slots=tuple(slot if k in steps else s for k, s in zip(self.kept, self.slots, strict=True))
        )


def observer_alone(observer: int, quiet: Collection[int] = ()) -> Case:
    """All steps up to `observer`, the observer in a process of its own: what a newborn process answers."""
    kept = tuple(range(observer + 1))
    return Case(kept, tuple(NOWHERE if k in quiet else int(k == observer) for k in kept))


def workers_renewed(observer: int, quiet: Collection[int] = ()) -> Case:
    """All steps up to `observer` in one web process, worker processes new for every step."""
    kept = tuple(range(observer + 1))
    return Case(kept, tuple(NOWHERE if k in quiet else 0 for k in kept), renewed=True)


def cut_after(schedule: Schedule, observer: int) -> Case:
    """A world's placement up to `observer`, its slots born when the world began or when they first served, and ended
    or killed when they had, where the world's were."""
    kept = tuple(range(observer + 1))
    late = any(life.born > 0 for life in schedule.lives)
    renewed = schedule.kind in ("newborn", "killed")
    end: End = "KILL" if schedule.kind == "killed" else "TERM"
    return Case(kept, schedule.placement[: observer + 1], late or renewed, renewed, end)


def likely_cases(
    schedule: Schedule, observer: int, quiet: Collection[int] = (), *, workers: bool = False
) -> list[Case]:
    """Cases that could show at `observer` what a world of this schedule showed there, the simplest first. `workers`:
    there are worker processes, which the newborn world replaces."""
    cases = [observer_alone(observer, quiet)] if observer > 0 else []
    whole = cut_after(schedule, observer)
    if schedule.kind == "newborn":
        if quiet and workers:
            cases.append(workers_renewed(observer, quiet))
        return [*cases, whole]
    if schedule.kind == "late":
        return [*cases, whole, replace(whole, renewed=True)]
    return [*cases, whole]


def part(workload: Workload, kept: Sequence[int]) -> Workload:
    """The workload with only these steps."""
    return replace(workload, steps=tuple(workload.steps[index] for index in kept))


def closure(workload: Workload, steps: Collection[int], observer: int) -> tuple[int, ...]:
    """`steps`, the observer, and every earlier step whose saved values they need, in order."""
    producers = workload.producers()
    wanted = {*steps, observer}
    waiting = list(wanted)
    while waiting:
        for producer in producers[waiting.pop()]:
            if producer not in wanted:
                wanted.add(producer)
                waiting.append(producer)
    return tuple(sorted(step for step in with_pauses(workload, wanted) if step <= observer))


def dependants(workload: Workload, steps: Collection[int], kept: Collection[int]) -> frozenset[int]:
    """`steps` and every kept step that needs a value which one of them saves."""
    producers = workload.producers()
    gone = set(steps)
    for step in sorted(kept):
        if producers[step] & gone:
            gone.add(step)
    return frozenset(gone)


def with_pauses(workload: Workload, steps: Collection[int]) -> frozenset[int]:
    """`steps` and the pauses right after each: what a step set going must have ended before the next one."""
    found = set(steps)
    for step in sorted(steps):
        following = step + 1
        while following < len(workload.steps) and isinstance(workload.steps[following], Quiet):
            found.add(following)
            following += 1
    return frozenset(found)


def is_placed(workload: Workload, step: int) -> bool:
    """Whether a slot serves this step."""
    return not isinstance(workload.steps[step], Quiet)
