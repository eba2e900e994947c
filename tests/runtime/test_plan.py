"""The planner, as a simulation: whatever happens, it converges, and never does what the rules forbid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fungible.runtime.formation.plan import (
    LONGEST_DELAY,
    STEADY_AFTER,
    Known,
    Plan,
    Retire,
    Start,
    Streak,
    Wanted,
    after_crash,
    plan,
)
from fungible.runtime.process.state import Happening, State, advance

pytestmark = pytest.mark.pure

READY, STARTING, STOPPING, DRAINING = State.READY, State.STARTING, State.STOPPING, State.DRAINING


def known(*numbers: int, state: State = READY, outdated: bool = False, retired: bool = False) -> list[Known]:
    return [Known("web", n, f"{state.value}-{n}-{outdated}", state, outdated, retired) for n in numbers]


def actions(wanted: int, processes: Iterable[Known], singleton: bool = False) -> list[Start | Retire]:
    return list(plan([Wanted("web", wanted, singleton)], processes, {}, 0.0).actions)


def test_starts_what_is_missing_lowest_names_first() -> None:
    assert actions(3, known(2)) == [Start("web", 1), Start("web", 3)]
    assert actions(0, []) == []


def test_a_name_is_given_on_while_its_last_holder_still_goes() -> None:
    assert actions(2, [*known(1), *known(2, state=DRAINING, retired=True)]) == [Start("web", 2)]


def test_scaling_down_takes_the_highest_names_each_as_soon_as_the_others_suffice() -> None:
    assert actions(1, known(1, 2, 3)) == [Retire("ready-3-False"), Retire("ready-2-False")]
    assert actions(2, [*known(1, 2), *known(3, state=STARTING)]) == [Retire("starting-3-False")]
    assert actions(2, [*known(2, 3, 4), *known(1, state=STARTING)]) == [Retire("ready-4-False")]
    assert actions(2, [*known(2, 3), *known(1, state=STARTING)]) == []
    assert actions(2, known(2, 3)) == [Start("web", 1)]


def test_a_type_that_nobody_wants_any_more_is_retired() -> None:
    assert list(plan([], known(1), {}, 0.0).actions) == [Retire("ready-1-False")]


def test_a_roll_starts_one_more_under_the_same_name_and_retires_the_old_one_only_when_it_is_ready() -> None:
    old = known(1, 2, outdated=True)
    assert actions(2, old) == [Start("web", 1)]
    assert actions(2, [*old, *known(1, state=STARTING)]) == []
    assert actions(2, [*old, *known(1)]) == [Retire("ready-1-True")]
    assert actions(2, [*known(2, outdated=True), *known(1)]) == [Start("web", 2)]


def test_a_roll_of_many_starts_a_quarter_more_at_once() -> None:
    old = known(*range(1, 9), outdated=True)
    assert actions(8, old) == [Start("web", 1), Start("web", 2)]
    both = [*old, *known(1, 2)]
    assert actions(8, both) == [Retire("ready-2-True"), Retire("ready-1-True")]


def test_only_so_many_boot_at_once_and_those_that_rest_take_nobodys_turn() -> None:
    wish = Wanted("web", 5, at_once=2)
    assert list(plan([wish], known(1), {}, 0.0).actions) == [Start("web", 2), Start("web", 3)]
    assert list(plan([wish], known(1, 2, state=STARTING), {}, 0.0).actions) == []
    resting = {("web", 1): Streak(3, 9.0), ("web", 2): Streak(3, 8.0)}
    assert plan([wish], [], resting, 0.0) == Plan((Start("web", 3), Start("web", 4)), 8.0)


def test_a_singleton_stops_first() -> None:
    old = known(1, outdated=True)
    assert actions(1, old, singleton=True) == [Retire("ready-1-True")]
    assert actions(1, known(1, state=STOPPING, retired=True), singleton=True) == []
    assert actions(1, [], singleton=True) == [Start("web", 1)]


def test_a_crashed_one_keeps_its_name_until_all_of_it_has_gone() -> None:
    assert actions(1, known(1, state=STOPPING)) == []
    assert actions(2, [*known(1, state=STOPPING), *known(2)]) == []


def test_a_name_that_rests_is_waited_for_and_others_are_not() -> None:
    made = plan([Wanted("web", 2)], [], {("web", 1): Streak(3, 9.0)}, 4.0)
    assert made == Plan((Start("web", 2),), 9.0)
    assert plan([Wanted("web", 1)], [], {("web", 1): Streak(3, 9.0)}, 9.0) == Plan((Start("web", 1),))
    assert plan([Wanted("web", 1)], [], {("web", 5): Streak(3, 9.0)}, 4.0) == Plan((Start("web", 1),))


def test_the_first_restart_is_at_once_then_pauses_grow_to_a_limit_and_uptime_clears_them() -> None:
    streak = after_crash(None, 0.0, 100.0, 1.0)
    assert streak == Streak(1, 100.0)
    pauses = []
    for _ in range(3000):
        streak = after_crash(streak, 0.0, 100.0, 1.0)
        pauses.append(streak.until - 100.0)
    assert pauses[:8] == [1, 2, 4, 8, 16, 32, LONGEST_DELAY, LONGEST_DELAY]
    assert set(pauses[8:]) == {LONGEST_DELAY}
    assert after_crash(streak, STEADY_AFTER, 100.0, 1.0) == Streak(1, 100.0)


def test_what_cannot_start_is_not_tried_again_at_once() -> None:
    assert after_crash(None, 0.0, 0.0, 0.0, hopeless=True) == Streak(1, 0.5)


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_jitter_takes_at_most_half_of_a_pause(crashes: int, jitter: float) -> None:
    pause = after_crash(Streak(crashes, 0.0), 0.0, 0.0, jitter).until
    assert 0 <= pause <= LONGEST_DELAY
    assert pause >= 0.5 or crashes == 0


@dataclass
class World:
    """A simulated formation: what the plan says happens at once, everything else when the test says so."""

    wanted: Wanted
    processes: list[Known] = field(default_factory=list)
    streaks: dict[tuple[str, int], Streak] = field(default_factory=dict)
    now: float = 0.0
    release: int = 1
    starts: list[tuple[float, int]] = field(default_factory=list)

    def act(self) -> float | None:
        before = [p for p in self.processes if p.state is READY]
        made = plan([self.wanted], self.processes, self.streaks, self.now)
        for action in made.actions:
            if isinstance(action, Start):
                self._start(action)
            else:
                self._retire(action)
        if not self.wanted.singleton:
            after = sum(p.state is READY for p in self.processes)
            assert after >= min(self.wanted.count, len(before)), "a ready one of a roll was retired early"
        alive = [p for p in self.processes if p.state is not State.ENDED]
        if self.wanted.singleton:
            assert len(alive) <= 1, "two singletons"
        staying = [p for p in alive if not p.outdated and not p.retired]
        assert len({p.number for p in staying}) == len(staying), "a name twice among those that stay"
        assert sum(p.state is STARTING for p in staying) <= self.wanted.at_once, "too many boot at once"
        return made.wake_at

    def _start(self, action: Start) -> None:
        used = {p.number for p in self.processes if not p.retired and (p.crashed or not p.outdated)}
        assert action.number not in used, "its holder stays"
        assert action.number <= self.wanted.count, "a name beyond what is wanted"
        resting = {n for (_, n), s in self.streaks.items() if s.until > self.now}
        assert action.number not in resting, "started while it rests"
        assert all(n in used | resting for n in range(1, action.number)), "not the lowest name"
        self.starts.append((self.now, action.number))
        instance = f"{len(self.starts)}@{self.release}"
        self.processes.append(Known("web", action.number, instance, STARTING))

    def _retire(self, action: Retire) -> None:
        at = next(i for i, p in enumerate(self.processes) if p.instance == action.instance)
        assert not self.processes[at].retired, "retired twice"
        self.move(at, Happening.RETIRED, retired=True)

    def move(self, at: int, happening: Happening, retired: bool = False) -> None:
        process = self.processes[at]
        state = advance(process.state, happening)
        self.processes[at] = replace(process, state=state, retired=process.retired or retired)
        if state is State.ENDED:
            del self.processes[at]
            if not process.retired:
                key = ("web", process.number)
                self.streaks[key] = after_crash(self.streaks.get(key), 0.0, self.now, 0.5)

    def roll(self) -> None:
        self.release += 1
        self.processes = [replace(p, outdated=True) for p in self.processes]
        self.streaks.clear()

    def settle(self) -> None:
        """Let everything happen that is on its way."""
        for _ in range(300):
            wake = self.act()
            moving = [i for i, p in enumerate(self.processes) if p.state is not READY]
            if moving:
                state = self.processes[moving[0]].state
                forward = {STARTING: Happening.ANSWERED, DRAINING: Happening.DRAINED, STOPPING: Happening.EMPTIED}
                self.move(moving[0], forward[state])
            elif wake is not None:
                assert wake > self.now, "a hot loop"
                self.now = wake
            elif not plan([self.wanted], self.processes, self.streaks, self.now).actions:
                return
        raise AssertionError("does not converge")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("scale"), st.integers(0, 4)),
        st.tuples(st.just("roll"), st.just(0)),
        st.tuples(st.just("time"), st.integers(0, 20)),
        st.tuples(st.sampled_from([h.value for h in Happening if h is not Happening.RETIRED]), st.integers(0, 9)),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.booleans(), st.integers(1, 3))
def test_whatever_happens_the_rules_hold_and_it_converges_to_what_is_wanted(
    steps: list[tuple[str, int]], singleton: bool, at_once: int
) -> None:
    world = World(Wanted("web", 1 if singleton else 2, singleton, at_once))
    for word, number in steps:
        if word == "scale":
            world.wanted = replace(world.wanted, count=min(number, 1) if singleton else number)
        elif word == "roll":
            world.roll()
        elif word == "time":
            world.now += number
        elif world.processes:
            world.move(number % len(world.processes), Happening(word))
        world.act()
    world.settle()
    fresh = [p for p in world.processes if p.state is READY and not p.outdated]
    assert sorted(p.number for p in fresh) == list(range(1, world.wanted.count + 1))
    assert len(fresh) == len(world.processes)


@settings(deadline=None)
@given(st.integers(1, 12), st.lists(st.integers(0, 99), min_size=200, max_size=200))
def test_in_a_roll_every_name_is_served_throughout(count: int, order: list[int]) -> None:
    world = World(Wanted("web", count))
    world.settle()
    world.roll()
    forward = {STARTING: Happening.ANSWERED, DRAINING: Happening.DRAINED, STOPPING: Happening.EMPTIED}
    for turn in order:
        world.act()
        assert {p.number for p in world.processes if p.state is READY} == set(range(1, count + 1))
        moving = [i for i, p in enumerate(world.processes) if p.state is not READY]
        if not moving:
            break
        at = moving[turn % len(moving)]
        world.move(at, forward[world.processes[at].state])
    assert not [p for p in world.processes if p.outdated]


@given(st.integers(1, 3), st.integers(20, 60))
def test_a_type_that_always_crashes_is_started_ever_more_seldom(count: int, crashes: int) -> None:
    world = World(Wanted("web", count))
    for _ in range(crashes):
        wake = world.act()
        if world.processes:
            world.move(0, Happening.EXITED)
            world.move(0, Happening.EMPTIED)
        elif wake is not None:
            world.now = wake
    first = [at for at, number in world.starts if number == 1]
    assert first[:2] == [0.0, 0.0]
    gaps = [b - a for a, b in pairwise(first[1:])]
    assert gaps == sorted(gaps)
    assert all(gap > 0 for gap in gaps)


@given(st.sampled_from(State), st.sampled_from(Happening))
def test_states_only_move_forward(state: State, happening: Happening) -> None:
    order = list(State)
    assert order.index(advance(state, happening)) >= order.index(state)
    assert advance(State.ENDED, happening) is State.ENDED
