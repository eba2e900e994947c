"""The names that modules bind, and their values: a module's statements are followed in their order, not run.

Branches that only development or tests take are left out; where a condition cannot be told, a name has either value.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fungible.check.python.function import Function
from fungible.check.python.module import Class, Module
from fungible.check.python.program import Program
from fungible.check.settings.bindings import OPEN, Bound, State, called_name, updated, with_item
from fungible.check.settings.conditions import holds
from fungible.check.settings.evaluate import evaluate
from fungible.check.settings.places import Place, place
from fungible.check.settings.values import ABSENT, UNKNOWN, Environ, Made, Named, Value, either, item

_DEEPEST = 12
_LONGEST = 30  # chain of modules that import names from each other
_FURTHEST = 8
_SETTINGS_BASES = ("pydantic_settings.BaseSettings", "pydantic.BaseSettings", "pydantic.v1.BaseSettings")


@dataclass(eq=False)
class Names:
    """The names of the modules of `program`; each module is followed once, when it is first asked for."""

    program: Program
    _done: dict[str, State] = field(default_factory=dict)
    _under_way: set[str] = field(default_factory=set)
    _within: dict[tuple[str, str, str], Value] = field(default_factory=dict)
    _full: dict[str, str] = field(default_factory=dict)

    def of(self, module: Module) -> Mapping[str, Bound]:
        """What a module binds, what it imports from the program's modules with a star among it."""
        if module.name in self._done:
            return self._done[module.name]
        if module.name in self._under_way or len(self._under_way) > _LONGEST:
            return {}  # a circle of imports
        self._under_way.add(module.name)
        state: State = {}
        _Run(self, module).statements(module.tree.body, state, 0)
        self._under_way.discard(module.name)
        self._done[module.name] = state
        return state

    def value(self, node: ast.expr | None, module: Module, function: Function | None = None) -> Value:
        """The value of an expression that stands in a function of a module, or in the module itself."""
        return evaluate(node, _Scope(self, module, self.of(module), function))

    def meaning(self, node: ast.AST, module: Module, function: Function | None = None) -> str | None:
        """The full name of a name or a chain of attributes, followed through what the program re-exports."""
        name = module.meaning(node, function)
        if name is not None and name not in self._full:
            self._full[name] = self._followed(name)
        return None if name is None else self._full[name]

    def within(self, module: Module, what: str, name: str, value: Callable[[], Value]) -> Value:
        """The value that a name has in a function, or that a function gives (`name` is ""): found once; UNKNOWN where
        it goes back to itself."""
        key = (module.name, what, name)
        if key not in self._within:
            self._within[key] = UNKNOWN
            self._within[key] = value()
        return self._within[key]

    def _followed(self, name: str) -> str:
        for _ in range(_FURTHEST):
            parts = name.split(".")
            for count in range(len(parts) - 1, 0, -1):
                owner = self.program.locate(".".join(parts[:count]))
                if owner is not None:
                    break
            else:
                return name
            inside = owner[1].split(".") if owner[1] else parts[count:]
            if inside[0] in owner[0].bindings or inside[0] not in owner[0].imports:
                return name
            name = ".".join([owner[0].imports[inside[0]], *inside[1:]])
        return name

    def attributes(self, module: Module, made: Class) -> Mapping[str, Value]:
        """The attributes of a class with those of its bases, its own last."""
        found: dict[str, Value] = {}
        for base in reversed(self.program.ancestors(module, made)):
            if located := self.program.class_(base):
                found.update({key: self.value(node, located[0]) for key, node in located[1].attributes.items()})
        found.update({key: self.value(node, module) for key, node in made.attributes.items()})
        return found


