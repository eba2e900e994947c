"""Which facets the instances of a type have; found once for each type, by its MRO alone."""

from __future__ import annotations

import _random
import _thread
import collections
import contextvars
import functools
import io
import itertools
import os
import sys
import threading
import types
import weakref
from typing import Any

from . import say
from .containers import (
    BufferFacet,
    DictFacet,
    EnvironmentFacet,
    OrderedFacet,
    SequenceFacet,
    SetFacet,
    ViewFacet,
    read_deque,
    read_tuple,
    write_deque,
    write_list,
)
from .facets import (
    LEAVES,
    Attributes,
    CellFacet,
    ClassFacet,
    Facet,
    FunctionFacet,
    ModuleFacet,
    Underlying,
)
from .process import ProcessFacet
from .specials import (
    ITERATORS,
    CacheFacet,
    ContextFacet,
    CounterFacet,
    CycleFacet,
    DatabaseFacet,
    FrameFacet,
    GeneratorFacet,
    HeldFacet,
    IteratorFacet,
    RandomFacet,
    ThreadLocalFacet,
)

Facets = tuple[Facet, ...]

MODULE: Facets = (ModuleFacet(),)
CLASS: Facets = (ClassFacet(),)
FUNCTION: Facets = (FunctionFacet(),)
FRAME: Facets = (FrameFacet(),)
CONTEXT = ContextFacet()
ENVIRONMENT: Facets = (EnvironmentFacet(),)
SETTINGS = ProcessFacet()
PROCESS_FACETS: Facets = (SETTINGS,)


class _Space(Attributes):
    """A bare namespace dict, such as a thread's of a `threading.local`."""

    kind = "thread-local"

    def __init__(self) -> None:
        super().__init__(lambda thing: thing, {})


ThreadLocalFacet.child_facets = (_Space(),)


def _members(kind: type, /, **names: str) -> Underlying:
    space = say.namespace(kind)
    found = {said: space[name] for said, name in names.items() if name in space}
    return Underlying(found)


def _write_bytes(thing: Any, content: bytes) -> None:
    bytearray.__setitem__(thing, slice(None), content)


def _write_stream(base: Any) -> Any:
    def write(thing: Any, content: Any) -> None:
        at = base.tell(thing)
        base.seek(thing, 0)
        base.truncate(thing)
        base.write(thing, content)
        base.seek(thing, min(at, len(content)))

    return write


_LIST = SequenceFacet("list", list.copy, write_list)
_TUPLE = SequenceFacet("tuple", read_tuple, None)
_DEQUE = SequenceFacet("deque", read_deque, write_deque)
_SET, _FROZEN = SetFacet(False), SetFacet(True)
_HELD, _OPAQUE, _VIEW = HeldFacet(False), HeldFacet(True), ViewFacet()

_BASES: dict[int, Facet] = {
    id(collections.OrderedDict): OrderedFacet(),
    id(dict): DictFacet(),
    id(list): _LIST,
    id(tuple): _TUPLE,
    id(collections.deque): _DEQUE,
    id(set): _SET,
    id(frozenset): _FROZEN,
    id(bytearray): BufferFacet(bytes, _write_bytes),
    id(io.BytesIO): BufferFacet(io.BytesIO.getvalue, _write_stream(io.BytesIO)),
    id(io.StringIO): BufferFacet(io.StringIO.getvalue, _write_stream(io.StringIO)),
    id(functools.partial): _members(functools.partial, function="func", arguments="args", keywords="keywords"),
    id(functools._lru_cache_wrapper): CacheFacet(),
    id(types.MethodType): _members(types.MethodType, self="__self__", function="__func__"),
    id(property): _members(property, fget="fget", fset="fset"),
    id(staticmethod): _members(staticmethod, function="__func__"),
    id(classmethod): _members(classmethod, function="__func__"),
    id(types.BuiltinFunctionType): _members(types.BuiltinFunctionType, self="__self__"),
    id(types.MethodWrapperType): _members(types.MethodWrapperType, self="__self__"),
    id(types.CellType): CellFacet(),
    id(contextvars.ContextVar): CONTEXT,
    id(itertools.count): CounterFacet(),
    id(itertools.cycle): CycleFacet(),
    **dict.fromkeys(map(id, ITERATORS), IteratorFacet()),
    id(types.GeneratorType): GeneratorFacet("gi"),
    id(types.CoroutineType): GeneratorFacet("cr"),
    id(types.AsyncGeneratorType): GeneratorFacet("ag"),
    id(types.MappingProxyType): _HELD,
    id(_random.Random): RandomFacet(_random.Random),
}
_ALONE = {id(types.FunctionType): FUNCTION, id(types.ModuleType): MODULE, id(type): CLASS,
          id(_thread._local): (ThreadLocalFacet(),), id(types.FrameType): FRAME}  # fmt: skip
