"""State that is meant to be in one process, declared where it is: `# fungible: local(reason)`.

In any language that has `#` or `//` comments, on the line of a finding or on the line above it.
`local[FU101](reason)` is for one rule. A reason is required, as the next reader will ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fungible.check.finding import Finding
from fungible.check.source import Source

_DECLARED = re.compile(r"(?:#|//)\s*fungible:\s*local(?:\[\s*(FU\d{3}(?:\s*,\s*FU\d{3})*)\s*\])?\s*(?:\((.*)\))?")


@dataclass(frozen=True)
class Declaration:
    """One comment. `rules` is empty for any rule."""

    path: str
    line: int
    rules: frozenset[str]
    reason: str

    def covers(self, finding: Finding) -> bool:
        """Whether the comment is for this finding."""
        here = finding.path == self.path and finding.line in (self.line, self.line + 1)
        return here and bool(self.reason) and (not self.rules or finding.rule in self.rules)


def declarations(sources: Iterable[Source]) -> tuple[Declaration, ...]:
    """All declarations of these files, by path and line."""
    found = []
    for source in sources:
        if "fungible:" not in source.text:
            continue
        for number, line in enumerate(source.lines, start=1):
            if match := _DECLARED.search(line):
                rules = frozenset(re.findall(r"FU\d{3}", match[1] or ""))
                found.append(Declaration(source.path, number, rules, (match[2] or "").strip()))
    return tuple(found)


def parted(
    findings: Sequence[Finding], declared: Sequence[Declaration]
) -> tuple[list[Finding], list[tuple[Finding, Declaration]], list[str]]:
    """The findings that no declaration covers, those that one does, and sentences about useless declarations."""
    by_path: Mapping[str, list[Declaration]] = {
        path: [each for each in declared if each.path == path] for path in {each.path for each in declared}
    }
    left, covered, used = [], [], set()
    for finding in findings:
        by = next((each for each in by_path.get(finding.path, []) if each.covers(finding)), None)
        if by is None:
            left.append(finding)
        else:
            covered.append((finding, by))
            used.add(by)
    notices = [
        f"{each.path}:{each.line}: "
        + ("nothing is found here any more; take the declaration out" if each.reason else "give a reason: local(why)")
        for each in declared
        if each not in used
    ]
    return left, covered, notices
