"""From the formation wanted and the processes that exist to the next actions. Pure; no clock, no process.

The crash policy follows what platforms settled on: the first restart at once, then exponential with jitter up to a
cap; a streak is cleared by uptime and by a new release; an operator's stop is no crash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from fungible.runtime.state import State

FIRST_DELAY = 1.0
"""Seconds before the second restart of a streak."""
LONGEST_DELAY = 60.0
SURGE = 4
"""In a roll one more process than wanted may live, or one more for each so many that are wanted."""
STEADY_AFTER = 30.0
"""A process that ran this many seconds starts a new streak when it crashes."""


@dataclass(frozen=True)
class Known:
    """A process that exists, as far as planning cares.

    `outdated`: of another release, or too old. `retired`: someone wanted it gone.
    """

    type: str
    number: int
    instance: str
    state: State
    outdated: bool = False
    retired: bool = False

    @property
    def crashed(self) -> bool:
        """Whether it ended unasked, and something of its group still has to go."""
        return self.state is State.STOPPING and not self.retired

    @property
    def live(self) -> bool:
        """Whether it serves or will."""
        return self.state in (State.STARTING, State.READY)


@dataclass(frozen=True)
class Streak:
    """Crashes in a row of one name; `until` is when it may start again (the clock's seconds)."""

    crashes: int
    until: float


@dataclass(frozen=True)
class Wanted:
    """How many of a type should run, and whether two may ever run at once."""

    type: str
    count: int
    singleton: bool = False


@dataclass(frozen=True)
class Start:
    """Start process `type.number`."""

    type: str
    number: int


@dataclass(frozen=True)
class Retire:
    """Take it from the router, drain it, stop it."""

    instance: str


@dataclass(frozen=True)
class Plan:
    """What to do now, and when to plan again if nothing happens before (the clock's seconds, None: never)."""

    actions: tuple[Start | Retire, ...]
    wake_at: float | None = None


def after_crash(streak: Streak | None, uptime: float, now: float, jitter: float, *, hopeless: bool = False) -> Streak:
    """The streak after one more crash. `uptime` in seconds; `jitter` is a random number from 0 to 1.

    A `hopeless` start (there is no such program) is not tried again at once.
    """
    crashes = 1 if streak is None or uptime >= STEADY_AFTER else streak.crashes + 1
    if crashes == 1 and not hopeless:
        return Streak(1, now)
    delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(max(0, crashes - 2), 16))
    return Streak(crashes, now + delay * (0.5 + jitter / 2))


def plan(
    wanted: Iterable[Wanted], known: Iterable[Known], streaks: Mapping[tuple[str, int], Streak], now: float
) -> Plan:
    """The next actions. Types not in `wanted` are taken as wanted zero times."""
    processes = [process for process in known if process.state is not State.ENDED]
    wishes = {wish.type: wish for wish in wanted}
    for process in processes:
        wishes.setdefault(process.type, Wanted(process.type, 0))
    total = Plan(())
    for wish in wishes.values():
        of_type = [process for process in processes if process.type == wish.type]
        waiting = {number: s.until for (name, number), s in streaks.items() if name == wish.type and s.until > now}
        part = _plan_singleton(wish, of_type, waiting) if wish.singleton else _plan_type(wish, of_type, waiting)
        wake = min((at for at in (total.wake_at, part.wake_at) if at is not None), default=None)
        total = replace(total, actions=total.actions + part.actions, wake_at=wake)
    return total


def _plan_type(wish: Wanted, processes: list[Known], waiting: Mapping[int, float]) -> Plan:
    live = [process for process in processes if process.live]
    fresh = [process for process in live if not process.outdated]
    # A crashed one keeps its name, and so its streak, until all of it has gone: only then comes its successor.
    crashed = sum(process.crashed for process in processes)
    missing = max(0, wish.count - len(fresh) - crashed)
    # In a roll a few more than wanted may live: the newcomers, until they are ready.
    surge = max(1, wish.count // SURGE)
    room = missing if len(live) == len(fresh) else max(0, wish.count + surge - len(live))
    names = _lowest_free({process.number for process in processes}, min(missing, room))
    actions: list[Start | Retire] = [Start(wish.type, number) for number in names if number not in waiting]
    actions += [Retire(process.instance) for process in _surplus(wish.count, live)]
    return Plan(tuple(actions), min((waiting[number] for number in names if number in waiting), default=None))


def _plan_singleton(wish: Wanted, processes: list[Known], waiting: Mapping[int, float]) -> Plan:
    """Stop first, then start: never two at once, not even while the old one drains."""
    live = [process for process in processes if process.live]
    keep = [process for process in live if not process.outdated][: min(1, wish.count)]
    gone = [process for process in live if process not in keep]
    actions: list[Start | Retire] = [Retire(process.instance) for process in gone]
    if processes or wish.count == 0:
        return Plan(tuple(actions))
    if 1 in waiting:
        return Plan((), waiting[1])
    return Plan((Start(wish.type, 1),))


def _surplus(count: int, live: list[Known]) -> list[Known]:
    """Who has to go, highest numbers first: fresh ones beyond `count`, those not ready before the ready; outdated
    ones that are not ready; and outdated ready ones as far as the others suffice."""
    fresh = sorted((p for p in live if not p.outdated), key=lambda p: (p.state is State.READY, -p.number))
    chosen = fresh[: max(0, len(fresh) - count)]
    spare = sum(p.state is State.READY for p in live if p not in chosen) - count
    for process in sorted((p for p in live if p.outdated), key=lambda p: -p.number):
        if process.state is not State.READY:
            chosen.append(process)
        elif spare > 0:
            chosen.append(process)
            spare -= 1
    return chosen


def _lowest_free(used: set[int], count: int) -> list[int]:
    free: list[int] = []
    number = 1
    while len(free) < count:
        if number not in used:
            free.append(number)
        number += 1
    return free
