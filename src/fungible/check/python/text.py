"""Pieces of source as text."""

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
