"""The result as text for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from itertools import groupby

from fungible.app.wording import counted, plain
from fungible.check.catalogue import RULES
from fungible.check.check import Result, Told
from fungible.check.finding import Level
from fungible.check.source import Source
from fungible.check.tree import Tree

_COLOURS = {Level.CERTAIN: "\033[31m", Level.LIKELY: "\033[33m", Level.POSSIBLE: "\033[36m"}
_GREEN, _BOLD, _DIM, _END = "\033[32m", "\033[1m", "\033[2m", "\033[0m"
_WIDTH = 100
_LEVEL_WIDTH = max(map(len, Level))


def to_text(result: Result, tree: Tree, level: Level, *, colour: bool = False) -> str:
    """Findings by file, each with its line; then what each rule means, once; then the sum.

    Control characters of the files are escaped, so that no file can write to the terminal.
    """
    paint = _Paint(colour)
    sources = {source.path: source for source in tree.sources}
    blocks = []
    for path, group in groupby(result.told, key=lambda each: each.finding.path):
        shown = "\n".join(line for each in group for line in _shown(each, sources, paint))
        blocks.append(f"{paint(_BOLD, plain(path))}\n{shown}")
    blocks += [_meant(name, paint) for name in sorted({each.finding.rule for each in result.told if not each.known})]
    if notices := [f"note: {plain(each)}" for each in (*result.unread, *result.notices)]:
        blocks.append("\n".join(notices))
    blocks.append("\n".join(_sum(result, level, paint)))
    return "\n\n".join(blocks) + "\n"


class _Paint:
    """Colours where they are wanted."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, code: str, text: str) -> str:
        return f"{code}{text}{_END}" if self._colour else text


def _shown(told: Told, sources: Mapping[str, Source], paint: _Paint) -> Iterator[str]:
    finding = told.finding
    more = f" (and {counted(told.more, 'more place')} in this file)" if told.more else ""
    sure = paint(_COLOURS[finding.level], f"{finding.level.value:<{_LEVEL_WIDTH}}")
    known = f" {paint(_DIM, 'known')}" if told.known else ""
    yield f"  {finding.line}:{finding.column}  {sure}  {finding.rule}{known}  {plain(finding.message)}{more}"
    lines = sources[finding.path].lines if finding.path in sources else ()
    if told.known or not 0 < finding.line <= len(lines):
        return
    line = lines[finding.line - 1]
    before = line[: finding.column - 1].expandtabs(4)
    whole = line.expandtabs(4)
    indent = min(len(whole) - len(whole.lstrip()), len(before))
    margin = f"{finding.line:>6} | "
    yield paint(_DIM, margin) + plain(whole[indent : indent + _WIDTH])
    column = len(plain(before[indent:]))
    if column < _WIDTH:
        yield paint(_DIM, " " * (len(margin) - 2) + "| ") + " " * column + paint(_COLOURS[finding.level], "^")


def _meant(name: str, paint: _Paint) -> str:
    """What a rule is about: its title, why it matters, how to mend it."""
    rule = RULES[name]
    lines = [f"{paint(_BOLD, name)}  {rule.title[0].upper()}{rule.title[1:]}"]
    lines.append(_wrapped("Why:  ", rule.why))
    lines.append(_wrapped("Mend: ", rule.mend))
    if rule.topic:
        lines.append(_wrapped("More: ", f"fungible verify --explain {rule.topic}"))
    return "\n".join(lines)


def _wrapped(label: str, text: str) -> str:
    first = " " * 7 + label
    return textwrap.fill(
        text, _WIDTH, initial_indent=first, subsequent_indent=" " * len(first), break_long_words=False
    )


def _sum(result: Result, level: Level, paint: _Paint) -> Iterator[str]:
    new = [each for each in result.told if not each.known]
    known = len(result.told) - len(new)
    numbers = {each: sum(told.finding.level is each for told in new) for each in reversed(Level)}
    counts = ", ".join(f"{number} {each.value}" for each, number in numbers.items() if number)
    if new:
        said = paint(_COLOURS[max(each.finding.level for each in new)], f"{counted(len(new), 'finding')} ({counts})")
    else:
        said = paint(_GREEN, "nothing new found" if known else "nothing found")
    parts = [f"{said} in {counted(result.files, 'file')}"]
    if known:
        parts.append(f"{known} known by the baseline")
    if result.declared:
        parts.append(f"{len(result.declared)} declared local")
    if result.mended:
        parts.append(f"{len(result.mended)} of the baseline not found any more (--update-baseline takes them out)")
    if result.less_sure and level > Level.POSSIBLE:
        lower = Level.LIKELY if level is Level.CERTAIN else Level.POSSIBLE
        parts.append(f"{result.less_sure} less sure (--level {lower.value})")
    yield f"{'; '.join(parts)}."
    if new:
        yield f"`fungible check --explain {new[0].finding.rule}` shows an example, wrong and right."
        yield "`fungible verify` proves it: it runs the app's own requests and names the variable or the file."
    else:
        yield "What cannot be read, check does not tell: `fungible verify` tries it with the app's own requests."
