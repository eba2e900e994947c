"""A check: what the rules find in a tree, less what is declared or known. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from fungible.check.baseline import Known, known
from fungible.check.catalogue import find
from fungible.check.declared import Declaration, declarations, parted
from fungible.check.finding import Finding, Level
from fungible.check.tree import Tree


@dataclass(frozen=True)
class Told:
    """A finding as it is shown: how many `more` places in the file are the same matter, and whether it is `known`."""

    finding: Finding
    more: int = 0
    known: bool = False


@dataclass(frozen=True)
class Result:
    """What is shown, by path and line; what is less sure than asked for, by number; what is declared; sentences."""

    told: tuple[Told, ...]
    less_sure: int
    declared: tuple[tuple[Finding, Declaration], ...]
    notices: tuple[str, ...]
    files: int
    baseline: frozenset[Known] = field(default_factory=frozenset)

    @property
    def failed(self) -> bool:
        """Whether something is shown that is not known."""
        return any(not each.known for each in self.told)

    @property
    def mended(self) -> tuple[Known, ...]:
        """Entries of the baseline that nothing matches any more."""
        return tuple(sorted(self.baseline - {known(each.finding) for each in self.told}))


def check(tree: Tree, level: Level = Level.LIKELY, baseline: Collection[Known] = ()) -> Result:
    """Check a tree, showing what is at least as sure as `level`."""
    left, declared, notices = parted(sorted(find(tree), key=_order), declarations(tree.sources))
    shown = _joined([each for each in left if each.level >= level])
    unread = [f"{path}:{line}: no Python of this version, not read: {why}" for path, why, line in tree.program.unread]
    return Result(
        told=tuple(replace(each, known=known(each.finding) in set(baseline)) for each in shown),
        less_sure=len(_joined([each for each in left if each.level < level])),
        declared=tuple(declared),
        notices=(*notices, *unread),
        files=len(tree.sources),
        baseline=frozenset(baseline),
    )


def _order(finding: Finding) -> tuple[str, int, int, str]:
    return finding.path, finding.line, finding.column, finding.rule


def _joined(findings: list[Finding]) -> list[Told]:
    """One for each rule, path and symbol: the surest, else the first, and how many more."""
    groups: dict[Known, list[Finding]] = {}
    for each in findings:
        groups.setdefault(known(each), []).append(each)
    best = [Told(max(group, key=lambda each: (each.level, -each.line)), len(group) - 1) for group in groups.values()]
    return sorted(best, key=lambda each: _order(each.finding))
