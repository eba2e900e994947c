"""Facets of objects whose state the interpreter keeps in C: caches, thread-locals, context variables, counters."""

from __future__ import annotations

import contextvars
import functools
import gc
import itertools
import sys
from collections.abc import Iterator
from operator import is_
from types import ModuleType
from typing import Any

from . import database, places, say
from .facets import LEAVES, Difference, Facet, Step, Unrestorable

_CACHE = functools._lru_cache_wrapper


class CacheFacet(Facet):
    """An `lru_cache`. `hits` do not count: they change no answer."""

    kind = "lru_cache"

    def read(self, thing: Any) -> Any:
        info = _CACHE.cache_info(thing)
        held = [one for one in gc.get_referents(thing) if id(type(one)) not in LEAVES]
        results: list[Any] = []
        for one in held:
            # An unbounded cache holds its results in a dict of its own, a bounded one in links of the cache.
            if type(one) is dict and "__wrapped__" not in one and "cache_parameters" not in one:
                results += dict.values(one)
            elif type(one) is not type and type(one) is not dict:
                results.append(one)
        wrapped = _CACHE_DICT(thing).get("__wrapped__")
        return (
            (info[1], info[3]),
            [one for one in results if one is not wrapped and id(type(one)) in _WORKING],
            wrapped,
        )

    def children(self, content: Any) -> Iterator[tuple[Step | None, Any]]:
        yield ("u", "wrapped"), content[2]
        for position, value in enumerate(content[1]):
            yield ("x", position), value

    def compare(self, old: Any, new: Any) -> list[Difference]:
        if old[0] == new[0]:
            return []
        return [(None, self.kind, f"currsize {old[0][1]} -> {new[0][1]}, misses {old[0][0]} -> {new[0][0]}", [])]

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        _CACHE.cache_clear(thing)


_CACHE_DICT = _CACHE.__dict__["__dict__"].__get__


class ThreadLocalFacet(Facet):
    """The dicts of a `threading.local`, one for each thread. Its attributes are not read: that would make one."""

    kind = "thread-local"

    def read(self, thing: Any) -> Any:
        for held in gc.get_referents(thing):
            if type(held) is dict and all(say.type_name(type(key)) in _DUMMIES for key in held):
                return [space for space in dict.values(held) if type(space) is dict]
        return []

    def children(self, content: Any) -> Iterator[tuple[Step | None, Any]]:
        for position, space in enumerate(content):
            yield ("t", position), space

    def compare(self, old: Any, new: Any) -> list[Difference]:
        known = set(map(id, old))
        come = [space for space in new if id(space) not in known and space]
        if not come:
            return []
        return [(None, self.kind, f"{say.value(come[0])} in another thread", [])]

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        known = set(map(id, old))
        for space in self.read(thing):
            if id(space) not in known:
                dict.clear(space)


_DUMMIES = ("_thread._localdummy", "weakref.ReferenceType", "weakref", "ReferenceType", "weakref.ref")


class ContextFacet(Facet):
    """The values of a context variable, in every context that is alive."""

    kind = "context variable"

    def __init__(self) -> None:
        self._contexts: list[Any] = []
        self._before: list[Any] = []

    def refresh(self) -> None:
        """Look for the contexts anew; done once for each walk."""
        self._contexts = [one for one in gc.get_objects() if type(one) is contextvars.Context]

    def read(self, thing: Any) -> Any:
        found = []
        for context in self._contexts:
            value = context.get(thing, _UNSET)
            if value is not _UNSET:
                found.append((context, value))
        return found

    def children(self, content: Any) -> Iterator[tuple[Step | None, Any]]:
        for position, (_, value) in enumerate(content):
            if id(type(value)) not in LEAVES:
                yield ("v", position), value

    def compare(self, old: Any, new: Any) -> list[Difference]:
        before = {id(context): value for context, value in old}
        # A context that came since is that of a new task or thread: nobody else sees it.
        known = set(map(id, self._before)) | set(before)
        for context, value in new:
            was = before.get(id(context), _UNSET)
            if id(context) in known and not say.alike(was, value):
                shown = "unset" if was is _UNSET else say.value(was)
                return [(None, self.kind, f"{shown} -> {say.value(value)}", [])]
        return []

    def since(self, contexts: list[Any]) -> None:
        """Compare with a walk that saw these `contexts`."""
        self._before = contexts

    @property
    def contexts(self) -> list[Any]:
        """The contexts of the last `refresh`."""
        return self._contexts

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        before = {id(context): value for context, value in old}
        for context, value in self.read(thing):
            was = before.get(id(context), _UNSET)
            if was is value:
                continue
            if was is _UNSET:
                if not any(context is one for one in self._before):
                    continue
                try:
                    _unset(thing, context)
                except (ImportError, LookupError, RuntimeError, ValueError) as error:
                    raise Unrestorable(f"a context variable cannot be unset: {error}") from None
                continue
            try:
                context.run(thing.set, was)
            except RuntimeError as error:
                raise Unrestorable(str(error)) from None


