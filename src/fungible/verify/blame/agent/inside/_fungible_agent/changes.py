"""What changed since a walk, and putting it back."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from . import kinds, made, places, resolve, say, source
from .facets import Attributes, Difference, Facet, Step, Unrestorable, module_space
from .specials import CounterFacet, DatabaseFacet, GeneratorFacet, HeldFacet
from .walk import Node, Walk, frames, standstill

_RANDOM = ("k", "i", "e", "x", "r", "t")
"""Steps that may differ between two runs."""


class Change:
    """One difference, with what is needed to undo it."""

    def __init__(self, node: Node, facet: Facet, old: Any, difference: Difference, path: list[Step]) -> None:
        self.node = node
        self.facet = facet
        self.old = old
        self.step, self.kind, self.what, self.parts = difference
        self.path = path

    def to_wire(self, born: Walk) -> dict[str, Any]:
        """As the protocol has it; what was not in the walk `born` was made since."""
        thing = self.node.thing
        return {
            "path": self.path,
            "kind": self.kind,
            "what": self.what,
            "type": say.type_name(type(thing)),
            "parts": self.parts,
            "restorable": self._is_restorable(),
            "app": self.node.app,
            "made": self._made(),
            "holds": next((depth for depth, _ in self.containers(born)), None),
        }

    def containers(self, born: Walk) -> list[tuple[int, Any]]:
        """The containers that this led to and that were not in the walk `born`: see `made.containers`."""
        return made.containers(born, [self.path, *([*self.path, part] for part in self.parts)])

    def _made(self) -> bool:
        """Whether what is there now is an object with attributes: it may only have been made now, and hold more."""
        found = resolve.resolve([*self.path, self.parts[0]] if self.parts else self.path)
        return (
            found is not None
            and found.facets is not kinds.MODULE
            and any(isinstance(facet, Attributes) for facet in found.facets)
        )

    def _is_restorable(self) -> bool:
        if type(self.facet) is DatabaseFacet:
            return self.old[1] is not None
        return type(self.facet) not in (GeneratorFacet, HeldFacet)

    def undo(self) -> None:
        """Put it back. Raises Unrestorable."""
        if isinstance(self.facet, CounterFacet):
            rebind(self.node, self.facet.again(self.old))
        else:
            self.facet.restore(self.node.thing, self.old, self.step)


class Import(Change):
    """A module of the app that was imported since."""

    def __init__(self, name: str, node: Node) -> None:
        super().__init__(
            node, Facet(), None, (None, "import", "imported", []), [("m", "sys"), ("a", "modules"), ("k", name)]
        )
        self._name = name

    def to_wire(self, born: Walk) -> dict[str, Any]:
        return {**super().to_wire(born), "type": "module", "restorable": True}

    def undo(self) -> None:
        dict.pop(sys.modules, self._name, None)
        parent, _, name = self._name.rpartition(".")
        holder = dict.get(sys.modules, parent)
        if holder is not None:
            dict.pop(module_space(holder), name, None)


def since(before: Walk) -> Iterator[Change]:
    """The differences between the walk and now."""
    kinds.CONTEXT.refresh()
    kinds.CONTEXT.since(before.contexts)
    kinds.SETTINGS.refresh(kinds.CONTEXT.contexts)
    running = {id(frame) for frame in frames()}
    for node in before.nodes.values():
        if node.facets is kinds.FRAME or _has_returned(node, running):
            continue
        for facet, old in zip(node.facets, node.contents):  # noqa: B905
            if old is None or facet.fixed:
                continue
            try:
                found = facet.compare(old, facet.read(node.thing))
            except Exception:
                continue
            for difference in found:
                if facet.kind == "lru_cache" and _is_standard(node.thing):
                    continue
                if difference[0] is not None and node.facets is kinds.MODULE and _is_submodule(node, difference[0]):
                    continue
                path = node.steps() + ([] if difference[0] is None else [difference[0]])
                yield Change(node, facet, old, difference, home_path(path, before))
    for name in list(dict.keys(sys.modules)):
        if name not in before.module_names:
            module = dict.get(sys.modules, name)
            try:
                if places.is_app_file(module_space(module).get("__file__")):
                    yield Import(name, Node(module, None, None, kinds.MODULE, True))
            except Exception:
                continue


def _is_standard(cache: Any) -> bool:
    """Whether a cache is of the standard library, which caches pure functions only."""
    function = source.cached_function(cache)
    return function is not None and places.kind_of(function.__code__.co_filename) == places.SKIPPED


def _has_returned(node: Node, running: set[int]) -> bool:
    """Whether only a function that has returned since led to the object."""
    way: list[Node] = [node]
    while way[-1].parent is not None:
        way.append(way[-1].parent)
    if way[-1].facets is not kinds.FRAME:
        return False
    if id(way[-1].thing) not in running:
        return True
    return all(value is not way[-2].thing for value in way[-1].facets[0].read(way[-1].thing).values())


def _is_submodule(node: Node, step: Step) -> bool:
    now = module_space(node.thing).get(step[1])
    return type(now) is type(sys) and dict.get(sys.modules, module_space(now).get("__name__", "")) is now


def differences(before: Walk) -> list[Change]:
    """All of them, seen in one moment."""
    with standstill():
        return list(since(before))


def home_path(path: list[Step], before: Walk) -> list[Step]:
    """The path by the module that makes its first object, where another only imports it."""
    if len(path) < 3 or path[0][0] != "m" or path[1][0] != "a":
        return path
    first = before.modules.get(path[0][1])
    thing = None if first is None else module_space(first.thing).get(path[1][1])
    if thing is None or source.assigns(path[0][1], path[1][1]):
        return path
    for name, node in sorted(before.modules.items(), key=lambda one: not one[1].app):
        for known, value in module_space(node.thing).items():
            if value is thing and type(known) is str and source.assigns(name, known):
                return [("m", name), ("a", known), *path[2:]]
    return path


def rebind(node: Node, value: Any) -> None:
    """Put `value` in the place of the node's object. Raises Unrestorable."""
    parent, step = node.parent, node.step
    if parent is None:
        raise Unrestorable("nothing holds it")
    if step == ("u", "self"):
        rebind(parent, getattr(value, parent.thing.__name__))
        return
    errors: list[Unrestorable] = []
    for facet in parent.facets:
        try:
            facet.put(parent.thing, step or ("c", ""), value)
            return
        except Unrestorable as error:
            errors.append(error)
    raise errors[-1] if errors else Unrestorable("nothing holds it")


