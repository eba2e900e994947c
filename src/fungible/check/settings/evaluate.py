"""What an expression is worth, as far as literals, paths and the environment tell. Nothing is run or imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Protocol

from fungible.check.settings.conditions import holds
from fungible.check.settings.texts import join_path, joined, parent
from fungible.check.settings.urls import database_of
from fungible.check.settings.values import (
    SPREAD,
    UNKNOWN,
    Either,
    Environ,
    Made,
    Mixed,
    Named,
    Value,
    either,
    item,
)

_DEEPEST = 40
_MOST_VARIANTS = 8
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_ENVIRONMENT = ("os.environ", "os.environb")
_READS_ENVIRONMENT = ("os.environ.get", "os.getenv", "os.environ.setdefault", "os.environ.pop")
_KEEPS_PATH = frozenset(
    {"pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath", "builtins.str", "os.fspath", "os.path.abspath"}
    | {
        "os.path.realpath",
        "os.path.normpath",
        "os.path.expanduser",
        "builtins.list",
        "builtins.tuple",
        "builtins.set",
    }
    | {"environ.Path", "path.Path", "unipath.Path", "builtins.frozenset"}
)
_PATH_METHODS = frozenset({"resolve", "absolute", "as_posix", "expanduser", "strip", "rstrip", "__str__", "copy"})
_HERE = frozenset({"os.getcwd", "pathlib.Path.cwd"})


class Scope(Protocol):
    """Where an expression stands."""

    def meaning(self, node: ast.expr) -> str | None:
        """The full name of a name or a chain of attributes, re-exports followed."""

    def lookup(self, name: str) -> Value:
        """The value of a name; UNKNOWN where none is known."""

    def attribute(self, owner: Value, name: str) -> Value:
        """An attribute of something that the program defines."""

    def result(self, name: str) -> Value:
        """What a function of the program, by its full name, returns."""


def evaluate(node: ast.expr | None, scope: Scope, depth: int = 0) -> Value:
    """The value of an expression; UNKNOWN where it cannot be told."""
    if node is None or depth > _DEEPEST:
        return UNKNOWN

    def value(each: ast.expr | None) -> Value:
        return evaluate(each, scope, depth + 1)

    match node:
        case ast.Constant(value=constant):
            return UNKNOWN if constant is ... else constant
        case ast.Name(id="__file__"):
            return "./file.py"
        case ast.Name(id=name):
            return scope.lookup(name)
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
            return list(_elements(parts, scope, depth))
        case ast.Dict():
            return _dict(node, scope, depth)
        case ast.JoinedStr(values=pieces):
            return joined([value(each.value if isinstance(each, ast.FormattedValue) else each) for each in pieces])
        case ast.BinOp(left=left, op=operator, right=right):
            return _combined(value(left), operator, value(right))
        case ast.BoolOp(op=ast.Or(), values=parts):
            return _first_of([value(part) for part in parts])
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _branch(holds(test, value), value(body), value(orelse))
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            known = holds(node, value) if depth < 3 or isinstance(node, ast.Compare) else None
            return UNKNOWN if known is None else known
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            number = value(operand)
            return -number if isinstance(number, int | float) else UNKNOWN
        case ast.Await(value=inner) | ast.NamedExpr(value=inner):
            return value(inner)
        case ast.Subscript(value=base, slice=key):
            return _subscript(value(base), value(key))
        case ast.Attribute():
            return _attribute(node, scope, depth)
        case ast.Call():
            return _call(node, scope, depth)
    return UNKNOWN


def _elements(parts: list[ast.expr], scope: Scope, depth: int) -> Iterator[Value]:
    for part in parts:
        if isinstance(part, ast.Starred):
            inner = evaluate(part.value, scope, depth + 1)
            if isinstance(inner, list):
                yield from inner
            else:
                yield UNKNOWN
        else:
            yield evaluate(part, scope, depth + 1)


def _dict(node: ast.Dict, scope: Scope, depth: int) -> Value:
    variants: list[dict[object, Value]] = [{}]
    for key, each in zip(node.keys, node.values, strict=True):
        found = evaluate(each, scope, depth + 1)
        if key is None:
            variants = [one for variant in variants for one in _spread(variant, found)][:_MOST_VARIANTS]
            continue
        known = evaluate(key, scope, depth + 1)
        if isinstance(known, str | int | float | bool | bytes) or known is None:
            for variant in variants:
                variant[known] = found
        else:
            for variant in variants:
                variant[SPREAD] = UNKNOWN
    return either(*variants)


def _spread(into: dict[object, Value], found: Value) -> list[dict[object, Value]]:
    """The dicts that come of spreading a value into one."""
    if isinstance(found, dict):
        return [{**into, **found}]
    if isinstance(found, Either):
        return [{**into, **(each if isinstance(each, dict) else {SPREAD: UNKNOWN})} for each in found.options]
    return [{**into, SPREAD: UNKNOWN}]


def _combined(left: Value, operator: ast.operator, right: Value) -> Value:
    if isinstance(left, Either):
        return either(*(_combined(each, operator, right) for each in left.options))
    if isinstance(left, Environ):
        inner = left.default
        return Environ(UNKNOWN if inner is UNKNOWN else _combined(inner, operator, right))
    match operator, left, right:
        case ast.Add(), list(), list():
            return [*left, *right]
        case ast.Add(), list(), Either():
            return either(*(_combined(left, operator, each) for each in right.options))
        case ast.Add(), list(), _:
            return [*left, UNKNOWN]
        case ast.Add(), (str() | Mixed()), _:
            return joined([left, right])
        case ast.Add(), (int() | float()), (int() | float()):
            return left + right
        case ast.Div(), (str() | Mixed()), _:
            return join_path([left, right])
        case ast.BitOr(), dict(), _:
            return either(*_spread(left, right))
        case ast.Mod(), str(), _:
            return Mixed(left.partition("%")[0]) if "%" in left else left
    return UNKNOWN


def _first_of(values: list[Value]) -> Value:
    """`a or b`."""
    for index, value in enumerate(values):
        rest = values[index + 1 :]
        if not rest:
            return value
        if isinstance(value, Environ) and value.default is not UNKNOWN and value.default:
            return value
        if isinstance(value, Environ | Either | Mixed) or value is UNKNOWN:
            return Environ(_first_of(rest))
        if value:
            return value
    return UNKNOWN


def _branch(known: bool | None, body: Value, orelse: Value) -> Value:
    return either(body, orelse) if known is None else body if known else orelse


def _subscript(base: Value, key: Value) -> Value:
    if isinstance(base, Named):
        return Environ() if base.name in _ENVIRONMENT else UNKNOWN
    if isinstance(base, list) and isinstance(key, int):
        return base[key] if -len(base) <= key < len(base) else UNKNOWN
    if isinstance(base, Environ) and not isinstance(base.default, dict):
        return Environ()
    return item(base, key) if isinstance(key, str) else UNKNOWN


def _attribute(node: ast.Attribute, scope: Scope, depth: int) -> Value:
    owner = evaluate(node.value, scope, depth + 1)
    match owner:
        case str() if node.attr == "parent":
            return parent(owner)
        case Named(name=name):
            found = scope.attribute(owner, node.attr)
            return Named(f"{name}.{node.attr}") if found is UNKNOWN else found
        case Environ() | Either():
            return Environ()
    return scope.attribute(owner, node.attr)


def _call(node: ast.Call, scope: Scope, depth: int) -> Value:
    def value(each: ast.expr | None) -> Value:
        return evaluate(each, scope, depth + 1)

    name = scope.meaning(node.func)
    arguments = [value(each) for each in node.args]
    keywords = {each.arg: value(each.value) for each in node.keywords if each.arg}
    first = arguments[0] if arguments else UNKNOWN
    default = keywords.get("default", arguments[1] if len(arguments) > 1 else UNKNOWN)
    if name in _READS_ENVIRONMENT:
        return Environ(default)
    if name in _HERE:
        return "."
    if name == "tempfile.gettempdir":
        return "/tmp"
    if name in _KEEPS_PATH:
        return join_path(arguments) if len(arguments) > 1 else first
    if name == "os.path.join":
        return join_path(arguments)
    if name == "os.path.dirname":
        return parent(first) if isinstance(first, str) else first
    if name == "builtins.dict":
        return _called_dict(first, node, scope, depth)
    if name in ("dj_database_url.parse", "dj_database_url.config"):
        return database_of(first) if name.endswith("parse") else Environ(database_of(default))
    if isinstance(node.func, ast.Attribute):
        owner, method = value(node.func.value), node.func.attr
        if isinstance(owner, str | Mixed | list | dict) or (isinstance(owner, Environ) and method in _PATH_METHODS):
            return _method(owner, method, arguments)
        if isinstance(owner, Environ):
            return Environ()
        if method in ("db", "db_url", "dj_db_url") and isinstance(first, str):
            return Environ(database_of(default))
    if isinstance(first, str) and _VARIABLE.fullmatch(first) and len(first) > 1:
        return Environ(default)  # env("NAME"), config("NAME"), get_secret("NAME"): all read what a deploy sets
    if name is None:
        return UNKNOWN
    found = scope.result(name)
    return Made(name, tuple(arguments), tuple(keywords.items())) if found is UNKNOWN else found


def _called_dict(first: Value, node: ast.Call, scope: Scope, depth: int) -> Value:
    made = ast.Dict(
        keys=[ast.Constant(each.arg) if each.arg else None for each in node.keywords],
        values=[each.value for each in node.keywords],
    )
    more = _dict(made, scope, depth)
    return either(*_spread(first, more)) if isinstance(first, dict) else more


def _method(owner: Value, method: str, arguments: list[Value]) -> Value:
    if method in _PATH_METHODS:
        return owner
    if isinstance(owner, dict):
        key = arguments[0] if arguments else UNKNOWN
        return item(owner, key) if method == "get" and isinstance(key, str) else UNKNOWN
    if method == "joinpath":
        return join_path([owner, *arguments])
    if isinstance(owner, str) and method == "format":
        return Mixed(owner.partition("{")[0]) if "{" in owner else owner
    return Mixed("") if isinstance(owner, str | Mixed) else UNKNOWN