_UNSET = object()


def _unset(variable: Any, context: Any) -> None:
    """Make a variable unset in a context. Python can only reset it, with a token of the time before it was set.

    A token of a context that never set it serves, as long as it is taken for one of this context. Raises
    RuntimeError where tokens are not laid out as in CPython's Python/context.c, and what `reset` raises.
    """
    import ctypes

    empty = contextvars.Context()
    token = empty.run(variable.set, None)
    fields = (ctypes.c_void_p * 2).from_address(id(token) + object.__basicsize__)
    if list(fields) != [id(empty), id(variable)]:
        raise RuntimeError("tokens are of an unknown layout")
    fields[0] = id(context)
    try:
        context.run(variable.reset, token)
    finally:
        fields[0] = id(empty)


class CounterFacet(Facet):
    """An `itertools.count`; it is put back by a new one in its place."""

    kind = "counter"

    def read(self, thing: Any) -> Any:
        if any(id(type(one)) not in say.ATOMS for one in gc.get_referents(thing) if type(one) is not type):
            raise TypeError
        return repr(thing)

    def compare(self, old: Any, new: Any) -> list[Difference]:
        return [] if old == new else [(None, self.kind, f"{old} -> {new}", [])]

    def again(self, old: str) -> Any:
        """A counter that stands where `old` stood."""
        numbers = [float(one) if "." in one else int(one) for one in old[len("count(") : -1].split(",")]
        return itertools.count(*numbers)


class IteratorFacet(CounterFacet):
    """How far an iterator over a list, a tuple, a range or a text has come."""

    def read(self, thing: Any) -> Any:
        return _place(thing)

    def turn(self, content: Any) -> Any:
        """What of the content is compared."""
        return content[1]

    def compare(self, old: Any, new: Any) -> list[Difference]:
        return [] if self.turn(old) == self.turn(new) else [(None, self.kind, "it went on", [])]

    def again(self, old: Any) -> Any:
        return _iterator(old)


class CycleFacet(IteratorFacet):
    """Whose turn it is in an `itertools.cycle` over such an iterator. Up to Python 3.13 it can be asked."""

    def read(self, thing: Any) -> Any:
        reduced: Any = itertools.cycle.__reduce__(thing)
        _, (within,), (seen, again) = reduced
        return _place(within), len(seen), again, list(seen)

    def turn(self, content: Any) -> Any:
        return content[0][1], content[1:3]

    def again(self, old: Any) -> Any:
        found: Any = itertools.cycle(_iterator(old[0]))
        found.__setstate__((list(old[3]), old[2]))
        return found


_PLAIN: tuple[Any, ...] = ([], (), range(0), "", "é", b"", bytearray())
ITERATORS = tuple(type(iter(each)) for each in _PLAIN)


def _place(thing: Any) -> tuple[Any, Any]:
    """What a plain iterator goes over, and its position; None at its end. Raises TypeError for another one."""
    if type(thing) not in ITERATORS:
        raise TypeError
    _, over, *position = thing.__reduce__()
    return over[0], position[0] if position else None