def restore(
    before: Walk, wanted: list[list[Step]], born: Walk | None = None
) -> tuple[list[int], list[tuple[int, str]]]:
    """Put back the changes at the paths `wanted`; a path that is not found stands for those of its shape. With
    `born`, the containers made since that walk to which a change leads are emptied, whoever else holds them.

    Returns the positions in `wanted` that were put back, and those that were not, with the reason.
    """
    found = differences(before)
    by_path: dict[str, list[Change]] = {}
    by_shape: dict[str, list[Change]] = {}
    for change in found:
        by_path.setdefault(_wire(change.path), []).append(change)
        by_shape.setdefault(_shape(change.path), []).append(change)
    done: list[int] = []
    failed: list[tuple[int, str]] = []
    with standstill():
        for number, path in enumerate(wanted):
            changes = by_path.get(_wire(path)) or by_shape.get(_shape(path)) or []
            why: str | None = None
            for change in changes:
                new = [] if born is None else change.containers(born)
                try:
                    change.undo()
                    made.empty(new)
                except Unrestorable as error:
                    why = str(error)
                except Exception as error:
                    why = type(error).__name__
            if why is not None:
                failed.append((number, why))
            elif changes:
                done.append(number)
    return done, failed


def _wire(path: Any) -> str:
    return json.dumps([list(step) for step in path], sort_keys=True)


def _shape(path: Any) -> str:
    return json.dumps([[kind, None if kind in _RANDOM else value] for kind, value in path], sort_keys=True)
