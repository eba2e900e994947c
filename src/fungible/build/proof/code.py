"""What Python code names: calls of the kit's `asset` and `asset_tags`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fungible.build.proof.templates import ASSET, TAGS, Call

_KIT = ("fungible_kit", "fungible_kit.assets")


def code_calls(text: str) -> Iterator[Call]:
    """The calls in a module that has imported them from the kit, in their order; nothing for what is no Python."""
    if "fungible_kit" not in text:
        return
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    names: dict[str, str] = {}
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in _KIT:
            for alias in node.names:
                if alias.name in (ASSET, TAGS):
                    names[alias.asname or alias.name] = alias.name
                elif alias.name == "assets":
                    modules.add(alias.asname or alias.name)
        elif isinstance(node, ast.Import):
            modules.update(alias.asname or alias.name for alias in node.names if alias.name in _KIT)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = _function(node.func, names, modules)
            if function is not None:
                argument = node.args[0] if node.args else None
                literal = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                found.append(Call(function, argument.value if literal else None, node.lineno))  # type: ignore[union-attr]
    yield from sorted(found, key=lambda call: call.line)


def _function(node: ast.expr, names: dict[str, str], modules: set[str]) -> str | None:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and node.attr in (ASSET, TAGS) and ast.unparse(node.value) in modules:
        return node.attr
    return None
