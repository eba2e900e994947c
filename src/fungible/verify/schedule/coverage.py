"""How much of "every pair and every triple, split in every way" the worlds that ran have realised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, prod

from fungible.verify.schedule.schedule import Schedule


@dataclass(frozen=True)
class Coverage:
    """`pairs` and `triples` are (covered, total): a pair is covered when it was together in one world and apart
    in another, a triple when all its five partitions occurred. `four_way_odds` is the probability that a
    pattern of four requests in two groups, drawn at random, occurred."""

    pairs: tuple[int, int]
    triples: tuple[int, int]
    four_way_odds: float


def coverage(schedules_run: Sequence[Schedule], n: int) -> Coverage:
    """Count exactly what the schedules cover, of the pairs and triples of the steps that slots serve.

    `n` is the number of steps of the workload. Worlds whose slots inherit a disk (`keep_disk`, `killed`) do
    not count: a file may have joined what memory kept apart.

    Steps with the same column (the same slot in every world but the newborn ones) are counted as one, with a
    multiplicity; for each two columns the set of third ones with which all partitions occur is a bit vector.
    So the cost grows with the square of the number of columns, at most 1,024 for `splits` (some seconds), and
    nothing is sampled.
    """
    separate = [schedule for schedule in schedules_run if schedule.separate]
    placed = [
        step for step in range(n) if not schedules_run or any(each.placement[step] >= 0 for each in schedules_run)
    ]
    total_pairs, total_triples = comb(len(placed), 2), comb(len(placed), 3)
    apart = any(_all_apart(each, placed) for each in separate)
    rows = {tuple(each.placement[step] for step in placed): None for each in separate if not _all_apart(each, placed)}
    columns = Counter(zip(*rows, strict=True)) if rows else Counter({(): len(placed)})
    pairs, triples = _count(list(columns), list(columns.values()), len(rows), apart)
    odds = 1.0 - prod(1.0 - _four_way(each, placed) for each in separate) if len(placed) >= 4 else 1.0
    return Coverage((pairs, total_pairs), (triples, total_triples), odds)


def _all_apart(schedule: Schedule, placed: Sequence[int]) -> bool:
    return len({schedule.placement[step] for step in placed}) == len(placed) > 1


def _count(columns: list[tuple[int, ...]], sizes: list[int], worlds: int, apart: bool) -> tuple[int, int]:
    """Covered pairs and triples of steps, from the distinct columns and how many steps have each.

    Steps of one column are together in every world, so triples with two of them are never covered, and their
    pairs only by a newborn world. Distinct columns are apart somewhere.
    """
    everyone = (1 << len(columns)) - 1
    together = [_together(columns, world) for world in range(worlds)]
    by_size = [
        (size, sum(1 << index for index, each in enumerate(sizes) if each == size)) for size in sorted(set(sizes))
    ]
    pairs = sum(comb(size, 2) for size in sizes) if worlds and apart else 0
    triples = 0
    for a, column_a in enumerate(columns):
        with_a = [each[column_a[world]] for world, each in enumerate(together)]
        for b in range(a + 1, len(columns)):
            column_b = columns[b]
            only_c = none = only_a = only_b = 0
            all_three = everyone if apart else 0
            for world, slot in enumerate(column_b):
                same_a = with_a[world]
                if column_a[world] == slot:
                    none |= same_a
                    only_c |= ~same_a
                else:
                    same_b = together[world][slot]
                    only_a |= same_b
                    only_b |= same_a
                    if not apart:
                        all_three |= ~(same_a | same_b)
            weight = sizes[a] * sizes[b]
            if none:
                pairs += weight
            thirds = (only_c & none & only_a & only_b & all_three & everyone) >> (b + 1) << (b + 1)
            if thirds:
                triples += weight * sum(size * (thirds & some).bit_count() for size, some in by_size)
    return pairs, triples


def _together(columns: list[tuple[int, ...]], world: int) -> dict[int, int]:
    """Slot -> the bit vector of the columns that it serves in a world."""
    found: dict[int, int] = {}
    for index, column in enumerate(columns):
        found[column[world]] = found.get(column[world], 0) | 1 << index
    return found


def _four_way(schedule: Schedule, placed: Sequence[int]) -> float:
    """The share of the seven two-group partitions of a random quadruple that one world realises.

    A quadruple is parted {3+1} or {2+2} by exactly one way in one world; the shares of several worlds are then
    joined as if they were independent, which for `splits` is a little too low (tests compare).
    """
    sizes = Counter(schedule.placement[step] for step in placed).values()
    n = len(placed)
    three_one = sum(comb(size, 3) * (n - size) for size in sizes)
    twos = [comb(size, 2) for size in sizes]
    two_two = (sum(twos) ** 2 - sum(two * two for two in twos)) // 2
    return (three_one + two_two) / comb(n, 4) / 7
