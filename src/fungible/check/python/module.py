"""A Python module as rules read it: what its names mean, what it binds, which functions it has."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from fungible.check.finding import Finding, Level
from fungible.check.python.function import SCOPES, Function, functions
from fungible.check.python.nodes import targets, text_of
from fungible.check.source import Source

_BUILTINS = frozenset(dir(builtins))


@dataclass(frozen=True, eq=False)
class Class:
    """A class by its qualified name; `bases` as full names where they can be told; `attributes` by their values;
    `annotations` of its body."""

    name: str
    node: ast.ClassDef
    bases: tuple[str, ...]
    attributes: Mapping[str, ast.expr]
    annotations: Mapping[str, ast.expr]


@dataclass(frozen=True, eq=False)
class Module:
    """A module that could be parsed. `name` is dotted, from the folder that is checked (`shop.views`)."""

    source: Source
    name: str
    tree: ast.Module
    package: str = field(default="")

    @property
    def path(self) -> str:
        """Where it is, relative to the folder that is checked."""
        return self.source.path

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All nodes of the module."""
        return tuple(ast.walk(self.tree))

    @cached_property
    def imports(self) -> Mapping[str, str]:
        """Local name -> what it means (`np` -> `numpy`, `cache` -> `functools.cache`), imports in functions too."""
        found: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.asname:
                        found[alias.asname] = alias.name
                    else:
                        top = alias.name.partition(".")[0]
                        found[top] = top
            elif isinstance(node, ast.ImportFrom):
                start = self.origin(node)
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{start}.{alias.name}" if start else alias.name
        return found

    @cached_property
    def bindings(self) -> Mapping[str, ast.expr]:
        """Names that the module's own statements bind by assignment (also under `if`, `try`, `with`) -> their value.

        The first value counts, unless it is a constant such as None: then the next.
        """
        found: dict[str, ast.expr] = {}
        for statement in statements(self.tree.body):
            for name, value in _bound(statement):
                if name not in found or isinstance(found[name], ast.Constant):
                    found[name] = value
        return found

    @cached_property
    def classes(self) -> Mapping[str, Class]:
        """Qualified name -> class."""
        return {name: self._class(name, node) for name, node in self._class_nodes.items()}

    @cached_property
    def _class_nodes(self) -> Mapping[str, ast.ClassDef]:
        return dict(_classes(self.tree))

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """All functions, methods and lambdas, outer before inner."""
        return tuple(functions(self.tree))

    @cached_property
    def by_name(self) -> Mapping[str, Function]:
        """Qualified name -> function; of several with one name, the last."""
        return {each.name: each for each in self.functions}

    @cached_property
    def by_node(self) -> Mapping[ast.AST, Function]:
        """The node of a function -> the function."""
        return {each.node: each for each in self.functions}

    def around(self, node: ast.AST) -> Function | None:
        """The function whose body holds a node of this module; None for the module's own statements."""
        return self._inside.get(id(node))

    @cached_property
    def _inside(self) -> Mapping[int, Function]:
        return {id(node): function for function in self.functions for node in function.body()}

    @cached_property
    def attributes(self) -> Mapping[tuple[str, str], ast.expr]:
        """Class and attribute -> what a method gives its object as that attribute, `__init__` first.

        The first value counts, unless it is None: then the next.
        """
        found: dict[tuple[str, str], ast.expr] = {}
        for method in sorted(self.functions, key=lambda each: not each.name.endswith(".__init__")):
            for node in method.body() if method.owner else ():
                value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
                for target in targets(node):
                    match target:
                        case ast.Attribute(value=ast.Name(id="self"), attr=name) if value is not None:
                            key = (method.owner or "", name)
                            if key not in found or getattr(found[key], "value", "") is None:
                                found[key] = value
        return found

    @cached_property
    def parents(self) -> Mapping[ast.AST, ast.AST]:
        """Node -> the node it is in."""
        return {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}

    def meaning(self, node: ast.AST, function: Function | None = None) -> str | None:
        """What a name or a chain of attributes means, seen from `function` (None: from the module itself).

        An imported name becomes what it was imported as, one that the module binds or defines gets the module's
        name, a builtin becomes `builtins.NAME`. None for a local variable, and for what cannot be told (`f().x`).
        """
        chain: list[str] = []
        while isinstance(node, ast.Attribute):
            chain.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        root, rest = node.id, list(reversed(chain))
        if function is not None and (holder := function.holder(root)) is not None and root not in self.imports:
            if f"{holder.name}.{root}" not in self.by_name:
                return None
            return ".".join([self.name, f"{holder.name}.{root}", *rest])
        if root in self.bindings or root in self._class_nodes or root in self.by_name:
            return ".".join([self.name, root, *rest])
        if root in self.imports:
            return ".".join([self.imports[root], *rest])
        return ".".join(["builtins", root, *rest]) if root in _BUILTINS else None

    def found(self, node: ast.expr | ast.stmt, rule: str, level: Level, message: str, symbol: str) -> Finding:
        """A finding at a node of this module. Its column counts characters, as Python's parser counts bytes."""
        before = self.source.lines[node.lineno - 1].encode("utf-8", "replace")[: node.col_offset]
        column = len(before.decode("utf-8", "ignore")) + 1
        return Finding(rule, level, self.path, node.lineno, message, symbol, column)

    def origin(self, node: ast.ImportFrom) -> str:
        """The full name of the module that a statement imports from."""
        if not node.level:
            return node.module or ""
        parts = self.package.split(".") if self.package else []
        parts = parts[: len(parts) - node.level + 1]
        return ".".join([*parts, *([node.module] if node.module else [])])

    def _class(self, name: str, node: ast.ClassDef) -> Class:
        bases = [self.meaning(base.value if isinstance(base, ast.Subscript) else base) for base in node.bases]
        attributes = {key: value for each in node.body for key, value in _bound(each)}
        annotations = {
            each.target.id: each.annotation
            for each in node.body
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
        }
        return Class(name, node, tuple(base for base in bases if base), attributes, annotations)


