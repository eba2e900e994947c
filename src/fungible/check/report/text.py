"""The result as text for people."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from itertools import groupby

from fungible.app.wording import counted
from fungible.check.catalogue import RULES
from fungible.check.check import Result, Told
from fungible.check.finding import Level
from fungible.check.source import Source
from fungible.check.tree import Tree

_COLOURS = {Level.CERTAIN: "\033[31m", Level.LIKELY: "\033[33m", Level.POSSIBLE: "\033[36m"}
_BOLD, _DIM, _END = "\033[1m", "\033[2m", "\033[0m"
_WIDTH = 100


def to_text(result: Result, tree: Tree, level: Level, *, colour: bool = False) -> str:
    """Findings by file, each with its line; then what each rule means, once; then the sum."""
    paint = _Paint(colour)
    sources = {source.path: source for source in tree.sources}
    parts = []
    for path, group in groupby(result.told, key=lambda each: each.finding.path):
        parts.append(paint.bold(path))
        parts += [_shown(each, sources, paint) for each in group]
    if rules := sorted({each.finding.rule for each in result.told if not each.known}):
        parts.append(paint.bold("What it means"))
        parts += [_meant(rule, paint) for rule in rules]
    parts += [f"note: {each}" for each in result.notices]
    parts.append(_sum(result, level))
    return "\n\n".join(parts)


class _Paint:
    """Colours where they are wanted."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def _in(self, code: str, text: str) -> str:
        return f"{code}{text}{_END}" if self._colour else text

    def bold(self, text: str) -> str:
        return self._in(_BOLD, text)

    def dim(self, text: str) -> str:
        return self._in(_DIM, text)

    def level(self, level: Level) -> str:
        return self._in(_COLOURS[level], level.value)


def _shown(told: Told, sources: Mapping[str, Source], paint: _Paint) -> str:
    finding = told.finding
    more = f" (and {counted(told.more, 'more place')} in this file)" if told.more else ""
    known = f" {paint.dim('known')}" if told.known else ""
    where = f"{finding.line}:{finding.column}"
    head = f"  {where} {paint.level(finding.level)} {finding.rule}{known} {finding.message}{more}"
    lines = sources[finding.path].lines
    if told.known or not 0 < finding.line <= len(lines):
        return head
    line = lines[finding.line - 1].expandtabs(4)
    text = line.strip()[: _WIDTH - 12]
    return f"{head}\n{paint.dim(f'{finding.line:>8} | ')}{text}"


def _meant(name: str, paint: _Paint) -> str:
    rule = RULES[name]
    body = f"{rule.title[0].upper()}{rule.title[1:]}. {rule.why} {rule.mend}"
    wrapped = textwrap.fill(body, _WIDTH, initial_indent="  ", subsequent_indent="         ", break_long_words=False)
    return wrapped.replace("  ", f"  {paint.bold(name)}  ", 1)


def _sum(result: Result, level: Level) -> str:
    new = [each for each in result.told if not each.known]
    counts = [
        f"{number} {each.value}"
        for each in reversed(Level)
        if (number := sum(told.finding.level is each for told in new))
    ]
    said = f"{counted(len(new), 'finding')} ({', '.join(counts)})" if new else "nothing found"
    parts = [f"{said} in {counted(result.files, 'file')}"]
    if accepted := len(result.told) - len(new):
        parts.append(f"{accepted} known by the baseline")
    if result.declared:
        parts.append(f"{len(result.declared)} declared local")
    if result.mended:
        parts.append(f"{len(result.mended)} of the baseline mended")
    if result.less_sure and level > Level.POSSIBLE:
        parts.append(f"{result.less_sure} less sure (--level possible shows them)")
    text = "; ".join(parts) + "."
    if new:
        rule = new[0].finding.rule
        text += f"\n`fungible check --explain {rule}` shows an example; `fungible verify` proves it by experiment."
    return text
