"""The result as workflow commands, which GitHub shows beside the lines of a change.

Escaped as its documentation has it ("Workflow commands for GitHub Actions"): `%` and line ends; in properties also
`:` and `,`.
"""

from __future__ import annotations

from fungible.check.catalogue import RULES
from fungible.check.check import Result
from fungible.check.finding import Level

_COMMANDS = {Level.CERTAIN: "error", Level.LIKELY: "warning", Level.POSSIBLE: "notice"}


def to_github(result: Result, prefix: str = "") -> str:
    """One line a finding that is not known; `prefix` is the app's folder as seen from the checkout's root."""
    lines = []
    for told in result.told:
        if told.known:
            continue
        finding, rule = told.finding, RULES[told.finding.rule]
        where = f"file={_property(prefix + finding.path)},line={finding.line},col={finding.column}"
        title = _property(f"{finding.rule}: {rule.title}")
        lines.append(
            f"::{_COMMANDS[finding.level]} {where},title={title}::{_data(f'{finding.message}. {rule.mend}')}"
        )
    return "".join(f"{line}\n" for line in lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
