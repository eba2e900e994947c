"""Where the source makes an object: the assignment of a name, found in the syntax tree."""

from __future__ import annotations

import ast
import functools
import os
import sys
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType
from typing import Any, Union

from . import kinds, places, say
from .facets import MISSING, module_space
from .resolve import Found, nearest
from .walk import scanned

Line = tuple[str, int]
_Body = Union[ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef]  # noqa: UP007  # Python 3.9
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_MAKERS = ("__init__", "__new__", "__post_init__")
_LARGEST = 2_000_000

_trees: dict[str, ast.Module | None] = {}


def _tree(file: str) -> ast.Module | None:
    if file not in _trees:
        try:
            with open(file, "rb") as opened:
                _trees[file] = ast.parse(opened.read(_LARGEST))
        except (OSError, SyntaxError, ValueError, RecursionError):
            _trees[file] = None
    return _trees[file]


def _file(module: Any) -> str | None:
    held = dict.get(sys.modules, module) if type(module) is str else None
    try:
        file = module_space(held).get("__file__")
    except Exception:
        return None
    return places.absolute(file) if type(file) is str and file.endswith(".py") else None


def home_of(path: Sequence[Sequence[Any]]) -> str:
    """The folder of the package that a path begins in, or the file of a module that is in none; empty where the path
    begins elsewhere."""
    kind, *names = path[0]
    file = _file(str(names[0]).partition(".")[0]) if kind == "m" else None
    if file is None:
        return ""
    folder, name = os.path.split(file)
    return f"{folder}/" if name == "__init__.py" else file


