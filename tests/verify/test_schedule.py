"""Schedules and what they cover: the theorem by brute force, the counts, and what a world runner is told."""

from __future__ import annotations

from itertools import combinations
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fungible.verify.schedule.coverage import coverage
from fungible.verify.schedule.schedule import (
    MASKS,
    NOWHERE,
    Schedule,
    from_placement,
    killed,
    late,
    newborn,
    relieved,
    split_rows,
    splits,
    warm,
)

pytestmark = pytest.mark.pure


def new_host(schedule: Schedule) -> bool:
    """Whether each slot has an identity (host name, paths, port, hash seed) of its own."""
    return len({life.host for life in schedule.lives}) == schedule.slots


def columns(n: int) -> list[int]:
    """For each step, the worlds in which it is on slot 1, as the bits of one number."""
    rows = split_rows(n)
    return [sum(row[step] << world for world, row in enumerate(rows)) for step in range(n)]


@pytest.mark.parametrize("n", range(2, 129))
def test_every_pair_and_every_triple_is_split_in_every_way(n: int) -> None:
    words = columns(n)
    for a, b in combinations(range(n), 2):
        apart = words[a] ^ words[b]
        assert apart
        first = words[a]
        # {a|bc}, {b|ac} and {c|ab}, for every third step.
        for c in range(b + 1, n):
            other = first ^ words[c]
            assert apart & other
            assert apart & ~other
            assert other & ~apart


@pytest.mark.parametrize("k", sorted(MASKS))
def test_masks_are_an_intersecting_code(k: int) -> None:
    # A linear family works for all 2**k steps iff any two non-zero words overlap; a triple that includes step
    # 0 then stands for every triple with the same differences.
    steps = range(1, 1 << k)
    ones = {mask: sum(((step & mask).bit_count() & 1) << step for step in steps) for mask in MASKS[k]}
    for step in steps:
        overlapping = 0
        for mask, members in ones.items():
            if (step & mask).bit_count() & 1:
                overlapping |= members
        assert overlapping == (1 << (1 << k)) - 2, f"step {step} is not separated from all others"


@pytest.mark.parametrize("k", sorted(MASKS))
def test_the_first_masks_alone_split_every_pair(k: int) -> None:
    words = [
        sum(((step & mask).bit_count() & 1) << i for i, mask in enumerate(MASKS[k][:k])) for step in range(1 << k)
    ]
    assert len(set(words)) == 1 << k


@pytest.mark.parametrize(
    ("n", "worlds"),
    [
        *((0, 0), (1, 0), (2, 1), (3, 3), (4, 3), (5, 4), (6, 5), (8, 6), (9, 7), (10, 8), (11, 9), (16, 9)),
        *((50, 15), (100, 20), (500, 28), (1000, 30), (1024, 30), (5000, 30)),
    ],
)
def test_known_counts(n: int, worlds: int) -> None:
    assert len(splits(n)) == worlds


def test_splits_number_the_slot_of_step_0_as_0_and_use_both_slots() -> None:
    for n in (2, 3, 7, 10, 40, 300):
        for schedule in splits(n):
            assert schedule.placement[0] == 0
            assert set(schedule.placement) == {0, 1} == set(range(schedule.slots))
            assert schedule.births(0) == (0, 1)
            assert not any(schedule.ends(step) for step in range(n))
        assert len({schedule.placement for schedule in splits(n)}) == len(splits(n))


def test_beyond_the_window_only_steps_a_multiple_of_it_apart_stay_together() -> None:
    rows = split_rows(2500)
    words = [tuple(row[step] for row in rows) for step in range(2500)]
    assert words[7] == words[7 + 1024]
    assert len(set(words[700 : 700 + 1024])) == 1024


def test_steps_that_wait_need_no_slot_and_do_not_thin_the_masks() -> None:
    quiet = {0, 4}
    assert warm(6, quiet).placement == (NOWHERE, 0, 0, 0, NOWHERE, 0)
    assert newborn(6, quiet=quiet).placement == (NOWHERE, 0, 1, 2, NOWHERE, 3)
    without = [tuple(slot for slot in each.placement if slot != NOWHERE) for each in splits(6, quiet)]
    assert without == [each.placement for each in splits(4)]


def test_a_newborn_is_born_before_its_step_and_ended_after_it() -> None:
    schedule = newborn(3, quiet={1})
    assert schedule.newborn and new_host(schedule) and not schedule.keep_disk
    assert [schedule.births(step) for step in range(3)] == [(0,), (), (1,)]
    assert [schedule.ends(step) for step in range(3)] == [((0, "TERM"),), (), ((1, "TERM"),)]


def test_variants_of_newborn_tell_memory_file_and_identity_apart() -> None:
    memory, identity = newborn(3, keep_disk=True, same_host=True), newborn(3, keep_disk=True)
    assert memory.keep_disk and not new_host(memory)
    assert identity.keep_disk and new_host(identity)
    assert len({memory.name, identity.name, newborn(3).name}) == 3


