"""Values in words, bounded, and without running code of the app."""

from __future__ import annotations

import collections
import datetime
from typing import Any

ATOM_TYPES = (str, bytes, int, float, bool, complex, type(None))
ATOMS: frozenset[int] = frozenset(map(id, ATOM_TYPES))
"""Ids of the types whose values are compared by value. Types are told apart by id: a metaclass may define a hash."""
_PLAIN = frozenset(map(id, (datetime.date, datetime.timedelta, type(Ellipsis))))
_PLAIN_NAMES = ("decimal.Decimal", "uuid.UUID")
_CONTAINERS = {id(list): "[]", id(tuple): "()", id(set): "{}", id(frozenset): "{}", id(collections.deque): "[]"}

_mro = type.__dict__["__mro__"].__get__
_namespace = type.__dict__["__dict__"].__get__
_qualname = type.__dict__["__qualname__"].__get__

WIDTH = 80


def one_of(kind: type, *kinds: type) -> bool:
    """Whether a type is one of `kinds`; `in` would ask a metaclass that defines `==`."""
    return any(kind is one for one in kinds)


def mro(kind: type) -> Any:
    """`kind.__mro__`, past any metaclass. A type of C that nobody has used yet has none."""
    return _mro(kind) or ()


def namespace(kind: type) -> Any:
    """`kind.__dict__`, past any metaclass; empty for a type of C that nobody has used yet."""
    return _namespace(kind) or {}


def type_name(kind: type) -> str:
    """`module.Class`, without the module for built-in types."""
    module = namespace(kind).get("__module__")
    if type(module) is not str:
        module = type_module(kind)
    return _qualname(kind) if module in ("builtins", "") else f"{module}.{_qualname(kind)}"


def type_module(kind: type) -> str:
    """The module that a class says it is of; of a C type the one before its last dot."""
    module = namespace(kind).get("__module__")
    if type(module) is str:
        return module
    try:
        said = type.__dict__["__module__"].__get__(kind)
    except Exception:
        return ""
    return said if type(said) is str else ""


def value(thing: Any, depth: int = 2) -> str:
    """`repr` of built-in types, `<module.Class>` for all others; at most WIDTH characters."""
    return cut(_value(thing, depth))


def cut(text: str) -> str:
    """`text` within WIDTH characters."""
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _value(thing: Any, depth: int) -> str:
    kind = type(thing)
    if id(kind) in ATOMS:
        if kind is int and (thing > 10**40 or thing < -(10**40)):
            return "<int>"
        return repr(thing[: WIDTH + 1]) if kind in (str, bytes) else repr(thing)
    if id(kind) in _PLAIN:
        return repr(thing)
    if kind is datetime.datetime:
        return thing.isoformat() if thing.tzinfo is None else "<datetime>"
    if kind is dict or kind is collections.OrderedDict or kind is collections.defaultdict:
        if not depth:
            return "{…}"
        pairs = list(dict.items(thing))[:4]
        inner = ", ".join(f"{_value(k, depth - 1)}: {_value(v, depth - 1)}" for k, v in pairs)
        return "{" + inner + (", …}" if len(pairs) < dict.__len__(thing) else "}")
    marks = _CONTAINERS.get(id(kind))
    if marks:
        if not depth:
            return f"{marks[0]}…{marks[1]}"
        members = list(thing)
        inner = ", ".join(_value(member, depth - 1) for member in members[:4])
        if kind is tuple and len(members) == 1:
            inner += ","
        return marks[0] + inner + (", …" if len(members) > 4 else "") + marks[1]
    name = type_name(kind)
    return repr(thing) if name in _PLAIN_NAMES else f"<{name}>"


def alike(one: Any, other: Any) -> bool:
    """Whether two values are the same: one object, equal atoms, or tuples of such."""
    if one is other:
        return True
    kind = type(one)
    if kind is not type(other):
        return False
    if id(kind) in ATOMS:
        return bool(one == other)
    if kind is tuple and len(one) == len(other) and len(one) <= 16:
        return all(alike(a, b) for a, b in zip(one, other))  # noqa: B905
    return False


def identity(thing: Any) -> Any:
    """Something hashable that is equal for alike values."""
    kind = type(thing)
    if id(kind) in ATOMS:
        return (id(kind), thing)
    if kind is tuple and len(thing) <= 16:
        return ("tuple", *map(identity, thing))
    return id(thing)
