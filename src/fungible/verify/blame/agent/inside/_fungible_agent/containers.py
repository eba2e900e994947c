"""Facets of containers: each is one object that changes and is put back as a whole."""

from __future__ import annotations

import array
import collections
import os
import zlib
from collections.abc import Iterator
from operator import is_
from typing import Any

from . import say
from .facets import LEAVES, Difference, Facet, Step, Unrestorable, key_wire

_SHOWN = 5


class DictFacet(Facet):
    """The entries of a dict."""

    kind = "dict"

    def read(self, thing: Any) -> Any:
        if _copies_itself(type(thing)):
            return dict.copy(thing)
        # CPython would copy it by its own `keys` and `__getitem__`.
        pairs = list(dict.items(thing))
        if not all(_is_plain(key) for key, _ in pairs):
            raise TypeError
        return dict(pairs)

    def children(self, content: Any) -> Iterator[tuple[Step | None, Any]]:
        for position, (key, value) in enumerate(dict.items(content)):
            if id(type(value)) not in LEAVES:
                yield ("k", key_wire(key, position)), value
            if id(type(key)) not in LEAVES and type(key) is not tuple:
                yield ("e", position), key

    def compare(self, old: Any, new: Any) -> list[Difference]:
        if (
            len(old) == len(new)
            and all(map(is_, dict.values(old), dict.values(new)))
            and all(map(is_, dict.keys(old), dict.keys(new)))
        ):
            return []
        before, after = _keyed(old), _keyed(new)
        marks: list[str] = []
        parts: list[Step] = []
        for mark, one, other in (("+", after, before), ("~", after, before), ("-", before, after)):
            names = [
                (key, position)
                for token, (key, value, position) in one.items()
                if (mark == "~") == (token in other) and (mark != "~" or not say.alike(value, other[token][1]))
            ]
            if names:
                shown = ", ".join(say.value(key, 1) for key, _ in names[:_SHOWN])
                marks.append(f"{mark}[{shown}{', …' if len(names) > _SHOWN else ''}]")
                parts += [("k", key_wire(key, position)) for key, position in names[: 4 * _SHOWN]]
        if marks:
            return [(None, self.kind, " ".join(marks), parts)]
        if list(before) != list(after):
            return [(None, "order", "the order of its keys", [])]
        return []

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        dict.clear(thing)
        dict.update(thing, old)

    def put(self, thing: Any, step: Step, value: Any) -> None:
        for position, key in enumerate(list(dict.keys(thing))):
            if key_wire(key, position) == step[1]:
                dict.__setitem__(thing, key, value)
                return
        raise Unrestorable("the key is gone")


def _copies_itself(kind: type) -> bool:
    """Whether a dict's class leaves iteration to `dict`: else CPython asks the class for its entries."""
    return all("__iter__" not in say.namespace(base) or _is_builtin(base) for base in say.mro(kind))


def _is_builtin(kind: type) -> bool:
    return say.one_of(kind, dict, collections.OrderedDict, collections.defaultdict, collections.Counter)


def _is_plain(key: Any) -> bool:
    return id(type(key)) in say.ATOMS or (type(key) is tuple and all(map(_is_plain, key)))


def _keyed(content: dict[Any, Any]) -> dict[Any, tuple[Any, Any, int]]:
    return {say.identity(key): (key, value, n) for n, (key, value) in enumerate(dict.items(content))}


class OrderedFacet(DictFacet):
    """An OrderedDict: its order is kept apart from the dict's."""

    def read(self, thing: Any) -> Any:
        content: dict[Any, Any] = super().read(thing)
        if all(map(_is_plain, content)):
            return {key: content[key] for key in collections.OrderedDict.__iter__(thing)}
        return content

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        collections.OrderedDict.clear(thing)
        for key, value in old.items():
            collections.OrderedDict.__setitem__(thing, key, value)


class EnvironmentFacet(DictFacet):
    """The environment variables, which C keeps as well."""

    kind = "environment"

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        for name in [name for name in thing if name not in old]:
            os.unsetenv(name)
        for name, value in old.items():
            os.putenv(name, value)
        super().restore(thing, old, step)


