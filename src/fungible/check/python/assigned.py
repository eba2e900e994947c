"""What the statements of a program give to names, to attributes and to what a framework shares, and what calls hand
on: an index by name, made in one pass."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from fungible.check.python.function import Function
from fungible.check.python.module import Class, Module, statements
from fungible.check.python.nodes import last_name
from fungible.check.python.program import Program

Slot = tuple[str, str]
Call = tuple[Module, Function | None, ast.Call]
Handed = tuple[Module, Function | None, ast.expr]

_APPS = frozenset({"app", "application", "current_app", "_app"})
_SHARING = frozenset({"state", "extensions", "registry", "config", "settings", "environ", "ctx"}) | _APPS
"""What an app object and its parts are called, under which a program keeps objects for all its requests."""
_PUTS_LAST = frozenset({"append", "add", "appendleft", "insert", "setdefault"})
_STEPS = frozenset({"get", "setdefault", "pop"})


@dataclass(frozen=True)
class Assignment:
    """A value that something is given, by a statement of `function` (None: of the module itself).

    `deeper` tells how many more containers hold it than the value: 1 for what is put in a list, -1 for what a loop
    takes out. With `is_type`, the value is an annotation. `holder` is whose attribute is assigned.
    """

    module: Module
    function: Function | None
    value: ast.expr
    deeper: int = 0
    is_type: bool = False
    holder: ast.expr | None = None


@dataclass(frozen=True, eq=False)
class Assigned:
    """The index of a program.

    `globals` by module and name; `slots` by the framework's part and the name in it (`registry`, `storage`);
    `outside`, by its name, what gives an attribute to another object than `self`; `calls` by the last name of what
    is called; `handed`, by its key, what is in a dict that a tuple hands to a handler, as Tornado's routes have.
    """

    globals: Mapping[tuple[str, str], Sequence[Assignment]]
    slots: Mapping[Slot, Sequence[Assignment]]
    outside: Mapping[str, Sequence[Assignment]]
    calls: Mapping[str, Sequence[Call]]
    handed: Mapping[str, Sequence[Handed]]
    _own: Mapping[tuple[str, str, str], Sequence[Assignment]]
    _locals: dict[Function, Mapping[str, Sequence[Assignment]]] = field(default_factory=dict)
    _returned: dict[Function, Sequence[ast.expr]] = field(default_factory=dict)
    _checked: dict[Function, Mapping[str, Sequence[ast.expr]]] = field(default_factory=dict)

    @staticmethod
    def of(program: Program) -> Assigned:
        """Read all modules."""
        index = _Index()
        for module in program.modules.values():
            for statement in statements(module.tree.body):
                for name, assignment in _to_names(module, None, statement):
                    index.globals[module.name, name].append(assignment)
            index.add(module, None, (node for node in module.nodes if module.around(node) is None))
            for function in module.functions:
                index.add(module, function, function.nodes)
        return Assigned(index.globals, index.slots, index.outside, index.calls, index.handed, index.own)

    def attributes(self, module: Module, made: Class, name: str) -> Iterator[Assignment]:
        """What a class gives its objects as this attribute: in its body, by annotation, in its methods."""
        if name in made.annotations:
            yield Assignment(module, None, made.annotations[name], is_type=True)
        if name in made.attributes:
            yield Assignment(module, None, made.attributes[name])
        yield from self._own.get((module.name, made.name, name), ())

    def names(self, module: Module, made: Class) -> Iterator[str]:
        """The attributes that a class gives its objects."""
        yield from dict.fromkeys(
            [*made.annotations, *made.attributes, *self._names.get((module.name, made.name), ())]
        )

    @cached_property
    def _names(self) -> Mapping[tuple[str, str], Sequence[str]]:
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        for module, made, name in self._own:
            found[module, made].append(name)
        return found

    @cached_property
    def of_classes(self) -> Mapping[tuple[str, str, str], Sequence[Assignment]]:
        """By module, class and name, what functions give to `cls.x`."""
        return {
            key: found
            for key, several in self._own.items()
            if (found := [each for each in several if each.holder is not None and last_name(each.holder) == "cls"])
        }

    def locals(self, module: Module, function: Function) -> Mapping[str, Sequence[Assignment]]:
        """Name -> what a function gives it; what is put in a container that it names is given to the name."""
        if function not in self._locals:
            found: dict[str, list[Assignment]] = defaultdict(list)
            for node in function.nodes:
                for name, assignment in _to_names(module, function, node):
                    found[name].append(assignment)
            self._locals[function] = found
        return self._locals[function]

    def returned(self, function: Function) -> Sequence[ast.expr]:
        """What a function returns or yields, where that may be an object."""
        if function not in self._returned:
            self._returned[function] = [
                node.value
                for node in function.nodes
                if isinstance(node, ast.Return | ast.Yield)
                and node.value is not None
                and not isinstance(node.value, ast.Constant)
            ]
        return self._returned[function]

    def checked(self, function: Function) -> Mapping[str, Sequence[ast.expr]]:
        """Name -> the classes that `isinstance` asks for in a function."""
        if function not in self._checked:
            found: dict[str, list[ast.expr]] = defaultdict(list)
            for node in function.nodes:
                match node:
                    case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=name), type_]):
                        found[name].append(type_)
            self._checked[function] = found
        return self._checked[function]


@dataclass(frozen=True)
class _Index:
    globals: dict[tuple[str, str], list[Assignment]] = field(default_factory=lambda: defaultdict(list))
    slots: dict[Slot, list[Assignment]] = field(default_factory=lambda: defaultdict(list))
    outside: dict[str, list[Assignment]] = field(default_factory=lambda: defaultdict(list))
    calls: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    handed: dict[str, list[Handed]] = field(default_factory=lambda: defaultdict(list))
    own: dict[tuple[str, str, str], list[Assignment]] = field(default_factory=lambda: defaultdict(list))

    def add(self, module: Module, function: Function | None, nodes: Iterable[ast.AST]) -> None:
        """What nodes of one function give to something else than its own names, and what they call."""
        for node in nodes:
            kind = type(node)
            if kind is ast.Call:
                name = last_name(node.func)  # type: ignore[attr-defined]
                self.calls[name].append((module, function, node))  # type: ignore[arg-type]
                if name not in _PUTS_LAST:
                    continue
            elif kind is ast.Tuple:
                for key, value in _handed(node):  # type: ignore[arg-type]
                    self.handed[key].append((module, function, value))
                continue
            elif kind is not ast.Assign and kind is not ast.AnnAssign:
                continue
            for target, value, deeper, is_type in _given(node):
                self._put(module, function, target, Assignment(module, function, value, deeper, is_type))

    def _put(self, module: Module, function: Function | None, target: ast.expr, to: Assignment) -> None:
        root, steps = _container(target)
        put = Assignment(module, function, to.value, to.deeper + steps, to.is_type, getattr(root, "value", None))
        if isinstance(root, ast.Name):
            if function is None:
                kept = to.deeper > 0  # what is assigned to names is read of the statements
            else:
                deep = steps > 0 or to.deeper > 0
                kept = root.id in function.globals or (deep and function.holder(root.id) is None)
            if kept:
                self.globals[module.name, root.id].append(put)
        elif isinstance(root, ast.Attribute):
            method = function
            while method is not None and method.owner is None:
                method = method.outer
            if isinstance(root.value, ast.Name) and root.value.id in ("self", "cls") and method is not None:
                self.own[module.name, method.owner or "", root.attr].append(put)
            else:
                self.outside[root.attr].append(put)
                if slot := slot_of(root):
                    self.slots[slot].append(put)
        if isinstance(target, ast.Subscript) and (slot := slot_of(target)):
            self.slots[slot].append(to)


def slot_of(node: ast.AST) -> Slot | None:
    """Where a framework shares objects: `registry`, `x` for `request.registry.x`; `app`, `x` for `app["x"]`."""
    match node:
        case ast.Attribute(value=holder, attr=name):
            pass
        case ast.Subscript(value=holder, slice=ast.Constant(value=str(name))):
            pass
        case ast.Call(func=ast.Attribute(value=holder, attr="get"), args=[ast.Constant(value=str(name)), *_]):
            pass
        case _:
            return None
    part = last_name(holder)
    return ("app" if part in _APPS else part, name) if part in _SHARING else None


def _given(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr, int, bool]]:
    """What a node gives: target, value, how much deeper it is in containers, whether it is an annotation."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _parted(target, value, 0)
        case ast.AnnAssign(target=target, annotation=annotation, value=value):
            yield target, annotation, 0, True
            if value is not None:
                yield target, value, 0, False
        case ast.NamedExpr(target=target, value=value):
            yield target, value, 0, False
        case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
            yield target, value, 0, False
        case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
            yield from _parted(target, value, -1)
        case ast.comprehension(target=target, iter=value):
            yield from _parted(target, value, -1)
        case ast.Call(func=ast.Attribute(value=target, attr=name), args=[*_, value]) if name in _PUTS_LAST:
            yield target, value, 1, False


