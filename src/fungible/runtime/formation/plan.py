"""From the formation wanted and the processes that exist to the next actions. Pure; no clock, no process.

The crash policy follows what platforms settled on: the first restart at once, then exponential with jitter up to a
cap; a streak is cleared by uptime and by a new release; an operator's stop is no crash.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from fungible.runtime.process.state import State

FIRST_DELAY = 1.0
"""Seconds before the second restart of a streak."""
LONGEST_DELAY = 60.0
SURGE = 4
"""In a roll one more process than wanted may live, or one more for each so many that are wanted."""
AT_ONCE = max(8, 4 * (os.cpu_count() or 1))
"""So many of a type boot side by side: more would only take longer, each, than a boot may take."""
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
    """How many of a type should run, whether two may ever run at once, and how many may boot `at_once`."""

    type: str
    count: int
    singleton: bool = False
    at_once: int = AT_ONCE


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


def after_crash(
    streak: Streak | None,
    uptime: float,
    now: float,
    jitter: float,
    *,
    hopeless: bool = False,
    longest: float = LONGEST_DELAY,
) -> Streak:
    """The streak after one more crash. `uptime` and the `longest` delay in seconds; `jitter` is a random number from
    0 to 1.

    A `hopeless` start (there is no such program) is not tried again at once.
    """
    crashes = 1 if streak is None or uptime >= STEADY_AFTER else streak.crashes + 1
    if crashes == 1 and not hopeless:
        return Streak(1, now)
    delay = min(longest, FIRST_DELAY * 2.0 ** min(max(0, crashes - 2), 16))
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
    # In the end there are the names 1 to `count`. What is to go holds no name: its successor has the same one, and
    # for a while there are two of it.
    stay = [process for process in live if not process.outdated and process.number <= wish.count]
    # A crashed one keeps its name, and so its streak, until all of it has gone: only then comes its successor.
    crashed = {process.number for process in processes if process.crashed}
    taken = crashed | {process.number for process in stay}
    missing = [number for number in range(1, wish.count + 1) if number not in taken]
    # In a roll a few more than wanted may live: the newcomers, until they are ready.
    surge = max(1, wish.count // SURGE)
    room = len(missing) if len(live) == len(stay) else max(0, wish.count + surge - len(live))
    booting = sum(process.state is State.STARTING for process in stay)
    names = missing[:room]
    rested = [number for number in names if number not in waiting][: max(0, wish.at_once - booting)]
    actions: list[Start | Retire] = [Start(wish.type, number) for number in rested]
    actions += [Retire(process.instance) for process in _surplus(wish.count, stay, live)]
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


def _surplus(count: int, stay: list[Known], live: list[Known]) -> list[Known]:
    """Who of `live` has to go: what does not stay and is not ready; and what is ready as far as the others suffice,
    names beyond `count` first, then those that have a ready successor, the highest first."""
    succeeded = {process.number for process in stay if process.state is State.READY}
    staying = {process.instance for process in stay}
    going = [process for process in live if process.instance not in staying]
    chosen = [process for process in going if process.state is not State.READY]
    spare = max(0, sum(process.state is State.READY for process in live) - count)
    ready = [process for process in going if process.state is State.READY]
    order = sorted(ready, key=lambda p: (p.number <= count, p.number not in succeeded, -p.number))
    return chosen + order[:spare]