class SequenceFacet(Facet):
    """The items of a list, tuple or deque, in order. A fixed one can only lead on."""

    def __init__(self, kind: str, read: Any, write: Any) -> None:
        self.kind = kind
        self.fixed = write is None
        self._read = read
        self._write = write

    def read(self, thing: Any) -> Any:
        return self._read(thing)

    def children(self, content: Any) -> Iterator[tuple[Step | None, Any]]:
        for position, value in enumerate(content):
            if id(type(value)) not in LEAVES:
                yield ("i", position), value

    def compare(self, old: Any, new: Any) -> list[Difference]:
        if self.fixed or (len(old) == len(new) and all(map(is_, old, new))):
            return []
        if len(old) == len(new) and all(map(say.alike, old, new)):
            return []
        start = 0
        while start < min(len(old), len(new)) and say.alike(old[start], new[start]):
            start += 1
        if start == len(old):
            return [(None, self.kind, _listed("+", new[start:]), [("i", start)] if len(new) == start + 1 else [])]
        if start == len(new):
            return [(None, self.kind, _listed("-", old[start:]), [])]
        return [(None, self.kind, f"len {len(old)} -> {len(new)}, differs from [{start}]", [])]

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        self._write(thing, old)

    def put(self, thing: Any, step: Step, value: Any) -> None:
        if self.fixed:
            raise Unrestorable("a tuple cannot be changed")
        content = self._read(thing)
        content[step[1]] = value
        self._write(thing, content)


def _listed(mark: str, values: list[Any]) -> str:
    shown = ", ".join(say.value(value, 1) for value in values[:_SHOWN])
    return f"{mark}[{shown}{', …' if len(values) > _SHOWN else ''}]"


class SetFacet(Facet):
    """The members of a set, without order; copies keep the hashes that the set has."""

    kind = "set"

    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed

    def read(self, thing: Any) -> Any:
        return set.__or__(set(), thing)

    def children(self, content: Any) -> Iterator[tuple[Step | None, Any]]:
        for position, value in enumerate(content):
            if id(type(value)) not in LEAVES:
                yield ("e", position), value

    def compare(self, old: Any, new: Any) -> list[Difference]:
        if self.fixed or (len(old) == len(new) and all(map(is_, old, new))):
            return []
        before = {say.identity(value): value for value in old}
        after = {say.identity(value): value for value in new}
        gone = [value for token, value in before.items() if token not in after]
        come = [value for token, value in after.items() if token not in before]
        marks = [_listed(mark, values) for mark, values in (("+", come), ("-", gone)) if values]
        return [(None, self.kind, " ".join(marks), [])] if marks else []

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        set.clear(thing)
        set.update(thing, old)


class BufferFacet(Facet):
    """The bytes or text of a mutable buffer, up to a bound."""

    kind = "bytes"
    _bound = 4 * 1024 * 1024

    def __init__(self, read: Any, write: Any) -> None:
        self._get = read
        self._set = write

    def read(self, thing: Any) -> Any:
        content = self._get(thing)
        return content if len(content) <= self._bound else (len(content), content[:4096], content[-4096:])

    def compare(self, old: Any, new: Any) -> list[Difference]:
        return [] if old == new else [(None, self.kind, f"{say.value(old)} -> {say.value(new)}", [])]

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        if type(old) is tuple:
            raise Unrestorable("the buffer is too large to keep")
        self._set(thing, old)


_NUMBERS = frozenset("?bBhHiIlLqQnNefdgcZuw0123456789@=<>!")
"""Formats of buffers (PEP 3118) that hold no pointers: those belong to somebody."""


class ViewFacet(BufferFacet):
    """The bytes of an object of C that hands them out to be written: an array, a mapping, a matrix of NumPy."""

    _bound = 256 * 1024

    def __init__(self) -> None:
        self._without: dict[int, type] = {}
        """Types whose objects have none."""

    def read(self, thing: Any) -> Any:
        kind = type(thing)
        if id(kind) in self._without:
            return None
        try:
            view = memoryview(thing)
        except TypeError:
            self._without[id(kind)] = kind
            return None
        with view:
            if view.readonly or not _NUMBERS.issuperset(view.format):
                return None
            if view.nbytes <= self._bound:
                return view.tobytes()
            return (view.nbytes, zlib.crc32(view)) if view.c_contiguous else None

    def compare(self, old: Any, new: Any) -> list[Difference]:
        return [] if old is None or new is None else super().compare(old, new)

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        if type(old) is tuple:
            raise Unrestorable("the buffer is too large to keep")
        if type(thing) is array.array:
            array.array.__delitem__(thing, slice(None))
            array.array.frombytes(thing, old)
            return
        with memoryview(thing) as view:
            if not view.c_contiguous or view.nbytes != len(old):
                raise Unrestorable("the buffer has another size now")
            if old:
                view.cast("B")[:] = old


def write_list(thing: Any, content: list[Any]) -> None:
    """Give a list its content."""
    list.__setitem__(thing, slice(None), content)


def write_deque(thing: Any, content: list[Any]) -> None:
    """Give a deque its content."""
    collections.deque.clear(thing)
    collections.deque.extend(thing, content)


def read_deque(thing: Any) -> list[Any]:
    """The items of a deque."""
    return list(collections.deque.__iter__(thing))


def read_tuple(thing: Any) -> list[Any]:
    """The items of a tuple."""
    return list(tuple.__iter__(thing))
