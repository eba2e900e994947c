"""Shrinking against simulated apps: the experiment is a function, so everything is checked without a process."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fungible.verify.schedule.schedule import NOWHERE, from_placement, newborn
from fungible.verify.shrink.case import Case, closure, cut_after, observer_alone, with_pauses, workers_renewed
from fungible.verify.shrink.shrink import likely_writers, shrink
from fungible.verify.workload.steps import Quiet, Request, Workload

pytestmark = pytest.mark.pure


def workload_of(n: int) -> Workload:
    return Workload(tuple(Request("POST" if i % 2 else "GET", f"/{i}") for i in range(n)))


def apart(case: Case, writer: int) -> bool:
    """Whether `writer` was kept and served elsewhere than the observer."""
    slots = dict(zip(case.kept, case.slots, strict=True))
    return writer in slots and slots[writer] != case.slots[-1]


def together(case: Case, step: int) -> bool:
    slots = dict(zip(case.kept, case.slots, strict=True))
    return step in slots and slots[step] == case.slots[-1]


@given(st.integers(3, 40), st.data())
@settings(max_examples=150, deadline=None)
def test_a_pair_is_found_and_nothing_else_is_left(n: int, data: st.DataObject) -> None:
    observer = data.draw(st.integers(1, n - 1))
    writer = data.draw(st.integers(0, observer - 1))

    async def shows(case: Case) -> bool:
        return case.observer == observer and apart(case, writer)

    workload = workload_of(n)
    found = asyncio.run(
        shrink(workload, observer_alone(observer), shows, guesses=likely_writers(workload, observer), most=200)
    )
    assert found.case.kept == (writer, observer)
    assert found.minimal


@given(st.integers(4, 30), st.data())
@settings(max_examples=150, deadline=None)
def test_several_writers_are_all_kept(n: int, data: st.DataObject) -> None:
    observer = n - 1
    writers = data.draw(st.sets(st.integers(0, observer - 1), min_size=2, max_size=4))

    async def shows(case: Case) -> bool:
        return all(apart(case, writer) for writer in writers)

    found = asyncio.run(shrink(workload_of(n), observer_alone(observer), shows, most=500))
    assert set(found.case.kept) == {*writers, observer}
    assert found.minimal


@given(st.integers(3, 24), st.data())
@settings(max_examples=150, deadline=None)
def test_a_stale_cache_keeps_reader_writer_reader(n: int, data: st.DataObject) -> None:
    first, writer, observer = sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=3, max_size=3)))
    bits = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    bits[observer] = bits[first]
    bits[writer] = 1 - bits[first]

    async def shows(case: Case) -> bool:
        return together(case, first) and apart(case, writer)

    case = cut_after(from_placement(bits), observer)
    found = asyncio.run(shrink(workload_of(n), case, shows, most=500))
    assert found.case.kept == (first, writer, observer)
    assert found.case.slots[0] == found.case.slots[2] != found.case.slots[1]


def test_what_a_request_refers_to_stays_with_it() -> None:
    steps = (
        Request("POST", "/items", save={"id": "json:$.id"}),
        Request("GET", "/other"),
        Request("POST", "/items/${id}/tags"),
        Request("GET", "/tags"),
    )
    workload = Workload(steps)
    assert closure(workload, {2}, 3) == (0, 2, 3)

    async def shows(case: Case) -> bool:
        assert 2 not in case.kept or 0 in case.kept, "a step without what it refers to is another step"
        return apart(case, 2)

    found = asyncio.run(shrink(workload, observer_alone(3), shows))
    assert found.case.kept == (0, 2, 3)


def test_a_pause_stays_with_what_it_waits_for() -> None:
    workload = Workload(
        (Request("POST", "/a"), Quiet(), Request("POST", "/b"), Quiet(), Quiet(), Request("GET", "/"))
    )
    assert with_pauses(workload, {2}) == {2, 3, 4}
    assert closure(workload, {0}, 5) == (0, 1, 5)
    case = workers_renewed(5, workload.quiet())
    assert case.slots == (0, NOWHERE, 0, NOWHERE, NOWHERE, 0)
    assert case.schedule().newborn


@pytest.mark.parametrize("by_time", [False, True])
def test_the_bound_is_kept_and_nothing_is_claimed_beyond_it(by_time: bool) -> None:
    asked = 0

    async def shows(case: Case) -> bool:
        nonlocal asked
        asked += 1
        return {3, 9, 17} <= set(case.kept)

    bounds: dict[str, Any] = {"goes_on": lambda: asked < 10} if by_time else {"most": 10}
    found = asyncio.run(shrink(workload_of(40), observer_alone(39), shows, **bounds))
    assert asked <= 10
    assert not found.minimal
    assert {3, 9, 17, 39} <= set(found.case.kept)


@pytest.mark.parametrize("at_the_end", [False, True])
def test_processes_live_on_unless_it_is_their_end_that_loses_it(at_the_end: bool) -> None:
    async def shows(case: Case) -> bool:
        return apart(case, 1) and (case.renewed or not at_the_end)

    whole = cut_after(newborn(5), 4)
    assert whole.renewed
    found = asyncio.run(shrink(workload_of(5), whole, shows))
    assert (found.case.kept, found.case.renewed) == ((1, 4), at_the_end)


def test_a_case_of_the_newborn_world_bears_slots_when_they_serve() -> None:
    case = cut_after(newborn(4), 3)
    assert case.late
    assert [life.born for life in case.schedule().lives] == [0, 1, 2, 3]
    assert [life.born for life in cut_after(from_placement((0, 1, 0)), 2).schedule().lives] == [0, 0]
