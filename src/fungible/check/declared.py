"""State that is meant to be in one process, declared in a comment: `# fungible: local(reason)`.

At the end of a line it is for that line; alone on a line it is for the line below, comments between them aside. The
line is the one that a finding names, or the one where the variable or the function is made. `local[FU101](reason)` is
for one rule, `local[FU101, FU102](reason)` for these. A reason is required, as the next reader will ask for it.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fungible.app.wording import nearest, plain, shown
from fungible.check.finding import Finding
from fungible.check.python.program import Program
from fungible.check.source import Source

_DECLARED = re.compile(r"(?:#|//|;|/\*)\s*fungible:\s*local\b(.*)")
_FORM = re.compile(r"\s*(?:\[([^\]]*)\])?\s*(?:\((.*)\))?")
_COMMENT_ALONE = re.compile(r"\s*(?:#|//|;|/\*)")


class Line(NamedTuple):
    """A line of a file; lines count from 1."""

    path: str
    number: int


@dataclass(frozen=True)
class Declaration:
    """One comment: where it stands, the line that it is for, the `rules` that it is for (empty: any), its reason."""

    path: str
    line: int
    covered: int
    rules: frozenset[str]
    reason: str

    def covers(self, finding: Finding, lines: Collection[Line]) -> bool:
        """Whether it is for this finding, which one of `lines` may declare."""
        fits = not self.rules or finding.rule in self.rules
        return fits and bool(self.reason) and Line(self.path, self.covered) in lines


def declarations(sources: Iterable[Source]) -> tuple[Declaration, ...]:
    """All declarations of these files, by path and line."""
    return tuple(each for source in sources if "fungible:" in source.text for each in _of(source))


def parted(
    findings: Iterable[Finding], declared: Sequence[Declaration], program: Program
) -> tuple[list[Finding], list[tuple[Finding, Declaration]]]:
    """The findings that no declaration is for, and those that one is for, with it."""
    left, covered = [], []
    for finding in findings:
        lines = _lines_of(finding, program) if declared else ()
        by = next((each for each in declared if each.covers(finding, lines)), None)
        if by is None:
            left.append(finding)
        else:
            covered.append((finding, by))
    return left, covered


def useless(
    declared: Iterable[Declaration], used: Collection[Declaration], rules: Collection[str]
) -> Iterator[tuple[str, int, str]]:
    """Declarations that do nothing: path, line, and a sentence that says why. `rules` are the ids of all rules."""
    for each in declared:
        if each in used:
            continue
        if unknown := sorted(each.rules - set(rules)):
            said = f"there is no rule {shown(unknown[0])}.{nearest(unknown[0], rules)}"
        elif not each.reason:
            said = "this declares nothing without a reason: `# fungible: local(why it may be in one process)`"
        else:
            said = "this declares nothing: no rule finds anything here any more; take it out"
        yield each.path, each.line, said


def _of(source: Source) -> Iterator[Declaration]:
    for number, column, comment in _comments(source):
        match = _DECLARED.match(comment)
        if match is None:
            continue
        form = _FORM.match(match[1])
        rules, reason = form.groups() if form else (None, None)
        named = frozenset(plain(each.strip()).upper() for each in (rules or "").split(",") if each.strip())
        alone = not source.lines[number - 1][:column].strip()
        covered = _below(source, number) if alone else number
        yield Declaration(source.path, number, covered, named, (reason or "").strip())


def _comments(source: Source) -> Iterator[tuple[int, int, str]]:
    """Line, column from 0 and text of what may be a declaration; of Python, only what is really a comment."""
    if source.path.endswith(".py"):
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO(source.text).readline))
        except (tokenize.TokenError, SyntaxError):
            return  # it is told as a file that is not read
        for token in tokens:
            if token.type == tokenize.COMMENT and (match := _DECLARED.search(token.string)):
                yield token.start[0], token.start[1] + match.start(), token.string[match.start() :]
        return
    for number, line in enumerate(source.lines, start=1):
        if match := _DECLARED.search(line):
            yield number, match.start(), line[match.start() :]


def _below(source: Source, number: int) -> int:
    """The first line below that is no comment."""
    while number < len(source.lines) and _COMMENT_ALONE.match(source.lines[number]):
        number += 1
    return number + 1


def _lines_of(finding: Finding, program: Program) -> Collection[Line]:
    """Where a finding may be declared: its own line, and where what its symbol names is made."""
    lines = {Line(finding.path, finding.line)}
    found = program.locate(finding.symbol) if finding.path.endswith(".py") else None
    if found is None:
        return lines
    module, name = found
    owner, _, attribute = name.rpartition(".")
    made: list[ast.AST | None] = [module.bindings.get(name)]
    if owner in module.classes:
        made.append(module.classes[owner].attributes.get(attribute))
    if name in module.by_name:
        function = module.by_name[name]
        made += [function.node, *function.decorators]
    return lines | {Line(module.path, node.lineno) for node in made if isinstance(node, ast.expr | ast.stmt)}
