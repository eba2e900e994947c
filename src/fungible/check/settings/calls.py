"""The calls of a program, each with what it calls and with whether it is made where the app serves its users."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from fungible.check.python.function import Function
from fungible.check.python.module import Module
from fungible.check.python.nodes import argument, last_name
from fungible.check.settings.conditions import holds
from fungible.check.settings.names import Names
from fungible.check.settings.values import UNKNOWN, Value

_LEAVES = (ast.Name, ast.Constant, ast.expr_context, ast.operator, ast.cmpop, ast.alias)
_ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True, eq=False)
class Call:
    """A call in a module.

    `name` is the full name of what is called, re-exports followed; None where it cannot be told. `conditional`: it
    stands under a condition that cannot be told, or in the handler of an exception. `in_main`: under
    `if __name__ == "__main__"`. Calls that only development or tests reach are none.
    """

    names: Names
    module: Module
    function: Function | None
    node: ast.Call
    name: str | None
    conditional: bool
    in_main: bool

    @property
    def method(self) -> str:
        """The last part of what is called: `init_app` for `limiter.init_app(app)`."""
        return last_name(self.node.func)

    @property
    def receiver(self) -> ast.expr | None:
        """What a method is called of."""
        return self.node.func.value if isinstance(self.node.func, ast.Attribute) else None

    @property
    def spread(self) -> bool:
        """Whether arguments come from a `*` or `**`."""
        return any(each.arg is None for each in self.node.keywords) or any(
            isinstance(each, ast.Starred) for each in self.node.args
        )

    def node_of(self, keyword: str, position: int | None = None) -> ast.expr | None:
        """The argument by this keyword, or at this position from 0."""
        return argument(self.node, keyword, position)

    def argument(self, keyword: str, position: int | None = None) -> Value:
        """The value of that argument; UNKNOWN where it cannot be told or is not there (see `node_of`)."""
        return self.value(self.node_of(keyword, position))

    def value(self, node: ast.expr | None) -> Value:
        """The value of an expression that stands where the call stands."""
        return UNKNOWN if node is None else self.names.value(node, self.module, self.function)

    def meaning(self, node: ast.AST | None) -> str | None:
        """The full name of an expression that stands where the call stands."""
        return None if node is None else self.names.meaning(node, self.module, self.function)


@dataclass(frozen=True, eq=False)
class Setting:
    """An assignment to an attribute or a key (`app.config["X"] = value`, `assets.auto_build = False`)."""

    names: Names
    module: Module
    function: Function | None
    target: ast.Attribute | ast.Subscript
    value_node: ast.expr
    conditional: bool

    @property
    def value(self) -> Value:
        """What is assigned."""
        return self.names.value(self.value_node, self.module, self.function)

    @property
    def key(self) -> str | None:
        """The attribute's name, or the key where it is a text."""
        if isinstance(self.target, ast.Attribute):
            return self.target.attr
        found = self.names.value(self.target.slice, self.module, self.function)
        return found if isinstance(found, str) else None


@dataclass(frozen=True)
class _Stand:
    function: Function | None = None
    conditional: bool = False
    in_main: bool = False


def walk(module: Module, names: Names) -> Iterator[Call | Setting]:
    """The calls and settings of a module, in no particular order."""
    ahead: list[tuple[ast.AST, _Stand]] = [(module.tree, _Stand())]
    while ahead:
        node, stand = ahead.pop()
        if isinstance(node, ast.Call):
            name = names.meaning(node.func, module, stand.function)
            yield Call(names, module, stand.function, node, name, stand.conditional, stand.in_main)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute | ast.Subscript):
                    yield Setting(names, module, stand.function, target, node.value, stand.conditional)
        if isinstance(node, ast.If | ast.IfExp):
            ahead.extend(_branches(node, module, names, stand))
        elif isinstance(node, ast.Try):
            ahead.extend((each, stand) for each in (*node.body, *node.orelse, *node.finalbody))
            ahead.extend((each, _Stand(stand.function, True, stand.in_main)) for each in node.handlers)
        elif (function := module.by_node.get(node)) is not None:
            inner = _Stand(function, False, stand.in_main)
            outside = [*function.decorators, *function.node.args.defaults, *function.node.args.kw_defaults]
            ahead.extend((each, stand) for each in outside if each is not None)
            body = function.node.body
            ahead.extend(_sequence(body, inner) if isinstance(body, list) else [(body, inner)])
        else:
            ahead.extend((each, stand) for each in ast.iter_child_nodes(node) if not isinstance(each, _LEAVES))


def _branches(
    node: ast.If | ast.IfExp, module: Module, names: Names, stand: _Stand
) -> Iterator[tuple[ast.AST, _Stand]]:
    bodies = [each if isinstance(each, list) else [each] for each in (node.body, node.orelse)]
    yield node.test, stand
    if (
        isinstance(node.test, ast.Compare)
        and isinstance(node.test.left, ast.Name)
        and node.test.left.id == "__name__"
    ):
        yield from ((each, _Stand(stand.function, stand.conditional, True)) for each in bodies[0])
        return
    known = holds(node.test, lambda each: names.value(each, module, stand.function))
    for body, taken in zip(bodies, (True, False), strict=True):
        if known is None or known is taken:
            inner = _Stand(stand.function, stand.conditional or known is None, stand.in_main)
            yield from ((each, inner) for each in body)


def _sequence(body: list[ast.stmt], stand: _Stand) -> Iterator[tuple[ast.AST, _Stand]]:
    """The statements of a function; what follows `if …: return` is conditional."""
    for statement in body:
        yield statement, stand
        if isinstance(statement, ast.If) and not statement.orelse and isinstance(statement.body[-1], _ENDS):
            stand = _Stand(stand.function, True, stand.in_main)