_PLAIN_BASES = (id(object), *_BASES)

LEAVES.update(
    (id(kind), kind)
    for kind in (
        *say.ATOM_TYPES,
        types.CodeType,
        type(Ellipsis),
        type(NotImplemented),
        range,
        slice,
        object,
        types.WrapperDescriptorType,
        types.MethodDescriptorType,
        types.GetSetDescriptorType,
        types.MemberDescriptorType,
        types.ClassMethodDescriptorType,
        type(_thread.allocate_lock()),
        types.TracebackType,
        weakref.ref,
        weakref.ProxyType,
        weakref.CallableProxyType,
        contextvars.Token,
        contextvars.Context,
        type(_thread.RLock()),
        # Who waits for whom is no state of the app, and putting it back would leave somebody waiting for ever.
        threading.Condition,
        threading.Event,
        threading.Semaphore,
        threading.BoundedSemaphore,
        threading.Barrier,
        memoryview,
    )
)

_found: dict[int, tuple[type, Facets]] = {}


def facets_of(kind: type) -> Facets:
    """The facets of the instances of `kind`, none for a leaf."""
    known = _found.get(id(kind))
    if known is None:
        # The type is kept: its id must not come back for another.
        known = _found[id(kind)] = (kind, () if id(kind) in LEAVES else _facets_of(kind))
    return known[1]


def _facets_of(kind: type) -> Facets:
    bases = say.mro(kind)
    if any(id(base) in (id(weakref.ref), id(BaseException)) for base in bases):
        return ()
    if say.type_module(kind).startswith("_fungible_agent"):
        return ()
    found: list[Facet] = []
    for base in bases:
        if id(base) in _ALONE:
            return _ALONE[id(base)]
        if id(base) in _BASES and not (id(base) == id(dict) and found):
            found.append(_BASES[id(base)])
        elif say.namespace(base).get("__module__") in ("sqlite3", "_sqlite3") or say.type_name(base) == _CONNECTION:
            changes = say.namespace(base).get("total_changes")
            if changes is not None:
                found.append(DatabaseFacet(changes))
    attributes = _attributes_of(bases)
    if attributes is not None:
        found.append(attributes)
    if not found:
        found += [_VIEW, _HELD if _is_standard(say.type_module(kind)) else _OPAQUE]
    return tuple(found)


_CONNECTION = "sqlite3.Connection"


def _attributes_of(bases: tuple[type, ...]) -> Any:
    own_dict = None
    slots: dict[str, Any] = {}
    for base in bases:
        if id(base) in _PLAIN_BASES:
            continue
        space = say.namespace(base)
        own = space.get("__dict__")
        if own is not None and own_dict is None:
            if not say.one_of(type(own), types.GetSetDescriptorType, types.MemberDescriptorType):
                # The class stands in for another object, such as a proxy: its attributes are not its own.
                return None
            own_dict = own.__get__
        for name, member in space.items():
            if type(member) is types.MemberDescriptorType and type(name) is str and name != "__dict__":
                slots.setdefault(name, member)
    return Attributes(own_dict, slots) if own_dict is not None or slots else None


def _is_standard(module: str) -> bool:
    names = getattr(sys, "stdlib_module_names", None)  # Python 3.10
    top = module.split(".")[0]
    if names is not None:
        return top in names or not module
    file = getattr(sys.modules.get(top), "__file__", None)
    return file is None or (
        type(file) is str and file.startswith(os.path.dirname(os.__file__)) and "-packages" not in file
    )
