"""What a name is bound to, and what statements make of it."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from fungible.check.settings.values import ABSENT, UNKNOWN, Environ, Value, either

OPEN = "*"
"""Bound where names may be there that cannot be read: a star import from elsewhere, `locals()` handed on."""


@dataclass(frozen=True)
class Bound:
    """The value of a name, and where it was bound last."""

    value: Value
    path: str
    line: int


State = dict[str, Bound]


def with_item(value: Value, keys: list[str], new: Value) -> Value:
    """A dict, or what stands for one, with something new under the keys."""
    if not keys:
        return new
    if not isinstance(value, dict):
        return UNKNOWN if value is not ABSENT else {keys[0]: with_item(ABSENT, keys[1:], new)}
    return {**value, keys[0]: with_item(value.get(keys[0], ABSENT), keys[1:], new)}


def updated(old: Value, more: Value) -> Value:
    """What `old.update(more)` makes of a dict."""
    if isinstance(old, dict) and isinstance(more, dict):
        return {**old, **more}
    if isinstance(more, Environ):  # dj_database_url.config() gives nothing where the environment has nothing
        return either(Environ(), old if more.default is UNKNOWN else updated(old, more.default))
    return either(old, UNKNOWN)


def called_name(node: ast.expr) -> str | None:
    """The name of the function that a call calls."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
