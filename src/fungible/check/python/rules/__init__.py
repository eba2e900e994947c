"""The rules over code, FU101 to FU126."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Rule
from fungible.check.python.reached import Reached
from fungible.check.python.rules import app_object, caches, files, made_at_start, memory, of_a_thread
from fungible.check.tree import Tree

_ROOMS = (memory, caches, app_object, made_at_start, files)

RULES: tuple[Rule, ...] = tuple(rule for room in _ROOMS for rule in room.RULES)


def find(tree: Tree) -> Iterator[Finding]:
    """All findings in the tree's Python modules."""
    reached = Reached.of(tree.program)
    for room in (*_ROOMS, of_a_thread):
        yield from room.find(reached)
