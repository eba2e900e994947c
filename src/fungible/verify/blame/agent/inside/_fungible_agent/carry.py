"""Values carried from one process to another: plain data and plain instances, never code.

The wire form is JSON: atoms as they are, all else `{"t": type, "v": ...}`. One object that is met twice is a
`{"t": "same", "v": number}`, objects being numbered in the order in which they are met.
"""

from __future__ import annotations

import base64
import collections
import datetime
import sys
from collections.abc import Sequence
from typing import Any

from . import kinds, say
from .containers import write_deque, write_list
from .facets import MISSING, Attributes, Unrestorable, module_space
from .resolve import nearest, resolve

_LIMIT = 50_000
_DEPTH = 100
_TEXT_LIMIT = 4_000_000
_FACTORIES = {
    "list": list,
    "dict": dict,
    "set": set,
    "int": int,
    "str": str,
    "float": float,
    "deque": collections.deque,
}


class Impossible(Exception):
    """A value that cannot be carried; the message says why."""


class Export:
    """Encodes one value."""

    def __init__(self) -> None:
        self._met: dict[int, int] = {}
        self._held: list[Any] = []
        self._text = 0

    def encode(self, thing: Any, depth: int = 0) -> Any:
        """The wire form. Raises Impossible."""
        kind = type(thing)
        if say.one_of(kind, bool, type(None)) or (kind is int and abs(thing) < 10**300):
            return thing
        if kind is str or kind is bytes:
            self._text += len(thing)
            if self._text > _TEXT_LIMIT:
                raise Impossible("it is too large to carry")
            return thing if kind is str else {"t": "bytes", "v": base64.b64encode(thing).decode()}
        if kind is float:
            return {"t": "float", "v": thing.hex()}
        if kind is complex:
            return {"t": "complex", "v": [thing.real.hex(), thing.imag.hex()]}
        if id(thing) in self._met:
            return {"t": "same", "v": self._met[id(thing)]}
        if len(self._met) >= _LIMIT or depth > _DEPTH:
            raise Impossible("it is too large to carry")
        self._met[id(thing)] = len(self._met)
        self._held.append(thing)
        return self._object(thing, kind, depth + 1)

    def _object(self, thing: Any, kind: Any, depth: int) -> Any:
        def all_of(members: Any) -> list[Any]:
            return [self.encode(member, depth) for member in members]

        if say.one_of(kind, list, tuple, set, frozenset):
            return {"t": kind.__name__, "v": all_of(thing)}
        if say.one_of(kind, dict, collections.OrderedDict, collections.Counter, collections.defaultdict):
            found: dict[str, Any] = {"t": kind.__name__, "v": [all_of(pair) for pair in kind.items(thing)]}
            if kind is collections.defaultdict:
                factory = thing.default_factory
                found["factory"] = factory.__name__ if factory in _FACTORIES.values() else None
            return found
        if kind is collections.deque:
            return {"t": "deque", "v": all_of(thing), "maxlen": thing.maxlen}
        if kind is bytearray:
            return {"t": "bytearray", "v": base64.b64encode(bytes(thing)).decode()}
        if kind is datetime.datetime:
            zone = thing.tzinfo
            if zone is not None and zone is not datetime.timezone.utc:  # noqa: UP017  # Python 3.9
                raise Impossible("it holds a datetime of another zone than UTC")
            return {"t": "datetime", "v": thing.isoformat()}
        if kind is datetime.date or (kind is datetime.time and thing.tzinfo is None):
            return {"t": kind.__name__, "v": thing.isoformat()}
        if kind is datetime.timedelta:
            return {"t": "timedelta", "v": [thing.days, thing.seconds, thing.microseconds]}
        name = say.type_name(kind)
        if name in ("uuid.UUID", "decimal.Decimal"):
            return {"t": name, "v": str(thing)}
        return self._instance(thing, kind, name, depth)

    def _instance(self, thing: Any, kind: type, name: str, depth: int) -> Any:
        facets = kinds.facets_of(kind)
        if len(facets) != 1 or type(facets[0]) is not Attributes or not _is_plain(kind):
            raise Impossible(f"it holds a {name}")
        content = facets[0].read(thing)
        module, qualname = say.type_module(kind), type.__dict__["__qualname__"].__get__(kind)
        if _class_of(module, qualname) is not kind:
            raise Impossible(f"it holds a {name}, a class that is not at that name")
        return {"t": "instance", "class": [module, qualname],
                "v": [[key, self.encode(value, depth)] for key, value in content.items()]}  # fmt: skip


def _is_plain(kind: type) -> bool:
    """Made of Python classes alone, so that an empty instance is a whole one."""
    return all(base is object or say.namespace(base).get("__module__") is not None for base in say.mro(kind)) and (
        type.__dict__["__basicsize__"].__get__(kind) <= object.__basicsize__ + 16 + 8 * 64
    )


def _class_of(module: str, qualname: str) -> Any:
    held = dict.get(sys.modules, module)
    try:
        found = module_space(held).get(qualname.split(".")[0], MISSING)
        for name in qualname.split(".")[1:]:
            found = say.namespace(found).get(name, MISSING)
    except Exception:
        return MISSING
    return found