def _iterator(place: tuple[Any, Any]) -> Any:
    found = iter(place[0])
    if place[1] is not None:
        found.__setstate__(place[1])
    return found


class RandomFacet(Facet):
    """The state of a random generator."""

    kind = "counter"

    def __init__(self, base: Any) -> None:
        self._base = base

    def read(self, thing: Any) -> Any:
        return self._base.getstate(thing)

    def compare(self, old: Any, new: Any) -> list[Difference]:
        return [] if old == new else [(None, self.kind, "random numbers were drawn", [])]

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        self._base.setstate(thing, old)


class GeneratorFacet(Facet):
    """A suspended generator or coroutine: where it stands, and what its locals lead to."""

    kind = "generator"

    def __init__(self, prefix: str) -> None:
        self._frame = prefix + "_frame"

    def read(self, thing: Any) -> Any:
        frame = getattr(thing, self._frame)
        return (-1, {}) if frame is None else (frame.f_lasti, frame_locals(frame))

    def children(self, content: Any) -> Iterator[tuple[Step | None, Any]]:
        for name, value in content[1].items():
            yield ("g", name), value

    def compare(self, old: Any, new: Any) -> list[Difference]:
        moved = old[0] != new[0] or any(
            name in old[1] and not say.alike(old[1][name], value) for name, value in new[1].items()
        )
        return [(None, self.kind, "it went on", [])] if moved else []


def frame_locals(frame: Any) -> Any:
    """A frame's locals. Up to Python 3.12 the frame keeps the dict that it hands out, which would hold them."""
    space = frame.f_locals
    found = {name: value for name, value in dict(space).items() if type(name) is str}
    if frame.f_code.co_flags & 1 and type(space) is dict and sys.version_info < (3, 13):
        space.clear()
    return found


class FrameFacet(Facet):
    """The locals of a running function: only a way to the objects they hold, not to its working lists."""

    fixed = True

    def read(self, thing: Any) -> Any:
        found = frame_locals(thing)
        if places.kind_of(thing.f_code.co_filename) != places.SKIPPED:
            return found
        return {name: value for name, value in found.items() if id(type(value)) not in _WORKING}

    def children(self, content: Any) -> Iterator[tuple[Step | None, Any]]:
        for name, value in content.items():
            if id(type(value)) not in LEAVES:
                yield ("g", name), value


class DatabaseFacet(Facet):
    """A connection to SQLite: how much it has changed, and what is in a `:memory:` database."""

    kind = "sqlite connection"

    def __init__(self, changes: Any) -> None:
        self._changes = changes

    def count(self, thing: Any) -> int:
        """How many rows were changed by it."""
        return int(self._changes.__get__(thing))

    def read(self, thing: Any) -> Any:
        return self.count(thing), database.taken(thing)

    def compare(self, old: Any, new: Any) -> list[Difference]:
        return [] if old[0] == new[0] else [(None, self.kind, f"changed rows {old[0]} -> {new[0]}", [])]

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        if old[1] is None or not database.put_back(thing, old[1]):
            raise Unrestorable("what is in a database cannot be put back")


class HeldFacet(Facet):
    """What a C object holds, as the collector sees it. With `compared`, a change of it is a change."""

    def __init__(self, compared: bool) -> None:
        self.fixed = not compared

    def read(self, thing: Any) -> Any:
        return [one for one in gc.get_referents(thing) if type(one) is not ModuleType and not _is_class(one)]

    def children(self, content: Any) -> Iterator[tuple[Step | None, Any]]:
        for position, value in enumerate(content):
            if id(type(value)) not in LEAVES:
                yield ("r", position), value

    def compare(self, old: Any, new: Any) -> list[Difference]:
        if self.fixed or (len(old) == len(new) and all(map(is_, old, new))):
            return []
        return [(None, self.kind, f"holds {len(old)} -> {len(new)} objects", [])]


_WORKING = frozenset(map(id, (list, dict, set, tuple)))


def _is_class(thing: Any) -> bool:
    return any(base is type for base in say.mro(type(thing)))
