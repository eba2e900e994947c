"""The lines that write: watched objects are compared at every line that runs, and a change is the last line's.

Before Python 3.12 a trace function must be there from the start of each thread; it costs one call for each call of
a Python function until something is watched. From 3.12 on `sys.monitoring` is switched on for the watch alone.
"""

from __future__ import annotations

import collections
import functools
import itertools
import sys
import threading
from _thread import get_ident
from collections.abc import Callable, Sequence
from operator import is_
from typing import Any

from . import kinds, places, say, source
from .containers import BufferFacet, DictFacet, SequenceFacet, SetFacet
from .facets import MISSING, Attributes, CellFacet
from .resolve import Found, nearest
from .specials import CacheFacet, ContextFacet, CounterFacet, DatabaseFacet, IteratorFacet, ThreadLocalFacet

Look = Callable[[], tuple[tuple[Any, ...], list[Any]]]

_WATCHED = 16
_EDGE = 64
_WRITES = 200
_TOOL = 4

_watches: list[Watch] = []
_writes: list[dict[str, Any]] = []
_last: dict[int, tuple[Any, int]] = {}
_latest = 0
"""The thread whose line began last: the one that wrote, where another thread goes on in the middle of a line."""
_ready = False


class Watch:
    """One path and how to see, cheaply, that what is there has changed."""

    def __init__(self, path: Sequence[Any], found: Found, rest: list[Any]) -> None:
        self.path = path
        self._looks = _looks(found, rest)
        self._cache = found.thing if not rest and source.is_cache(found.thing) else None
        self._seen = [look() for look in self._looks]

    def changed(self) -> bool:
        """Whether it changed since the last time."""
        for number, look in enumerate(self._looks):
            token, held = look()
            was = self._seen[number]
            if token != was[0] or len(held) != len(was[1]) or not all(map(is_, held, was[1])):
                self._seen[number] = (token, held)
                for other in range(number + 1, len(self._looks)):
                    self._seen[other] = self._looks[other]()
                return True
        return False

    def note(self, frame: Any, line: int | None) -> None:
        """Record a write by `line` of `frame`."""
        written, called, function = places.of_frame(frame, line)
        if self._cache is not None:
            wrapped = source.cached_function(self._cache)
            if wrapped is not None:
                # The store happens in C, after the function has returned.
                written, function = source.of_function(wrapped), wrapped.__name__
        if len(_writes) < _WRITES:
            found, rest = nearest(self.path)
            what = "unset" if found is None or rest else say.value(found.thing, 1)
            through = None
            if written is not None and called is None:
                home = source.home_of(self.path)
                if home and not written[0].startswith(home):
                    through = places.within(frame, home)
            _writes.append({"path": self.path, "written_at": written, "called_from": called, "function": function,
                            "what": what, "through": through})  # fmt: skip


def _looks(found: Found, rest: list[Any]) -> list[Look]:
    looks: list[Look] = []
    if rest:
        place = _place(found, rest[0])
        if place is not None:
            looks.append(place)
    elif found.holder is not None:
        place = _place(found.holder, found.step)
        if place is not None:
            looks.append(place)
    looks.extend(look for look in (_content(facet, found.thing) for facet in found.facets) if look is not None)
    return looks


def _place(holder: Found, step: Any) -> Look | None:
    """Sees that another object is bound at one place."""
    thing = holder.thing
    space: Any = None
    if step is None:
        facet = holder.facets[0]
        return lambda: ((), list(facet.read(thing)))
    if step[0] == "a":
        name = step[1]
        if holder.facets is kinds.MODULE:
            space = kinds.MODULE[0].space(thing)  # type: ignore[attr-defined]
        elif holder.facets is kinds.CLASS:
            space = say.namespace(thing)
        else:
            for facet in holder.facets:
                if isinstance(facet, Attributes):
                    attributes = facet
                    if name in attributes.slots:
                        return lambda: ((), [attributes.read(thing).get(name, MISSING)])
                    space = attributes.space(thing)
        if space is not None:
            return lambda: ((), [space.get(name, MISSING)])
    if step[0] == "ps":
        return lambda: ((kinds.SETTINGS.one(step[1]),), [])
    if step[0] == "k" and type(step[1]) in (str, int):
        key = step[1]
        if any(isinstance(facet, DictFacet) for facet in holder.facets):
            return lambda: ((), [dict.get(thing, key, MISSING)])
    return None


def _content(facet: Any, thing: Any) -> Look | None:
    """Sees that a container holds something else. Of a large one only the newest are looked at."""
    if isinstance(facet, DictFacet):
        return lambda: (
            (dict.__len__(thing),),
            [
                *itertools.islice(reversed(dict.values(thing)), _EDGE),
                *itertools.islice(reversed(dict.keys(thing)), _EDGE),
            ],
        )
    if isinstance(facet, SequenceFacet) and facet.kind == "list":
        return lambda: (
            (list.__len__(thing),),
            list.__getitem__(thing, slice(0, 8)) + list.__getitem__(thing, slice(-_EDGE, None)),
        )
    if isinstance(facet, SequenceFacet) and facet.kind == "deque":
        deque = collections.deque
        return lambda: (
            (deque.__len__(thing),),
            [*itertools.islice(deque.__iter__(thing), 8), *itertools.islice(deque.__reversed__(thing), _EDGE)],
        )
    if isinstance(facet, SetFacet) and not facet.fixed:
        return lambda: ((set.__len__(thing),), list(facet.read(thing)) if set.__len__(thing) <= 4 * _EDGE else [])
    if isinstance(facet, Attributes):
        return lambda: ((), list(facet.read(thing).values()))
    if isinstance(facet, CellFacet):
        return lambda: ((), list(facet.read(thing)))
    if isinstance(facet, CacheFacet):
        return lambda: (functools._lru_cache_wrapper.cache_info(thing)[1::2], [])
    if isinstance(facet, IteratorFacet):
        return lambda: ((facet.turn(facet.read(thing)),), [])
    if isinstance(facet, CounterFacet):
        return lambda: ((repr(thing),), [])
    if isinstance(facet, DatabaseFacet):
        return lambda: ((facet.count(thing),), [])
    if isinstance(facet, BufferFacet):
        return lambda: ((facet.read(thing),), [])
    if isinstance(facet, ThreadLocalFacet):
        return lambda: ((), [value for space in facet.read(thing) for value in dict.values(space)])
    if isinstance(facet, ContextFacet):
        contexts = list(facet.contexts)
        return lambda: ((), [context.get(thing, MISSING) for context in contexts])
    return None


