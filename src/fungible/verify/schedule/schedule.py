"""Schedules: which slot serves each step, and when slots are born and ended.

An outcome that depends on which of at most three requests share a process is shown by the warm world, the
newborn world and the split worlds together: a triple has five partitions, {abc} is the warm world, {a|b|c} the
newborn world, and the masks realise the other three for every triple. The columns of such a family of two-slot
worlds are a binary (2,1)-separating code; a linear one is an intersecting code (N. J. A. Sloane, "Covering
arrays and intersecting codes", 1993), so that a world is one integer: step i goes to slot parity(i & mask).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["warm", "newborn", "split", "late", "killed", "placed"]
End: TypeAlias = Literal["TERM", "KILL"]

NOWHERE: Final = -1
"""The placement of a step that no slot serves (`{until: quiet}`)."""

WINDOW: Final = 1024
"""The masks have this period. In a longer workload the split worlds part all triples but those of which two
placed steps lie a multiple of 1,024 apart; so every triple within a window of 1,024 is split in every way."""

MASKS: Final[dict[int, tuple[int, ...]]] = {
    1: (1,),
    2: (1, 2, 3),
    3: (1, 2, 4, 3, 5, 6),
    4: (1, 2, 4, 8, 15, 5, 6, 13, 14),
    5: (1, 2, 5, 8, 16, 14, 17, 6, 26, 24, 11, 28, 29),
    6: (3, 5, 10, 17, 25, 32, 39, 48, 27, 31, 55, 50, 51, 62, 63),
    7: (1, 2, 5, 17, 35, 44, 68, 92, 53, 90, 21, 96, 127, 117, 61, 70, 79, 109, 69, 119),
    8: (
        *(1, 3, 4, 9, 18, 43, 64, 158, 119, 199, 70, 184, 120, 103, 228, 201, 73, 24, 52, 226, 245, 123),
        *(224, 193),
    ),
    9: (
        *(2, 9, 15, 21, 25, 52, 87, 144, 277, 231, 471, 151, 321, 190, 401, 249, 180, 484, 317, 283, 413),
        *(250, 106, 309, 200, 340, 437, 302),
    ),
    10: (
        *(46, 68, 102, 190, 213, 248, 274, 297, 349, 543, 651, 464, 403, 611, 436, 763, 485, 839, 591, 680),
        *(380, 546, 977, 886, 780, 705, 826, 906, 953, 1005),
    ),
}
"""k -> the masks for up to 2**k steps. The first k of each are linearly independent, so they alone split every
pair; each further one is the one that splits most triples anew. Found by local search; for k = 10 a shortening
of the dual of the 2-error-correcting BCH code. All are checked over all triples in the tests."""

COLUMNS: Final[dict[int, tuple[int, tuple[int, ...]]]] = {
    5: (4, (0, 3, 5, 9, 14)),
    6: (5, (0, 3, 5, 9, 17, 30)),
    9: (7, (0, 3, 13, 49, 62, 85, 90, 102, 105)),
    10: (8, (0, 3, 5, 25, 97, 126, 169, 182, 206, 209)),
}
"""Where a family that is not linear is smaller, and smallest: steps -> (worlds, the column of each step)."""


@dataclass(frozen=True)
class Life:
    """One slot's life. It is born before step `born` and ended with signal `end` after step `until` (None: it
    lives until the world is over and is then stopped as any process is).

    Slots with the same `disk` share one layer, one after the other: the later finds what the earlier wrote.
    Slots with the same `host` have the same host name, folder paths, port and hash seed.
    """

    born: int
    until: int | None
    end: End
    disk: int
    host: int


@dataclass(frozen=True)
class Schedule:
    """What one world does with processes. `placement[i]` is the slot (an index into `lives`) that serves step
    i, or `NOWHERE`. Slots are numbered in the order in which they first serve, so step 0 is served by slot 0.
    """

    name: str
    kind: Kind
    placement: tuple[int, ...]
    lives: tuple[Life, ...]

    @property
    def slots(self) -> int:
        """How many slots there are in all."""
        return len(self.lives)

    @property
    def newborn(self) -> bool:
        """Is every step served by a slot of its own? Worker processes are then replaced after every step."""
        return self.kind == "newborn"

    @property
    def keep_disk(self) -> bool:
        """Do slots find the disk of those before them?"""
        return len({life.disk for life in self.lives}) < len(self.lives)

    @property
    def separate(self) -> bool:
        """Do the slots share neither memory nor disk? Only such worlds count in `coverage`."""
        return not self.keep_disk

    def births(self, step: int) -> tuple[int, ...]:
        """The slots to boot before a step."""
        return tuple(slot for slot, life in enumerate(self.lives) if life.born == step)

    def ends(self, step: int) -> tuple[tuple[int, End], ...]:
        """The slots to end after a step, with the signal."""
        return tuple((slot, life.end) for slot, life in enumerate(self.lives) if life.until == step)


def warm(n: int, quiet: Collection[int] = ()) -> Schedule:
    """One slot serves all `n` steps. `quiet` are the steps that need no slot, here and below."""
    placement = _spread(n, quiet, lambda _: 0)
    return Schedule("warm", "warm", placement, (Life(0, None, "TERM", 0, 0),))


def newborn(
    n: int,
    keep_disk: bool = False,
    same_host: bool = False,
    quiet: Collection[int] = (),
    end: End = "TERM",
) -> Schedule:
    """Every step in a process that did not exist before, on a wiped disk and a new host.

    What differs from the warm world with `keep_disk` and `same_host` is held in memory; what differs only
    without `keep_disk` is held in a file; what differs only without `same_host` is the process's identity.
    """
    placement = _spread(n, quiet, lambda index: index)
    lives = tuple(
        Life(step, step, end, 0 if keep_disk else slot, 0 if same_host else slot)
        for step, slot in enumerate(placement)
        if slot != NOWHERE
    )
    name = "newborn" + (", disk kept" if keep_disk else "") + (", same host" if same_host else "")
    return Schedule(name, "newborn", placement, lives)


def splits(n: int, quiet: Collection[int] = ()) -> tuple[Schedule, ...]:
    """Worlds of two long-lived slots, in the order in which they should run: the first ceil(log2 n) split every
    pair, all of them split every triple in every way (up to 1,024 placed steps; see `WINDOW` beyond).

    8 worlds for 10 steps, 15 for 50, 20 for 100, 28 for 500, 30 for 1,000.
    """
    placed = n - len({step for step in quiet if 0 <= step < n})
    return tuple(
        _long_lived(f"split {number}", "split", _spread(n, quiet, bits.__getitem__))
        for number, bits in enumerate(split_rows(placed), start=1)
    )


def split_rows(n: int) -> tuple[tuple[int, ...], ...]:
    """The rows of the family for `n` placed steps: one 0 or 1 a step, the first always 0."""
    if n < 2:
        return ()
    if n in COLUMNS:
        worlds, columns = COLUMNS[n]
        return tuple(tuple(column >> row & 1 for column in columns) for row in range(worlds))
    masks = MASKS[min(10, (n - 1).bit_length())]
    rows = (tuple((index & mask).bit_count() & 1 for index in range(n)) for mask in masks)
    return tuple(dict.fromkeys(row for row in rows if any(row)))


def late(n: int, k: int, quiet: Collection[int] = ()) -> Schedule:
    """A second slot boots before step `k` and serves from there: it shows what is read once, at boot.

    Unlike the slot of a `killed` world it has a disk and a host of its own, and the first slot lives on.
    Raises ValueError where no step is served before `k` or none from `k` on.
    """
    placement = _spread(n, quiet, lambda index: index)
    before = [slot for slot in placement[:k] if slot != NOWHERE]
    if k < 1 or not before or len(before) == len(placement) - placement.count(NOWHERE):
        raise ValueError(f"no slot can be late before step {k} of {n}")
    placement = tuple(slot if slot == NOWHERE else int(step >= k) for step, slot in enumerate(placement))
    lives = (Life(0, None, "TERM", 0, 0), Life(k, None, "TERM", 1, 1))
    return Schedule(f"late from step {k}", "late", placement, lives)


def relieved(n: int, cuts: Collection[int], quiet: Collection[int] = ()) -> Schedule:
    """Before each step of `cuts` a slot boots that serves from there to the next cut: what is read once, at boot,
    shows after every one of them. It takes over from one that ends with TERM, so that work shows which was promised
    and is lost. Each has a disk and a host of its own. Raises ValueError where a cut parts nothing.
    """
    starts = [0, *sorted(set(cuts))]
    placement = tuple(NOWHERE if step in quiet else sum(start <= step for start in starts) - 1 for step in range(n))
    if len(starts) < 2 or starts[1] < 1 or set(range(len(starts))) - set(placement):
        raise ValueError(f"no slots can relieve each other before steps {starts[1:]} of {n}")
    ends = [*(start - 1 for start in starts[1:]), None]
    lives = tuple(
        Life(start, end, "TERM", slot, slot) for slot, (start, end) in enumerate(zip(starts, ends, strict=True))
    )
    name = f"late from step{'s' * (len(starts) > 2)} {', '.join(map(str, starts[1:]))}"
    return Schedule(name, "late", placement, lives)


def killed(n: int, after: Collection[int], end: End = "KILL", quiet: Collection[int] = ()) -> Schedule:
    """One slot at a time; after each step of `after` it is ended and the next takes its place, disk and host.

    With KILL, lost buffers and lost background work show; with TERM, what exit hooks do. Cuts where nothing
    was served since the last one, or nothing is served afterwards, are still made: a store may differ.
    Raises ValueError for a step that does not exist.
    """
    cuts = sorted(set(after))
    if any(not 0 <= step < n for step in cuts):
        raise ValueError(f"a slot can be killed after steps 0 to {n - 1}, not {cuts}")
    placement = tuple(NOWHERE if step in quiet else sum(cut < step for cut in cuts) for step in range(n))
    born = [0, *(cut + 1 for cut in cuts)]
    lives = tuple(
        Life(start, cut, end if cut is not None else "TERM", 0, 0)
        for start, cut in zip(born, [*cuts, None], strict=True)
        if start < n
    )
    return Schedule(f"{end} after {', '.join(map(str, cuts))}", "killed", placement, lives)


def from_placement(bits: Sequence[int], name: str = "placed") -> Schedule:
    """Long-lived slots, each step on the slot with its number (`NOWHERE` for none); slots are renumbered in the
    order in which they first serve. This is the value that shrinking works on."""
    return _long_lived(name, "placed", tuple(bits))


def _long_lived(name: str, kind: Kind, placement: tuple[int, ...]) -> Schedule:
    order: dict[int, int] = {}
    for slot in placement:
        if slot != NOWHERE:
            order.setdefault(slot, len(order))
    lives = tuple(Life(0, None, "TERM", slot, slot) for slot in range(max(1, len(order))))
    return Schedule(name, kind, tuple(order.get(slot, NOWHERE) for slot in placement), lives)


def _spread(n: int, quiet: Collection[int], slot: Callable[[int], int]) -> tuple[int, ...]:
    """Give the i-th step that needs a slot the slot `slot(i)`."""
    placement: list[int] = []
    index = 0
    for step in range(n):
        if step in quiet:
            placement.append(NOWHERE)
        else:
            placement.append(slot(index))
            index += 1
    return tuple(placement)