def test_a_late_slot_is_born_in_the_middle() -> None:
    schedule = late(5, 2)
    assert schedule.placement == (0, 0, 1, 1, 1)
    assert schedule.births(0) == (0,) and schedule.births(2) == (1,)
    assert new_host(schedule) and not schedule.keep_disk
    for k in (0, 5):
        with pytest.raises(ValueError, match="late"):
            late(5, k)
    with pytest.raises(ValueError, match="late"):
        late(3, 1, quiet={0})


def test_a_killed_slot_is_replaced_on_its_own_disk() -> None:
    schedule = killed(5, [1, 4])
    assert schedule.placement == (0, 0, 1, 1, 1)
    assert schedule.ends(1) == ((0, "KILL"),) and schedule.ends(4) == ((1, "KILL"),)
    assert schedule.births(2) == (1,) and schedule.slots == 2
    assert schedule.keep_disk and not new_host(schedule)
    assert killed(5, [1], "TERM").ends(1) == ((0, "TERM"),)
    with pytest.raises(ValueError, match="killed"):
        killed(3, [3])


@given(st.lists(st.integers(-1, 4), max_size=12))
def test_a_placement_keeps_its_partition(bits: list[int]) -> None:
    schedule = from_placement(bits)
    for (a, slot_a), (b, slot_b) in combinations(enumerate(bits), 2):
        assert (slot_a == slot_b) == (schedule.placement[a] == schedule.placement[b])
    used = list(dict.fromkeys(slot for slot in schedule.placement if slot != NOWHERE))
    assert used == list(range(len(used)))
    assert schedule.slots == max(1, len(used))


def by_hand(schedules: list[Schedule], n: int) -> tuple[int, int]:
    def partition(schedule: Schedule, steps: tuple[int, ...]) -> tuple[int, ...]:
        seen: dict[int, int] = {}
        return tuple(seen.setdefault(schedule.placement[step], len(seen)) for step in steps)

    pairs = sum(len({partition(each, pair) for each in schedules}) == 2 for pair in combinations(range(n), 2))
    triples = sum(len({partition(each, triple) for each in schedules}) == 5 for triple in combinations(range(n), 3))
    return pairs, triples


@settings(max_examples=150)
@given(
    st.integers(0, 9).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(st.lists(st.integers(0, 3), min_size=n, max_size=n).map(from_placement), max_size=8),
            st.booleans(),
            st.booleans(),
        )
    )
)
def test_coverage_counts_what_counting_by_hand_counts(case: tuple[int, list[Schedule], bool, bool]) -> None:
    n, schedules, with_warm, with_newborn = case
    schedules = [*schedules, *([warm(n)] if with_warm else []), *([newborn(n)] if with_newborn else [])]
    found = coverage(schedules, n)
    assert (found.pairs[0], found.triples[0]) == by_hand(schedules, n)
    assert (found.pairs[1], found.triples[1]) == (comb(n, 2), comb(n, 3))


@pytest.mark.parametrize("n", [1, 2, 3, 14, 33, 128])
def test_the_whole_family_covers_everything_and_less_covers_less(n: int) -> None:
    everything = [warm(n), newborn(n), *splits(n)]
    assert coverage(everything, n).pairs == (comb(n, 2), comb(n, 2))
    assert coverage(everything, n).triples == (comb(n, 3), comb(n, 3))
    shares = [coverage(everything[:cut], n).triples[0] for cut in range(len(everything) + 1)]
    assert shares == sorted(shares)
    if n > 3:
        assert shares[-2] < comb(n, 3)


def test_longer_than_the_window_says_so() -> None:
    n = 1100
    few = coverage([warm(n), newborn(n), *splits(n)[:1]], n)
    assert few.triples == (0, comb(n, 3))
    assert few.pairs == (comb(n, 2), comb(n, 2))


def test_worlds_that_keep_the_disk_do_not_count() -> None:
    assert coverage([warm(4), newborn(4, keep_disk=True), killed(4, [1])], 4).pairs == (0, 6)


def test_quiet_steps_are_no_part_of_a_pair() -> None:
    quiet = {2}
    assert coverage([warm(4, quiet), newborn(4, quiet=quiet), *splits(4, quiet)], 4).triples == (1, 1)


def test_four_way_odds_are_close_to_the_true_share() -> None:
    n = 16
    family = [warm(n), newborn(n), *splits(n)]
    patterns = hits = 0
    for quad in combinations(range(n), 4):
        shown = {tuple(each.placement[step] == each.placement[quad[0]] for step in quad) for each in splits(n)}
        patterns += 7
        hits += len(shown - {(True,) * 4})
    assert coverage(family, n).four_way_odds == pytest.approx(hits / patterns, abs=0.12)
    assert coverage([warm(n), newborn(n)], n).four_way_odds == 0


def test_slots_relieve_each_other() -> None:
    schedule = relieved(6, {2, 4}, quiet={3})
    assert schedule.placement == (0, 0, 1, NOWHERE, 2, 2)
    assert [(life.born, life.until) for life in schedule.lives] == [(0, 1), (2, 3), (4, None)]
    assert schedule.separate and new_host(schedule) and not schedule.newborn
    for cuts, n, quiet in ((), 3, ()), ({0}, 3, ()), ({3}, 3, ()), ({2}, 3, {2}):  # type: ignore[var-annotated]
        with pytest.raises(ValueError):
            relieved(n, cuts, quiet)