@dataclass(frozen=True, eq=False)
class _Scope:
    names: Names
    module: Module
    state: Mapping[str, Bound]
    function: Function | None = None
    depth: int = 0

    def meaning(self, node: ast.expr) -> str | None:
        return self.names.meaning(node, self.module, self.function)

    def lookup(self, name: str) -> Value:
        holder = self.function.holder(name) if self.function else None
        if holder is not None and name not in self.module.imports:
            return self._local(name, holder)
        if name in self.state:
            return self.state[name].value
        meaning = self.names.meaning(ast.Name(name, ast.Load()), self.module)
        return self._named(meaning) if meaning else UNKNOWN

    def attribute(self, owner: Value, name: str) -> Value:
        if isinstance(owner, Named):
            located = self.names.program.locate(owner.name)
            if located is not None and not located[1]:
                return self._named(f"{owner.name}.{name}")
        if not isinstance(owner, Named | Made) or (found := self.names.program.class_(owner.name)) is None:
            return UNKNOWN
        value = self.names.attributes(*found).get(name, UNKNOWN)
        if isinstance(owner, Made):
            value = dict(owner.keywords).get(name, value)
            if set(self.names.program.ancestors(*found)) & set(_SETTINGS_BASES):
                return Environ(value)  # a field that the environment sets, with its default
        return value

    def result(self, name: str) -> Value:
        found = self.names.program.function(name)
        if found is None or self.depth > _DEEPEST:
            return UNKNOWN
        module, function = found
        return self.names.within(module, function.name, "", lambda: self._returned(module, function))

    def _returned(self, module: Module, function: Function) -> Value:
        scope = _Scope(self.names, module, self.names.of(module), function, self.depth + 1)
        returned = [node.value for node in function.body() if isinstance(node, ast.Return) and node.value]
        return either(*(evaluate(node, scope) for node in returned)) if returned else UNKNOWN

    def _local(self, name: str, holder: Function) -> Value:
        if name in holder.parameters or self.depth > _DEEPEST:
            return UNKNOWN
        return self.names.within(self.module, holder.name, name, lambda: self._assigned(name, holder))

    def _assigned(self, name: str, holder: Function) -> Value:
        scope = _Scope(self.names, self.module, self.state, holder, self.depth + 1)
        found = []
        for node in holder.body():
            match node:
                case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                    found.append(evaluate(value, scope))
                case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
                    found.append(evaluate(value, scope))
        return either(*found) if found else UNKNOWN

    def _named(self, meaning: str) -> Value:
        located = self.names.program.locate(meaning)
        if located is None or not located[1]:
            return Named(meaning)
        module, name = located
        first, _, rest = name.partition(".")
        if rest or first in module.classes or first in module.by_name:
            return Named(meaning)
        bound = self.names.of(module).get(first)
        return bound.value if bound else UNKNOWN