def is_main(module: Module, node: ast.AST) -> bool:
    """Whether a statement of the module runs only where it is the program itself (`if __name__ == "__main__"`)."""
    parent = module.parents.get(node)
    while parent is not None:
        if isinstance(parent, ast.If) and "__main__" in text_of(parent.test):
            return True
        parent = module.parents.get(parent)
    return False


def is_final(module: Module, node: ast.AST) -> bool:
    """Whether a node is in a `finally`."""
    child, parent = node, module.parents.get(node)
    while parent is not None and not isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef):
        if isinstance(parent, ast.Try) and child in parent.finalbody:
            return True
        child, parent = parent, module.parents.get(parent)
    return False


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when these do, without functions and classes, in the order of the text."""
    ahead = list(reversed(body))
    while ahead:
        statement = ahead.pop()
        yield statement
        if isinstance(statement, SCOPES):
            continue
        inner: list[ast.stmt] = []
        for part in ("body", "handlers", "orelse", "finalbody"):
            inner += getattr(statement, part, [])
        ahead.extend(reversed(inner))


def _bound(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(statement, ast.Assign):
        for target in statement.targets:
            if isinstance(target, ast.Name):
                yield target.id, statement.value
            elif isinstance(target, ast.Tuple | ast.List):
                value = statement.value
                values = value.elts if isinstance(value, ast.Tuple | ast.List) else [value] * len(target.elts)
                for name, value in zip(target.elts, values, strict=False):
                    if isinstance(name, ast.Name):
                        yield name.id, value
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
        yield statement.target.id, statement.value


def _classes(tree: ast.Module) -> Iterator[tuple[str, ast.ClassDef]]:
    """Qualified names and classes, outer before inner. Not recursive: a chain of `elif` is as deep as it is long."""
    ahead: list[tuple[ast.AST, str]] = [(tree, "")]
    while ahead:
        node, prefix = ahead.pop()
        if isinstance(node, ast.ClassDef):
            yield prefix + node.name, node
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            prefix = f"{prefix}{node.name}."
        inner = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr)]
        ahead.extend((child, prefix) for child in reversed(inner))
