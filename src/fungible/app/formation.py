"""The formation: how many processes of each type should run. Zero is a number."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from fungible.app.problem import Problem
from fungible.app.procfile import RELEASE
from fungible.app.wording import listed, nearest, shown

if TYPE_CHECKING:
    from fungible.app.model import ProcessType

MOST_PROCESSES = 1000


def parse_formation(items: Iterable[str], types: Collection[str], singletons: Collection[str] = ()) -> dict[str, int]:
    """Counts by type name from words such as `web=2` and `worker=0`, in their order.

    `types` are the names that exist, `singletons` those of which at most one process may run. Raises Problem
    for an unknown type, a type given twice, and a number that is none, negative or over MOST_PROCESSES.
    """
    counts: dict[str, int] = {}
    for item in items:
        name, equals, number = item.partition("=")
        if not equals:
            raise Problem(f"{shown(item)}: write TYPE=N, for example `{_example(name, types)}=2`.")
        if name not in types:
            raise Problem(_unknown(item, name, types))
        if name in counts:
            raise Problem(f"{shown(item)}: the process type {shown(name)} is given twice; give it once.")
        counts[name] = _count(item, number)
        if name in singletons and counts[name] > 1:
            raise Problem(f"{shown(item)}: {shown(name)} is a singleton; give 0 or 1.")
    return counts


def initial_formation(given: Mapping[str, int], types: Mapping[str, ProcessType]) -> dict[str, int]:
    """The formation to start: what was `given`, and for every other type its own `processes`."""
    return {name: given.get(name, process_type.processes) for name, process_type in types.items()}


def _count(item: str, number: str) -> int:
    if re.fullmatch(r"-[0-9]+", number):
        raise Problem(f"{shown(item)}: a number of processes cannot be negative; 0 runs none.")
    if not re.fullmatch(r"[0-9]+", number):
        raise Problem(f"{shown(item)}: {shown(number)} is not a number of processes; write 0, 1, 2 …")
    digits = number.lstrip("0") or "0"
    if len(digits) > 4 or int(digits) > MOST_PROCESSES:
        raise Problem(f"{shown(item)}: at most {MOST_PROCESSES} processes of a type can run.")
    return int(digits)


def _unknown(item: str, name: str, types: Collection[str]) -> str:
    if name == RELEASE:
        return f"{shown(item)}: `release` is the command that runs once per release, not a process type."
    known = f" Known are {listed(types)}." if 0 < len(types) <= 12 else ""
    return f"{shown(item)}: the app has no process type {shown(name)}.{nearest(name, types) or known}"


def _example(name: str, types: Collection[str]) -> str:
    return name if name in types else next(iter(types), "web")
