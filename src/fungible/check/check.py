"""A check: what the rules find in a tree, less what is declared or known. Pure."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from fungible.app.wording import plain
from fungible.check.baseline import Known, known
from fungible.check.catalogue import RULES, find
from fungible.check.declared import Declaration, declarations, parted, useless
from fungible.check.finding import Finding, Level
from fungible.check.tree import Tree

_VERSION = ".".join(map(str, sys.version_info[:2]))


@dataclass(frozen=True)
class Told:
    """A finding as it is shown: how many `more` places in the file are the same matter, and whether it is `known`."""

    finding: Finding
    more: int = 0
    known: bool = False


@dataclass(frozen=True)
class Notice:
    """A sentence about the check itself, and the place that it is about, if it is about one."""

    text: str
    path: str | None = None
    line: int = 1

    def __str__(self) -> str:
        return self.text if self.path is None else f"{plain(self.path)}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Result:
    """What a check gives.

    `told` is what is shown, by path and line; `less_sure` how much more a lower level would show; `declared` what is
    meant to be so, with its declaration; `unread` the files that this Python cannot parse; `notices` sentences
    about the rest; `files` how many were checked; `found` everything that is not declared, of any level; `mended`
    what the baseline knows and nothing shows any more.
    """

    told: tuple[Told, ...]
    less_sure: int = 0
    declared: tuple[tuple[Finding, Declaration], ...] = ()
    unread: tuple[Notice, ...] = ()
    notices: tuple[Notice, ...] = ()
    files: int = 0
    found: frozenset[Known] = frozenset()
    mended: tuple[Known, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether something is shown that is not known."""
        return any(not each.known for each in self.told)


def check(
    tree: Tree, level: Level = Level.LIKELY, baseline: Collection[Known] = (), within: Sequence[str] = ()
) -> Result:
    """Check a tree, showing what is at least as sure as `level`, and `within` these paths only, if there are any.

    The rest of the tree is read all the same: what a request reaches there decides what is found here.
    """
    findings = sorted(find(tree), key=_order)
    comments = declarations(tree.sources)
    everything, covered = parted(findings, comments, tree.program)
    left = [each for each in everything if is_within(each.path, within)]
    unread = tuple(
        Notice(f"not read, as it is no Python {_VERSION}: {why}", path, line)
        for path, why, line in tree.program.unread
        if is_within(path, within)
    )
    skipped = {each.path for each in unread}
    here = [each for each in comments if is_within(each.path, within) and each.path not in skipped]
    used = {declaration for _, declaration in covered}
    result = Result(
        told=tuple(_joined(each for each in left if each.level >= level)),
        less_sure=len(_joined(each for each in left if each.level < level)),
        declared=_once(pair for pair in covered if pair[0].level >= level and is_within(pair[0].path, within)),
        unread=unread,
        notices=tuple(Notice(text, path, line) for path, line, text in useless(here, used, RULES)),
        files=sum(is_within(each.path, within) for each in tree.sources),
        found=frozenset(map(known, left)),
    )
    return accept(result, baseline, within)


def accept(result: Result, baseline: Collection[Known], within: Sequence[str] = ()) -> Result:
    """The result with what the baseline knows marked as such."""
    entries = frozenset(baseline)
    return replace(
        result,
        told=tuple(replace(each, known=known(each.finding) in entries) for each in result.told),
        mended=tuple(sorted(each for each in entries - result.found if is_within(each.path, within))),
    )


def accepted(result: Result, before: Collection[Known]) -> frozenset[Known]:
    """The baseline that accepts what is shown, and keeps what it knew and nothing says is mended."""
    return frozenset(known(each.finding) for each in result.told) | (frozenset(before) - set(result.mended))


def is_within(path: str, within: Sequence[str]) -> bool:
    """Whether a file is one of these paths, or in one of them; without any, every file is."""
    return not within or any(each in ("", path) or path.startswith(f"{each}/") for each in within)


def _order(finding: Finding) -> tuple[str, int, int, str, str]:
    return finding.path, finding.line, finding.column, finding.rule, finding.symbol


def _joined(findings: Iterable[Finding]) -> list[Told]:
    """One for each rule, path and symbol: the surest, else the first, and how many more."""
    groups: dict[Known, list[Finding]] = {}
    for each in findings:
        groups.setdefault(known(each), []).append(each)
    told = []
    for group in groups.values():
        places = {(each.line, each.column) for each in group}
        told.append(Told(max(group, key=lambda each: (each.level, -each.line, -each.column)), len(places) - 1))
    return sorted(told, key=lambda each: _order(each.finding))


def _once(covered: Iterable[tuple[Finding, Declaration]]) -> tuple[tuple[Finding, Declaration], ...]:
    """The first of each rule, path and symbol."""
    first: dict[Known, tuple[Finding, Declaration]] = {}
    for finding, by in covered:
        first.setdefault(known(finding), (finding, by))
    return tuple(first.values())
