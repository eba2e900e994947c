"""From a path to the object in this process."""

from __future__ import annotations

import sys
import types
from collections.abc import Sequence
from typing import Any

from . import kinds
from .containers import DictFacet, SequenceFacet
from .facets import MISSING, Facet, Slots, key_wire
from .process import PROCESS
from .walk import frames, scanned


class Found:
    """An object with the way by which it was found; `thing` is MISSING for a place that is empty."""

    def __init__(self, thing: Any, holder: Found | None, step: Any, facets: tuple[Facet, ...] | None = None):
        self.thing = thing
        self.holder = holder
        self.step = step
        self.facets = facets if facets is not None else () if thing is MISSING else kinds.facets_of(type(thing))


def resolve(path: Sequence[Sequence[Any]]) -> Found | None:
    """The object at `path`, or None."""
    found, rest = nearest(path)
    return found if found is not None and not rest and found.thing is not MISSING else None


def nearest(path: Sequence[Sequence[Any]]) -> tuple[Found | None, list[Any]]:
    """The last object on the way that exists, and the steps that remain."""
    found = _first(path[0]) if path else None
    if found is None:
        return None, list(path)
    for number, step in enumerate(path[1:], 1):
        below = follow(found, step)
        if below is None:
            return found, list(path[number:])
        found = below
    return found, []


def _first(step: Sequence[Any]) -> Found | None:
    kind, value = step
    if kind == "m":
        module = dict.get(sys.modules, value)
        return None if module is None else Found(module, None, step)
    if kind == "pr":
        return Found(PROCESS, None, step, kinds.PROCESS_FACETS)
    if kind == "fr":
        named = (one for one in frames() if one.f_code.co_name == value[1])
        frame = next((one for one in named if str(one.f_globals.get("__name__")) == value[0]), None)
        return None if frame is None else Found(frame, None, step, kinds.FRAME)
    thing = scanned(step) if kind in ("fn", "ap") else None
    return None if thing is None else Found(thing, None, step)


def follow(found: Found, step: Sequence[Any]) -> Found | None:
    """One step on from `found`, through the cell of a variable."""
    for facet in found.facets:
        value = get(facet, found.thing, step)
        if value is not MISSING:
            below = Found(value, found, step, facet.child_facets)
            if type(value) is types.CellType:
                content = below.facets[0].read(value)
                return Found(content[0], below, None) if content else None
            return below
    return None


def get(facet: Facet, thing: Any, step: Sequence[Any]) -> Any:
    """The value at `step` of one facet of an object, or MISSING."""
    kind, value = step
    if isinstance(facet, DictFacet) and kind == "k" and type(value) in (str, int):
        return dict.get(thing, value, MISSING)
    try:
        content = facet.read(thing)
    except Exception:
        return MISSING
    if isinstance(facet, Slots):
        return content.get(value if kind == "a" else (kind, value), MISSING)
    if isinstance(facet, DictFacet) and kind == "k":
        for position, key in enumerate(content):
            if key_wire(key, position) == value:
                return content[key]
        return MISSING
    if isinstance(facet, SequenceFacet) and kind == "i":
        return content[value] if 0 <= value < len(content) else MISSING
    for way, child in facet.children(content):
        if way is not None and list(way) == list(step):
            return child
    return MISSING
