"""The sides of an object that can hold state: how each is read, compared and put back without running user code.

A facet's content is shallow and holds its values strongly. `children` yields `(step, value)`, the step as
`ObjectPath` has it, or None where the value stands for the object itself. A difference is `(step, kind, what,
parts)`: with a step it is that place alone that changed, without one the object as a whole.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from operator import is_
from typing import Any, Optional

from . import say

Step = tuple[str, Any]
Difference = tuple[Optional[Step], str, str, list[Step]]  # noqa: UP045  # evaluated by Python 3.9

MISSING = object()


class Unrestorable(Exception):
    """An object that cannot be put back; the message says why."""


def key_wire(key: Any, position: int, depth: int = 3) -> Any:
    """A dict's key as JSON: see `naming.key_text`."""
    kind = type(key)
    if say.one_of(kind, int, bool, type(None)) or (kind is float and key == key and key not in (1e999, -1e999)):
        return key
    if kind is str and len(key) <= 4096:
        return key
    if kind is bytes and len(key) <= 4096:
        return {"b": base64.b64encode(key).decode()}
    if kind is tuple and depth and len(key) <= 16:
        inner = [key_wire(part, position, depth - 1) for part in key]
        if not any(type(part) is dict and "o" in part for part in inner):
            return {"t": inner}
    return {"o": [position, say.type_name(kind)]}


class Facet:
    """A side of an object. `fixed` contents only lead on to others."""

    kind = "opaque"
    fixed = False
    child_facets: tuple[Facet, ...] | None = None

    def read(self, thing: Any) -> Any:
        """The content now; raises if there is none."""
        raise NotImplementedError

    def children(self, content: Any) -> Iterable[tuple[Step | None, Any]]:
        """What the content leads to."""
        return ()

    def compare(self, old: Any, new: Any) -> list[Difference]:
        """What differs between two contents."""
        return []

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        """Put the content back, at `step` alone if it is given. Raises Unrestorable."""
        raise Unrestorable(f"a {say.type_name(type(thing))} cannot be put back")

    def put(self, thing: Any, step: Step, value: Any) -> None:
        """Bind `value` at `step`. Raises Unrestorable."""
        raise Unrestorable(f"a {say.type_name(type(thing))} cannot be changed from outside")


def _same(old: Iterable[Any], new: Iterable[Any]) -> bool:
    return all(map(is_, old, new))


class Slots(Facet):
    """Named places, each a change of its own. The content is a dict; a name that is text is an attribute."""

    kind = "attribute"
    ignored: tuple[str, ...] = ()

    def step(self, name: Any) -> Step:
        return ("a", name)

    def children(self, content: Any) -> Iterator[tuple[Step | None, Any]]:
        leaf = LEAVES
        for name, value in content.items():
            if id(type(value)) not in leaf:
                yield self.step(name), value

    def compare(self, old: Any, new: Any) -> list[Difference]:
        if len(old) == len(new) and _same(old.values(), new.values()) and _same(old, new):
            return []
        found: list[Difference] = []
        for name in {**old, **new}:
            before, after = old.get(name, MISSING), new.get(name, MISSING)
            if name in self.ignored or (before is not MISSING and after is not MISSING and say.alike(before, after)):
                continue
            shown = "unset" if before is MISSING else say.value(before)
            shown += " -> " + ("unset" if after is MISSING else say.value(after))
            found.append((self.step(name), self.kind, shown, []))
        return found

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        for name in old if step is None else [step[1]]:
            value = old.get(name, MISSING)
            if value is MISSING:
                self.remove(thing, name)
            else:
                self.put(thing, self.step(name), value)

    def remove(self, thing: Any, name: str) -> None:
        raise Unrestorable(f"{name} cannot be removed")


_MODULE_IGNORED = (
    "__builtins__",
    "__spec__",
    "__loader__",
    "__warningregistry__",
    "__annotations__",
    "__conditional_annotations__",
)
_CLASS_IGNORED = ("__abstractmethods__", "_abc_impl", "__annotations__", "__annotate__", "__annotations_cache__",
                  "__dict__", "__weakref__", "__doc__")  # fmt: skip


def text_names(space: Any, ignored: tuple[str, ...]) -> dict[str, Any]:
    """The entries of a namespace whose names are plain text."""
    return {name: value for name, value in space.items() if type(name) is str and name not in ignored}


class ModuleFacet(Slots):
    """The globals of a module."""

    def read(self, thing: Any) -> Any:
        return text_names(dict.copy(module_space(thing)), _MODULE_IGNORED)

    def space(self, thing: Any) -> dict[str, Any]:
        """The module's dict itself."""
        return module_space(thing)

    def put(self, thing: Any, step: Step, value: Any) -> None:
        dict.__setitem__(module_space(thing), step[1], value)

    def remove(self, thing: Any, name: str) -> None:
        dict.pop(module_space(thing), name, None)


def module_space(module: Any) -> dict[str, Any]:
    """A module's `__dict__`, past any override."""
    found = _MODULE_DICT(module)
    if type(found) is not dict:
        raise TypeError
    return found