def _here(body: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope without those of the scopes within it, in the order of the source."""
    for child in ast.iter_child_nodes(body):
        yield child
        if not isinstance(child, _SCOPES):
            yield from _here(child)


def _targets(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from ast.walk(target)
    elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
        yield node.target
    elif isinstance(node, (ast.For, ast.AsyncFor)):
        yield from ast.walk(node.target)
    elif isinstance(node, (ast.With, ast.AsyncWith)):
        for item in node.items:
            if item.optional_vars is not None:
                yield from ast.walk(item.optional_vars)


def _line_of_name(body: ast.AST, name: str) -> int | None:
    """Where a scope first binds a name, by assignment or definition (not by import)."""
    for node in _here(body):
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)) and node.name == name:
            return node.lineno
        for target in _targets(node):
            if isinstance(target, ast.Name) and target.id == name and isinstance(target.ctx, ast.Store):
                return int(getattr(node, "lineno", target.lineno))
    if isinstance(body, _FUNCTIONS):
        arguments = body.args
        for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if one.arg == name:
                return body.lineno
    return None


def _line_of_global(tree: ast.Module, name: str) -> int | None:
    line = _line_of_name(tree, name)
    if line is None:
        for function in ast.walk(tree):
            if isinstance(function, _FUNCTIONS) and any(
                isinstance(node, ast.Global) and name in node.names for node in _here(function)
            ):
                line = _line_of_name(function, name)
                if line is not None:
                    break
    return line


@functools.lru_cache(maxsize=4096)
def assigns(module: str, name: str) -> bool:
    """Whether the source of a module itself makes the global `name`."""
    file = _file(module)
    tree = None if file is None else _tree(file)
    return tree is not None and _line_of_global(tree, name) is not None


def _scope(file: str, qualname: str) -> _Body | None:
    body: _Body | None = _tree(file)
    for name in qualname.replace(".<locals>", "").split("."):
        if body is None:
            return None
        body = next(
            (node for node in _here(body) if isinstance(node, (*_FUNCTIONS, ast.ClassDef)) and node.name == name),
            None,
        )
    return body


def _of_class_attribute(kind: type, name: str) -> Line | None:
    for base in say.mro(kind):
        file, body = _body_of(base)
        line = None if body is None else _line_of_name(body, name)
        if line is not None:
            return file, line
    return None


def _of_attribute(kind: type, name: str) -> Line | None:
    """`self.name = ...` where an instance of the class or its bases is made, else in the class, else in a method."""
    bodies = [(file, body) for file, body in map(_body_of, say.mro(kind)) if body is not None]
    methods = [(file, node) for file, body in bodies for node in _here(body) if isinstance(node, _FUNCTIONS)]
    makers = [(file, method) for file, method in methods if method.name in _MAKERS]
    others = [(file, method) for file, method in methods if method.name not in _MAKERS]
    return _first_binding(makers, name) or _of_class_attribute(kind, name) or _first_binding(others, name)


def _first_binding(methods: Sequence[tuple[str, ast.AST]], name: str) -> Line | None:
    for file, method in methods:
        for node in ast.walk(method):
            for target in _targets(node):
                if isinstance(target, ast.Attribute) and target.attr == name and isinstance(target.ctx, ast.Store):
                    return file, int(getattr(node, "lineno", target.lineno))
    return None


def _body_of(kind: type) -> tuple[str, _Body | None]:
    """The file and the source of a class."""
    file = _file(say.type_module(kind))
    return file or "", None if file is None else _scope(file, type.__dict__["__qualname__"].__get__(kind))


def _of_closure(function: Any, name: str) -> Line | None:
    code: CodeType = function.__code__
    file = places.absolute(code.co_filename)
    tree = _tree(file)
    if tree is None:
        return None
    found: int | None = None
    for node in ast.walk(tree):
        # The innermost function around this one that binds the name.
        if isinstance(node, _FUNCTIONS) and node.lineno <= code.co_firstlineno <= (node.end_lineno or node.lineno):
            line = _line_of_name(node, name)
            if line is not None and not _is_same(node, code):
                found = line
    return None if found is None else (file, found)


def _of_local(code: CodeType, name: str) -> Line | None:
    file = places.absolute(code.co_filename)
    tree = _tree(file)
    functions = () if tree is None else (node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS))
    line = next((_line_of_name(node, name) for node in functions if _is_same(node, code)), None)
    return None if line is None else (file, line)


def _is_same(node: ast.AST, code: CodeType) -> bool:
    first = min([getattr(node, "lineno", 0), *(one.lineno for one in getattr(node, "decorator_list", ()))])
    return first == code.co_firstlineno and getattr(node, "name", None) == code.co_name


def of_function(function: Any) -> Line:
    """The line where a function begins (that of its first decorator)."""
    code: CodeType = function.__code__
    return places.absolute(code.co_filename), code.co_firstlineno


def declared(path: Sequence[Sequence[Any]]) -> Line | None:
    """Where the object at `path` is made, or the nearest thing on the way to it that the source shows.

    A key or an index is declared where its container is.
    """
    found, rest = nearest(path)
    steps: list[Any] = list(path[: len(path) - len(rest)])
    if found is not None and rest and rest[0][0] == "a":
        line = _of_step(found, rest[0])
        if line is not None:
            return line
    while found is not None:
        if is_cache(found.thing):
            wrapped = cached_function(found.thing)
            if wrapped is not None:
                return of_function(wrapped)
        if found.holder is None:
            return _of_first(found)
        line = _of_step(found.holder, found.step)
        if line is not None:
            return line
        found = found.holder
    return _of_first_step(steps or list(path))


def made_by(file: str, line: int) -> str | None:
    """What a line makes, as the source names it: `shop.KEY` for a module's global, `shop.create: app.secret_key` in
    a function; the function alone where the line binds nothing."""
    tree = _tree(file)
    module = next((name for name in list(dict.keys(sys.modules)) if type(name) is str and _file(name) == file), None)
    if tree is None or module is None:
        return None
    scope: ast.AST | None = tree
    names: list[str] = []
    target: str | None = None
    while scope is not None:
        inner: ast.AST | None = None
        for node in _here(scope):
            first = getattr(node, "lineno", None)
            if first is None or not first <= line <= (getattr(node, "end_lineno", None) or first):
                continue
            if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
                inner = node
            elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
                bound = node.targets[0] if isinstance(node, ast.Assign) else node.target
                target = ast.unparse(bound)
        if isinstance(inner, (*_FUNCTIONS, ast.ClassDef)):
            names.append(inner.name)
            target = None
        scope = inner
    where = ".".join([module, *names])
    if target is None:
        return where
    return f"{where}: {target}" if names else f"{where}.{target}"


def _of_step(holder: Found, step: Any) -> Line | None:
    thing = holder.thing
    if step is None:
        owner = holder.holder
        return None if owner is None else _of_closure(owner.thing, holder.step[1])
    kind, name = step
    if kind in ("d", "kd") and type(thing) is FunctionType:
        file, line = of_function(thing)
        body = _scope(file, thing.__qualname__)
        return file, line if body is None else body.lineno  # type: ignore[union-attr]
    if kind == "g" and holder.facets is kinds.FRAME:
        return _of_local(thing.f_code, name)
    if kind != "a":
        return None
    if holder.facets is kinds.MODULE:
        module = module_space(thing).get("__name__")
        file_ = _file(module)
        tree = None if file_ is None else _tree(file_)
        found = None if tree is None else _line_of_global(tree, name)
        return None if file_ is None or found is None else (file_, found)
    if holder.facets is kinds.CLASS:
        return _of_class_attribute(thing, name)
    return None if thing is MISSING else _of_attribute(type(thing), name)


def _of_first(found: Found) -> Line | None:
    return of_function(found.thing) if type(found.thing) is FunctionType else None


def _of_first_step(steps: list[Any]) -> Line | None:
    thing = scanned(steps[0]) if steps and steps[0][0] == "fn" else None
    return None if thing is None else of_function(thing)


def is_cache(thing: Any) -> bool:
    """Whether an object is an `lru_cache`."""
    return any(base is functools._lru_cache_wrapper for base in say.mro(type(thing)))


def cached_function(cache: Any) -> Any | None:
    """The Python function behind an `lru_cache`."""
    wrapped = _CACHE_DICT(cache).get("__wrapped__")
    return wrapped if type(wrapped) is FunctionType else None


_CACHE_DICT = functools._lru_cache_wrapper.__dict__["__dict__"].__get__