class Import:
    """Decodes one value."""

    def __init__(self) -> None:
        self._made: list[Any] = []

    def decode(self, wire: Any) -> Any:
        """The value. Raises Impossible."""
        if type(wire) is not dict:
            return wire
        kind, value = wire["t"], wire["v"]
        if kind == "same":
            made = self._made[value]
            if made is MISSING:
                raise Impossible("it holds itself in a tuple or set")
            return made
        if kind == "bytes":
            return base64.b64decode(value)
        if kind == "float":
            return float.fromhex(value)
        if kind == "complex":
            return complex(*map(float.fromhex, value))
        number = len(self._made)
        self._made.append(MISSING)
        return self._object(kind, value, wire, number)

    def _object(self, kind: str, value: Any, wire: dict[str, Any], number: int) -> Any:
        made: Any
        if kind == "list":
            made = self._made[number] = []
            made.extend(self.decode(one) for one in value)
        elif kind in ("tuple", "set", "frozenset"):
            members = [self.decode(one) for one in value]
            made = {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](members)
        elif kind in ("dict", "OrderedDict", "Counter", "defaultdict"):
            made = {} if kind == "dict" else getattr(collections, kind)()
            if kind == "defaultdict":
                made.default_factory = _FACTORIES.get(wire.get("factory") or "")
            self._made[number] = made
            for key, one in value:
                decoded = self.decode(key)
                made[decoded] = self.decode(one)
        elif kind == "deque":
            made = self._made[number] = collections.deque(maxlen=wire["maxlen"])
            made.extend([self.decode(one) for one in value])
        elif kind == "bytearray":
            made = bytearray(base64.b64decode(value))
        elif kind in ("datetime", "date", "time"):
            made = getattr(datetime, kind).fromisoformat(value)
        elif kind == "timedelta":
            made = datetime.timedelta(*value)
        elif kind == "uuid.UUID":
            import uuid

            made = uuid.UUID(value)
        elif kind == "decimal.Decimal":
            import decimal

            made = decimal.Decimal(value)
        elif kind == "instance":
            made = self._instance(wire["class"], value, number)
        else:
            raise Impossible(f"it holds a {kind}")
        self._made[number] = made
        return made

    def _instance(self, name: Sequence[str], value: Any, number: int) -> Any:
        kind = _class_of(name[0], name[1])
        if kind is MISSING or not _is_plain(kind):
            raise Impossible(f"there is no class {'.'.join(name)} here")
        made = self._made[number] = object.__new__(kind)
        facet = kinds.facets_of(kind)[0]
        for key, one in value:
            facet.put(made, ("a", key), self.decode(one))
        return made


def export(path: Sequence[Any]) -> dict[str, Any]:
    """`{"value": wire}` or `{"impossible": why}` for the object at `path`."""
    found = resolve(path)
    if found is None:
        return {"impossible": "there is nothing at this path"}
    try:
        return {"value": Export().encode(found.thing)}
    except Impossible as error:
        return {"impossible": str(error)}


def implant(path: Sequence[Any], wire: Any) -> dict[str, Any]:
    """Give the object at `path` its value: a container its content, so that all who hold it see it."""
    found, rest = nearest(path)
    if found is None or len(rest) > 1:
        return {"impossible": "there is nothing at this path"}
    try:
        value = Import().decode(wire)
        if not rest and _fill(found.thing, value):
            return {}
        holder, step = (found, rest[0]) if rest else (found.holder, found.step)
        if holder is None:
            return {"impossible": "a module cannot be replaced"}
        _bind(holder, step or ("c", ""), value)
    except (Impossible, Unrestorable) as error:
        return {"impossible": str(error)}
    return {}


def _bind(holder: Any, step: Sequence[Any], value: Any) -> None:
    errors = []
    for facet in holder.facets:
        if step[0] == "k" and type(step[1]) in (str, int) and facet.kind in ("dict", "environment"):
            dict.__setitem__(holder.thing, step[1], value)
            return
        try:
            facet.put(holder.thing, (step[0], step[1]), value)
            return
        except (Unrestorable, IndexError, ValueError) as error:
            errors.append(str(error))
    raise Impossible(errors[-1] if errors else "nothing holds it")


def _fill(thing: Any, value: Any) -> bool:
    """Fill a container in place with the content of one of its kind."""
    bases = say.mro(type(thing))
    if say.one_of(dict, *bases) and say.one_of(dict, *say.mro(type(value))):
        if say.one_of(collections.OrderedDict, *bases):
            collections.OrderedDict.clear(thing)
            for key, one in dict.items(value):
                collections.OrderedDict.__setitem__(thing, key, one)
        else:
            dict.clear(thing)
            dict.update(thing, value)
        return True
    if say.one_of(list, *bases) and type(value) is list:
        write_list(thing, value)
        return True
    if say.one_of(set, *bases) and type(value) is set:
        set.clear(thing)
        set.update(thing, value)
        return True
    if say.one_of(collections.deque, *bases) and type(value) is collections.deque:
        write_deque(thing, list(value))
        return True
    facets = kinds.facets_of(type(thing))
    if type(thing) is type(value) and len(facets) == 1 and type(facets[0]) is Attributes:
        for name, one in facets[0].read(value).items():
            facets[0].put(thing, ("a", name), one)
        return True
    return False