@dataclass(frozen=True, eq=False)
class _Run:
    names: Names
    module: Module

    def statements(self, body: list[ast.stmt], state: State, depth: int) -> None:
        if depth > 30:
            return
        for statement in body:
            self._statement(statement, state, depth)

    def _statement(self, statement: ast.stmt, state: State, depth: int) -> None:
        match statement:
            case ast.Assign(targets=targets, value=value):
                found = self._value(value, state)
                for target in targets:
                    self._assign(target, found, state)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign(target, self._value(value, state), state)
            case ast.AugAssign(target=target, op=operator, value=value):
                old = ast.Name(target.id, ast.Load()) if isinstance(target, ast.Name) else target
                self._assign(target, self._value(ast.BinOp(old, operator, value), state), state)
            case ast.Expr(value=ast.Call() as call):
                self._call(call, state)
            case ast.If(test=test, body=body, orelse=orelse):
                known = holds(test, lambda node: self._value(node, state))
                if known is None:
                    self._either([body, orelse], state, depth)
                else:
                    self.statements(body if known else orelse, state, depth + 1)
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final):
                self._either([[*body, *orelse], *(each.body for each in handlers)], state, depth, skip_empty=True)
                self.statements(final, state, depth + 1)
            case ast.With(body=body, items=items) | ast.AsyncWith(body=body, items=items):
                for each in items:
                    if each.optional_vars is not None:
                        self._assign(each.optional_vars, self._value(each.context_expr, state), state)
                self.statements(body, state, depth + 1)
            case ast.For(body=body) | ast.While(body=body):
                self._either([body, []], state, depth)
            case ast.ImportFrom(names=aliases):
                for alias in aliases:
                    self._import(statement, alias, state)

    def _either(self, bodies: list[list[ast.stmt]], state: State, depth: int, skip_empty: bool = False) -> None:
        branches: list[State] = []
        for body in bodies:
            branch = dict(state)
            self.statements(body, branch, depth + 1)
            if not (skip_empty and branches and branch == state):
                branches.append(branch)
        for name in {name for branch in branches for name in branch}:
            bound = [branch[name] for branch in branches if name in branch]
            value = either(*(branch[name].value if name in branch else ABSENT for branch in branches))
            state[name] = Bound(value, bound[0].path, bound[0].line)

    def _assign(self, target: ast.expr, value: Value, state: State) -> None:
        if isinstance(target, ast.Name):
            state[target.id] = Bound(value, self.module.path, target.lineno)
        elif isinstance(target, ast.Tuple | ast.List):
            values = value if isinstance(value, list) and len(value) == len(target.elts) else None
            for index, each in enumerate(target.elts):
                self._assign(each, values[index] if values else UNKNOWN, state)
        elif isinstance(target, ast.Subscript) and (place_ := self._inside(target, state)):
            name, keys = place_
            state[name] = Bound(with_item(state[name].value, keys, value), self.module.path, target.lineno)

    def _inside(self, target: ast.expr, state: State) -> tuple[str, list[str]] | None:
        """`DATABASES["default"]["NAME"]` as a name and keys."""
        keys: list[str] = []
        while isinstance(target, ast.Subscript):
            key = self._value(target.slice, state)
            if not isinstance(key, str):
                return None
            keys.insert(0, key)
            target = target.value
        return (target.id, keys) if isinstance(target, ast.Name) and target.id in state else None

    def _call(self, call: ast.Call, state: State) -> None:
        if any(isinstance(each, ast.Call) and called_name(each) in ("locals", "globals") for each in call.args) or (
            isinstance(call.func, ast.Attribute) and called_name(call.func.value) in ("locals", "globals")
        ):
            state[OPEN] = Bound(UNKNOWN, self.module.path, call.lineno)
            return
        if not isinstance(call.func, ast.Attribute) or not (inside := self._inside(call.func.value, state)):
            return
        name, keys = inside
        old = item(state[name].value, *keys)
        added = self._value(call.args[-1], state) if call.args else UNKNOWN
        match call.func.attr, old:
            case "update", _:
                spread = ast.Call(ast.Name("dict", ast.Load()), [], call.keywords)
                new = updated(old, added if call.args else self._value(spread, state))
            case (("append" | "insert" | "add"), list()):
                new = [*old, added]
            case "extend", list():
                new = [*old, *(added if isinstance(added, list) else [UNKNOWN])]
            case (("pop" | "remove" | "clear" | "setdefault" | "append" | "insert" | "extend"), _):
                new = UNKNOWN
            case _:
                return
        state[name] = Bound(with_item(state[name].value, keys, new), self.module.path, call.lineno)

    def _import(self, statement: ast.ImportFrom, alias: ast.alias, state: State) -> None:
        local = alias.asname or alias.name
        start = self.module.origin(statement)
        located = self.names.program.locate(start) if start else None
        if alias.name == "*" and start and located is not None and not located[1]:
            if place(located[0].path) in (Place.PRODUCTION, Place.ASIDE) or place(self.module.path) is Place.TESTS:
                state.update(self.names.of(located[0]))
        elif alias.name == "*":
            state[OPEN] = Bound(UNKNOWN, self.module.path, statement.lineno)
        elif alias.name.isupper() and located is not None and not located[1]:
            # A setting, which statements may change here; other names are followed where they are used.
            bound = self.names.of(located[0]).get(alias.name)
            state.update({local: bound} if bound else {})

    def _value(self, node: ast.expr, state: State) -> Value:
        return evaluate(node, _Scope(self.names, self.module, state))
