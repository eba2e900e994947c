"""All rules, from every room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fungible.app.problem import Problem
from fungible.app.wording import nearest, shown
from fungible.check import manifests, settings
from fungible.check.finding import Finding, Rule
from fungible.check.python import rules as python
from fungible.check.tree import Tree

ROOMS = (python, settings, manifests)

RULES: Mapping[str, Rule] = {
    rule.id: rule for rule in sorted((r for room in ROOMS for r in room.RULES), key=lambda r: r.id)
}
"""By id, in the order of ids."""


def find(tree: Tree) -> Iterator[Finding]:
    """What all rules find."""
    for room in ROOMS:
        yield from room.find(tree)


def rule_named(name: str) -> Rule:
    """The rule with this id (`fu101` and `101` will do). Raises `Problem` where there is none."""
    found = RULES.get(name.upper()) or RULES.get(f"FU{name}")
    if found is None:
        hint = nearest(name, RULES) or f" It is one of: {', '.join(RULES)}."
        raise Problem(f"--explain {shown(name)}: there is no rule of that name.{hint}")
    return found
