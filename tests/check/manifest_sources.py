"""Manifests as tests write them down, and what is found in them."""

from __future__ import annotations

import textwrap

from fungible.check import manifests
from fungible.check.finding import Finding, Level
from fungible.check.tree import Tree


def found(path: str, text: str, *others: tuple[str, str]) -> list[Finding]:
    """What the rules over manifests find in a file, and in others beside it."""
    tree = Tree.of([(path, textwrap.dedent(text).lstrip("\n")), *others])
    return sorted(manifests.find(tree), key=lambda one: (one.path, one.line, one.column, one.rule))


def shown(path: str, text: str, *others: tuple[str, str]) -> list[tuple[str, int, str]]:
    """Rule, line and level of what is shown by default: certain and likely."""
    return [(one.rule, one.line, one.level.value) for one in found(path, text, *others) if one.level > Level.POSSIBLE]
