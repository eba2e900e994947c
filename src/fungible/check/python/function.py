"""A function as rules read it: its nodes, what it binds, the function around it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


@dataclass(frozen=True, eq=False)
class Function:
    """A function, method or lambda.

    `name` is its qualified name within the module (`Cart.add`, `create_app.index`); `outer` the function around it;
    `owner` the class that it is a method of, by its qualified name. `locals` are the names bound in it, parameters
    among them; `globals` those that it declares `global`; `parameters` in their order, without `*` and `**`.
    """

    name: str
    node: FunctionNode
    outer: Function | None
    owner: str | None
    locals: frozenset[str]
    globals: frozenset[str]
    parameters: tuple[str, ...]
    nodes: tuple[ast.AST, ...]

    @property
    def decorators(self) -> list[ast.expr]:
        """The decorators, outermost first."""
        return [] if isinstance(self.node, ast.Lambda) else self.node.decorator_list

    def body(self) -> Iterator[ast.AST]:
        """Every node of its body, without what is inside nested functions and classes."""
        return iter(self.nodes)

    @cached_property
    def given(self) -> Mapping[str, tuple[ast.expr, ...]]:
        """Local name -> what it is given, by assignments and `with ... as`; of a tuple, the whole."""
        found: dict[str, list[ast.expr]] = {}
        for node in self.nodes:
            targets: list[ast.expr] = []
            if isinstance(node, ast.Assign):
                targets, value = node.targets, node.value
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                targets, value = [node.target], node.value
            elif isinstance(node, ast.withitem) and node.optional_vars is not None:
                targets, value = [node.optional_vars], node.context_expr
            for target in targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        found.setdefault(name.id, []).append(value)
        return {name: tuple(values) for name, values in found.items()}

    def holder(self, name: str) -> Function | None:
        """The function among this one and those around it that binds `name`; None for a name of the module."""
        function: Function | None = self
        while function is not None:
            if name in function.globals:
                return None
            if name in function.locals:
                return function
            function = function.outer
        return None


def functions(tree: ast.Module) -> Iterator[Function]:
    """All functions, outer before inner, in the order of the text."""
    ahead: list[tuple[ast.AST, str, Function | None, str | None]] = [(tree, "", None, None)]
    while ahead:
        node, prefix, outer, owner = ahead.pop()
        if isinstance(node, ast.ClassDef):
            owner = prefix + node.name
            prefix = f"{owner}."
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            name = prefix + ("<lambda>" if isinstance(node, ast.Lambda) else node.name)
            outer = _function(name, node, outer, owner)
            yield outer
            prefix, owner = f"{name}.", None
        ahead.extend((child, prefix, outer, owner) for child in reversed(list(ast.iter_child_nodes(node))))


def method_of(function: Function | None) -> Function | None:
    """The method that a function is, or is defined in."""
    while function is not None and function.owner is None:
        function = function.outer
    return function


def _function(name: str, node: FunctionNode, outer: Function | None, owner: str | None) -> Function:
    arguments = node.args
    named = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    more = [each.arg for each in (arguments.vararg, arguments.kwarg) if each]
    nodes = _inside(node)
    bound, declared, outside = {*named, *more}, set(), set()
    for each in nodes:
        match each:
            case ast.Global(names):
                declared.update(names)
            case ast.Nonlocal(names):
                outside.update(names)
            case ast.Name(id=str(one), ctx=ast.Store() | ast.Del()):
                bound.add(one)
            case ast.FunctionDef(name=str(one)) | ast.AsyncFunctionDef(name=str(one)) | ast.ClassDef(name=str(one)):
                bound.add(one)
            case ast.ExceptHandler(name=str(one)) | ast.MatchAs(name=str(one)) | ast.MatchStar(name=str(one)):
                bound.add(one)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                bound.update(alias.asname or alias.name.partition(".")[0] for alias in aliases)
    free = declared | outside
    return Function(name, node, outer, owner, frozenset(bound - free), frozenset(declared), tuple(named), nodes)


def _inside(node: FunctionNode) -> tuple[ast.AST, ...]:
    """The nodes of a function's body; of functions and classes in it, their decorators alone."""
    found: list[ast.AST] = []
    stack: list[ast.AST] = list(reversed(node.body)) if isinstance(node.body, list) else [node.body]
    while stack:
        each = stack.pop()
        found.append(each)
        if not isinstance(each, SCOPES):
            stack.extend(reversed(list(ast.iter_child_nodes(each))))
        elif not isinstance(each, ast.Lambda):
            stack.extend(reversed(each.decorator_list))
    return tuple(found)
