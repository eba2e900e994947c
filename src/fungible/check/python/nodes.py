"""Questions to single nodes of a syntax tree."""

from __future__ import annotations

import ast


def text_of(node: ast.AST) -> str:
    """A node as Python writes it; an ellipsis where it is nested too deeply to be written."""
    try:
        return ast.unparse(node)
    except RecursionError:
        return "…"


def last_name(node: ast.AST) -> str:
    """The last part of a dotted name: `c` of `a.b.c`; empty for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def bare(decorator: ast.expr) -> ast.expr:
    """What a decorator names, without the arguments that it may be given."""
    return decorator.func if isinstance(decorator, ast.Call) else decorator


def argument(call: ast.Call, keyword: str, position: int | None = None) -> ast.expr | None:
    """The argument by this keyword, or at this position from 0."""
    for each in call.keywords:
        if each.arg == keyword:
            return each.value
    return call.args[position] if position is not None and position < len(call.args) else None


def targets(statement: ast.AST) -> list[ast.expr]:
    """What a statement assigns or deletes; nothing for an annotation without a value, and for any other node."""
    match statement:
        case ast.Assign(targets=several) | ast.Delete(targets=several):
            return several
        case ast.AugAssign(target=one) | ast.AnnAssign(target=one, value=ast.expr()):
            return [one]
        case _:
            return []