class ClassFacet(Slots):
    """The attributes of a class itself."""

    def read(self, thing: Any) -> Any:
        return text_names(say.namespace(thing), _CLASS_IGNORED)

    def put(self, thing: Any, step: Step, value: Any) -> None:
        try:
            type.__setattr__(thing, step[1], value)
        except TypeError as error:
            raise Unrestorable(str(error)) from None

    def remove(self, thing: Any, name: str) -> None:
        type.__delattr__(thing, name)


class Attributes(Slots):
    """Instance attributes: of the `__dict__` and of slots."""

    def __init__(self, own_dict: Any, slots: dict[str, Any]) -> None:
        self._own = own_dict
        self.slots = slots

    def space(self, thing: Any) -> dict[str, Any] | None:
        """The instance's dict itself, if it has one."""
        found = None if self._own is None else self._own(thing)
        return found if type(found) is dict else None

    def read(self, thing: Any) -> Any:
        space = self.space(thing)
        content = {} if space is None else text_names(space, ())
        for name, member in self.slots.items():
            try:
                content[name] = member.__get__(thing)
            except AttributeError:
                continue
        return content

    def put(self, thing: Any, step: Step, value: Any) -> None:
        member = self.slots.get(step[1])
        space = self.space(thing)
        try:
            if member is not None:
                member.__set__(thing, value)
            elif space is not None:
                dict.__setitem__(space, step[1], value)
            else:
                raise Unrestorable(f"there is no attribute {step[1]}")
        except (AttributeError, TypeError) as error:
            raise Unrestorable(str(error)) from None

    def remove(self, thing: Any, name: str) -> None:
        member = self.slots.get(name)
        space = self.space(thing)
        if member is not None:
            member.__delete__(thing)
        elif space is not None:
            dict.pop(space, name, None)


class FunctionFacet(Slots):
    """Defaults, closure and attributes of a function. Cells are objects of their own: closures share them."""

    def read(self, thing: Any) -> Any:
        content: dict[Any, Any] = {}
        if thing.__closure__:
            content.update(
                {("c", name): cell for name, cell in zip(thing.__code__.co_freevars, thing.__closure__)}  # noqa: B905
            )
        if thing.__defaults__:
            content.update({("d", n): value for n, value in enumerate(thing.__defaults__)})
        if thing.__kwdefaults__:
            content.update({("kd", name): value for name, value in thing.__kwdefaults__.items()})
        space = _FUNCTION_DICT(thing)
        if space:
            content.update(text_names(space, ()))
        return content

    def step(self, name: Any) -> Step:
        return ("a", name) if type(name) is str else name

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        if step is None or step[0] == "a":
            super().restore(thing, old, step)
        elif step in old:
            self.put(thing, step, old[step])
        elif step[0] == "d":
            thing.__defaults__ = tuple(value for name, value in old.items() if name[0] == "d") or None

    def put(self, thing: Any, step: Step, value: Any) -> None:
        if step[0] == "d":
            values = list(thing.__defaults__ or ())
            values[step[1] : step[1] + 1] = [value]
            thing.__defaults__ = tuple(values)
        elif step[0] == "kd":
            thing.__kwdefaults__ = {**(thing.__kwdefaults__ or {}), step[1]: value}
        elif step[0] == "c":
            thing.__closure__[thing.__code__.co_freevars.index(step[1])].cell_contents = value
        else:
            _FUNCTION_DICT(thing)[step[1]] = value

    def remove(self, thing: Any, name: str) -> None:
        _FUNCTION_DICT(thing).pop(name, None)


class CellFacet(Facet):
    """The variable of a closure."""

    kind = "closure"

    def read(self, thing: Any) -> Any:
        try:
            return (thing.cell_contents,)
        except ValueError:
            return ()

    def children(self, content: Any) -> Iterator[tuple[Step | None, Any]]:
        for value in content:
            yield None, value

    def compare(self, old: Any, new: Any) -> list[Difference]:
        if len(old) == len(new) and (not old or say.alike(old[0], new[0])):
            return []
        shown = " -> ".join(say.value(*one) if one else "unset" for one in (old, new))
        return [(None, self.kind, shown, [])]

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        if old:
            thing.cell_contents = old[0]
        else:
            del thing.cell_contents

    def put(self, thing: Any, step: Step, value: Any) -> None:
        thing.cell_contents = value


class Underlying(Facet):
    """What a method, partial, property or other wrapper is made of, by C members that cannot be overridden."""

    fixed = True

    def __init__(self, members: dict[str, Any]) -> None:
        self._members = members

    def read(self, thing: Any) -> Any:
        content = {}
        for name, member in self._members.items():
            try:
                content[name] = member.__get__(thing)
            except AttributeError:
                continue
        return content

    def children(self, content: Any) -> Iterator[tuple[Step | None, Any]]:
        for name, value in content.items():
            yield ("u", name), value


LEAVES: dict[int, type] = {}
"""By id: types whose instances hold nothing that can change. Filled by `kinds`."""

_MODULE_DICT: Any = vars(type(base64))["__dict__"].__get__
_FUNCTION_DICT: Any = vars(type(key_wire))["__dict__"].__get__