def begin() -> None:
    """Be ready to watch, where that must be from the start."""
    global _ready
    _ready = True
    if sys.version_info < (3, 12):
        sys.settrace(_on_call)
        threading.settrace(_on_call)


def watch(paths: list[Any]) -> list[int]:
    """Watch the objects at `paths`; the positions of those that could be found. Raises RuntimeError."""
    if not _ready:
        raise RuntimeError("this process was started without the line tracer")
    unwatch()
    kinds.CONTEXT.refresh()
    done = []
    for number, path in enumerate(paths[:_WATCHED]):
        found, rest = nearest(path)
        if found is None:
            continue
        try:
            one = Watch(path, found, rest)
        except Exception:
            continue
        if one._looks:
            _watches.append(one)
            done.append(number)
    if _watches:
        _monitor()
        _join()
    return done


def _join() -> None:
    """Before Python 3.12 a function that runs already (a worker's loop) is not asked again whether it is traced."""
    if sys.version_info >= (3, 12):
        return
    ours = get_ident()
    for thread, frame in sys._current_frames().items():
        one: Any = frame if thread != ours else None
        while one is not None:
            if one.f_trace is None and places.kind_of(one.f_code.co_filename) != places.SKIPPED:
                one.f_trace = _on_line
            one = one.f_back


def unwatch() -> None:
    """Watch nothing."""
    _watches.clear()
    _writes.clear()
    _last.clear()
    if sys.version_info >= (3, 12) and sys.monitoring.get_tool(_TOOL) == _NAME:
        sys.monitoring.set_events(_TOOL, 0)
        sys.monitoring.free_tool_id(_TOOL)


def writes() -> list[dict[str, Any]]:
    """The writes that were seen, oldest first."""
    return list(_writes)


def _check(frame: Any) -> None:
    for one in _watches:
        try:
            changed = one.changed()
        except Exception:
            continue
        if changed:
            before, line = _last.get(_latest) or _last.get(get_ident()) or (frame.f_back or frame, None)
            one.note(before, line)


def _at(frame: Any) -> None:
    global _latest
    _latest = get_ident()
    _last[_latest] = (frame, frame.f_lineno or frame.f_code.co_firstlineno)


def _left(frame: Any) -> None:
    """A function ends or is suspended: its caller goes on, in the line where it stands."""
    back = frame.f_back
    while back is not None and places.kind_of(back.f_code.co_filename) == places.SKIPPED:
        back = back.f_back
    if back is None:
        _last.pop(get_ident(), None)
    else:
        _at(back)


def _on_call(frame: Any, event: str, argument: Any) -> Any:
    if not _watches or places.kind_of(frame.f_code.co_filename) == places.SKIPPED:
        return None
    _check(frame)
    _at(frame)
    return _on_line


def _on_line(frame: Any, event: str, argument: Any) -> Any:
    if not _watches:
        return None
    _check(frame)
    if event == "return":
        _left(frame)
    else:
        _at(frame)
    return _on_line


_NAME = "fungible"


def _monitor() -> None:
    if sys.version_info < (3, 12):
        return
    monitoring = sys.monitoring
    if monitoring.get_tool(_TOOL) is None:
        monitoring.use_tool_id(_TOOL, _NAME)
    events = monitoring.events

    def entered(code: Any, *_: Any) -> Any:
        if places.kind_of(code.co_filename) == places.SKIPPED:
            return monitoring.DISABLE
        frame = sys._getframe(1)
        _check(frame)
        _at(frame)
        return None

    def left(code: Any, *_: Any) -> Any:
        if places.kind_of(code.co_filename) == places.SKIPPED:
            return monitoring.DISABLE
        frame = sys._getframe(1)
        _check(frame)
        _left(frame)
        return None

    def unwound(code: Any, *_: Any) -> None:  # this event cannot be disabled for one function
        if places.kind_of(code.co_filename) != places.SKIPPED:
            frame = sys._getframe(1)
            _check(frame)
            _left(frame)

    for event, heard in (
        (events.LINE, entered), (events.PY_START, entered), (events.PY_RESUME, entered), (events.PY_RETURN, left),
        (events.PY_YIELD, left), (events.PY_UNWIND, unwound),
    ):  # fmt: skip
        monitoring.register_callback(_TOOL, event, heard)
    monitoring.set_events(
        _TOOL,
        events.LINE | events.PY_START | events.PY_RESUME | events.PY_RETURN | events.PY_YIELD | events.PY_UNWIND,
    )
    monitoring.restart_events()
