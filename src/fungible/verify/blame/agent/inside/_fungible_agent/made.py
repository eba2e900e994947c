"""Containers that were made since a walk, and emptying them.

Somebody may hold such a container where no path leads (a C object, a context of another thread): to undo the binding
by which it is known then changes nothing. To empty it does: a process that has just made it holds it empty.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
from typing import Any

from . import kinds, resolve
from .facets import Step
from .walk import Walk

_DEPTH = 4
_MOST = 2_000
"""So many objects are looked into."""

_CLEAR: dict[int, Any] = {
    id(kind): kind.clear
    for kind in (dict, collections.OrderedDict, collections.defaultdict, collections.Counter, list, set,
                 collections.deque)
}  # fmt: skip
"""Exactly these: what a class of somebody's own keeps beside its entries would be left over."""


def containers(before: Walk, paths: Sequence[Sequence[Step]]) -> list[tuple[int, Any]]:
    """The containers, not empty, that are at one of the paths or held by what is there, and were not in the walk;
    with the number of steps to each, the nearest first."""
    found: list[tuple[int, Any]] = []
    seen: set[int] = set()
    level = [there.thing for there in map(resolve.resolve, paths) if there is not None]
    for depth in range(_DEPTH):
        new = [thing for thing in level if id(thing) not in before.nodes]
        found += [(depth, thing) for thing in new if id(thing) not in seen and _is_container(thing)]
        level = [child for thing in new for child in _within(thing, seen)]
    return found


def _is_container(thing: Any) -> bool:
    kind = type(thing)
    return id(kind) in _CLEAR and kind.__len__(thing) > 0


def _within(thing: Any, seen: set[int]) -> Iterator[Any]:
    if id(thing) in seen or len(seen) >= _MOST:
        return
    seen.add(id(thing))
    facets = kinds.facets_of(type(thing))
    if facets in (kinds.MODULE, kinds.CLASS, kinds.FUNCTION, kinds.FRAME):
        return
    for facet in facets:
        try:
            content = facet.read(thing)
        except Exception:
            continue
        yield from (child for _, child in facet.children(content))


def empty(found: Sequence[tuple[int, Any]]) -> None:
    """Empty the containers, without a word to those who hold them."""
    for _, thing in found:
        _CLEAR[id(type(thing))](thing)
