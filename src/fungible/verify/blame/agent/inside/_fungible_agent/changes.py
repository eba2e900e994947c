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
_HOME = 2
"""So many first steps may `home_path` replace."""


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


class Shapes:
    """The shapes of some paths: to compare only what they can be about takes a moment, where all takes seconds, in
    which what the app keeps for a second is gone."""

    def __init__(self, paths: list[list[Step]]) -> None:
        self._lengths: dict[Any, set[int]] = {}
        """The last step on the way to an object -> how many steps lead to it."""
        for path in paths:
            for length in (len(path), len(path) - 1):
                self._lengths.setdefault(_step_shape(path[length - 1]) if length > _HOME else None, set()).add(length)

    def can_be_about(self, node: Node) -> bool:
        """Whether one of the paths can be that of a change of this object."""
        lengths = self._lengths.get(None if _is_near(node) else _step_shape(node.last_step()))
        return lengths is not None and len(node.steps()) in lengths


def _is_near(node: Node) -> bool:
    """Whether no more steps lead to it than `home_path` replaces."""
    steps = 0
    at: Node | None = node
    while at is not None:
        steps += at.step is not None
        if steps > _HOME:
            return False
        at = at.parent
    return True


def since(before: Walk, shapes: Shapes | None = None) -> Iterator[Change]:
    """The differences between the walk and now; with `shapes`, only where they can be of these."""
    kinds.CONTEXT.refresh()
    kinds.CONTEXT.since(before.contexts)
    kinds.SETTINGS.refresh(kinds.CONTEXT.contexts)
    running = {id(frame) for frame in frames()}
    for node in before.nodes.values():
        if shapes is not None and not shapes.can_be_about(node):
            continue
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


def differences(before: Walk, shapes: Shapes | None = None) -> list[Change]:
    """All of them, seen in one moment; with `shapes`, those that can be of these."""
    with standstill():
        return list(since(before, shapes))


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
    found = differences(before, Shapes(wanted))
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


def _step_shape(step: Any) -> Any:
    kind, value = step
    return kind if kind in _RANDOM else (kind, value if type(value) is str else repr(value))


def _shape(path: Any) -> str:
    return json.dumps([[kind, None if kind in _RANDOM else value] for kind, value in path], sort_keys=True)
