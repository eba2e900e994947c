"""Values that grow from step to step in every warm run: sequences, clocks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from fungible.verify.compare.lexemes import instant
from fungible.verify.compare.names import Names

_SURE = 5e4
"""An order is believed when chance would show it less than once in this many workloads."""


@dataclass(frozen=True, slots=True)
class Order:
    """How a group of values grew from step to step in every warm run."""

    strict: bool
    counter: bool
    """The same growth in every run: a sequence, not the passing of time."""


def learn_orders(values: Mapping[str, list[tuple[int, tuple[str, ...]]]], names: Names) -> dict[str, Order]:
    """The orders that hold in every warm run: of values by endpoint and place, with their step, what grew."""
    orders = {}
    for key, found in values.items():
        rows = [vector for _, vector in sorted(found) if vector not in names.of]
        if len(rows) < 3 or len({step for step, _ in found}) != len(found):
            continue
        runs = [[magnitude(row[run]) for row in rows] for run in range(len(rows[0]))]
        if math.factorial(min(len(rows), 20)) ** len(runs) < _SURE:
            continue
        numbers = [[value for value in run if value is not None] for run in runs]
        if any(len(run) != len(rows) for run in numbers):
            continue
        growth = [[b - a for a, b in pairwise(run)] for run in numbers]
        if all(delta > 0 for run in growth for delta in run):
            orders[key] = Order(strict=True, counter=all(run == growth[0] for run in growth))
        elif all(delta >= 0 for run in growth for delta in run) and all(
            sum(d > 0 for d in run) > 3 for run in growth
        ):
            orders[key] = Order(strict=False, counter=False)
    return orders


def magnitude(text: str) -> float | None:
    """A number, or a point in time as seconds since 1970; None for anything else."""
    try:
        return float(text)
    except ValueError:
        when = instant(text)
        return None if when is None or when[1] > 1 else when[0]