def _parted(target: ast.expr, value: ast.expr, deeper: int) -> Iterator[tuple[ast.expr, ast.expr, int, bool]]:
    if not isinstance(target, ast.Tuple | ast.List):
        yield target, value, deeper, False
        return
    match value:
        case ast.Tuple(elts=values) | ast.List(elts=values) if not deeper and len(values) == len(target.elts):
            for each, part in zip(target.elts, values, strict=True):
                yield each, part, 0, False
        case _:
            for each in target.elts:  # of `for key, room in rooms.items()`, what the container holds
                yield each, value, deeper or -1, False


def _to_names(module: Module, function: Function | None, node: ast.AST) -> Iterator[tuple[str, Assignment]]:
    """Names, and what a node gives them; with what it puts in a container that a name stands for."""
    for target, value, deeper, is_type in _given(node):
        root, steps = _container(target)
        if isinstance(root, ast.Name) and (not steps or function is None or function.holder(root.id) is function):
            yield root.id, Assignment(module, function, value, deeper + steps, is_type)


def _container(target: ast.expr) -> tuple[ast.expr, int]:
    """What holds `x` in `rooms[a][b]` or `rooms.setdefault(a, {})[b]`: `rooms`, and how deep."""
    steps = 0
    while True:
        match target:
            case ast.Subscript(value=inner):
                target, steps = inner, steps + 1
            case ast.Call(func=ast.Attribute(value=inner, attr=name)) if name in _STEPS:
                target, steps = inner, steps + 1
            case ast.Starred(value=inner):
                target = inner
            case _:
                return target, steps


def _handed(node: ast.Tuple) -> Iterator[tuple[str, ast.expr]]:
    for each in node.elts[1:]:
        if isinstance(each, ast.Dict):
            yield from (
                (key.value, value)
                for key, value in zip(each.keys, each.values, strict=True)
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            )
        elif isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "dict":
            yield from ((keyword.arg, keyword.value) for keyword in each.keywords if keyword.arg)
