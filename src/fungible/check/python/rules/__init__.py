"""The rules over code, FU101 to FU126."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Rule
from fungible.check.python.reached import Reached
from fungible.check.python.rules import memory
from fungible.check.tree import Tree

RULES: tuple[Rule, ...] = (*memory.RULES,)


def find(tree: Tree) -> Iterator[Finding]:
    """All findings in the tree's Python modules."""
    reached = Reached.of(tree.program)
    yield from memory.find(reached)
