"""The result as workflow commands of GitHub Actions, which it shows at the lines of a change.

Escaped as GitHub's own toolkit does it (actions/toolkit, core/src/command.ts): `%` and line ends; in properties `:`
and `,` as well.
"""

from __future__ import annotations

from collections.abc import Mapping

from fungible.check.catalogue import RULES
from fungible.check.check import Result
from fungible.check.finding import Level

_COMMANDS = {Level.CERTAIN: "error", Level.LIKELY: "warning", Level.POSSIBLE: "notice"}


def to_github(result: Result, prefix: str = "") -> str:
    """One line a finding that is not known, and one a notice; `prefix` is the app's folder as seen from the root of
    the checkout (`shop/`)."""
    lines = []
    for told in result.told:
        if told.known:
            continue
        finding, rule = told.finding, RULES[told.finding.rule]
        place = _place(prefix + finding.path, finding.line, finding.column)
        title = f"{finding.rule} ({finding.level.value}): {rule.title}"
        lines.append(_command(_COMMANDS[finding.level], f"{finding.message}. {rule.mend}", {**place, "title": title}))
    for notice in (*result.unread, *result.notices):
        about = {} if notice.path is None else _place(prefix + notice.path, notice.line)
        lines.append(_command("notice", notice.text, {**about, "title": "fungible check"}))
    return "".join(f"{line}\n" for line in lines)


def _place(path: str, line: int, column: int = 1) -> dict[str, str]:
    return {"file": path, "line": str(max(1, line)), "col": str(max(1, column))}


def _command(name: str, text: str, properties: Mapping[str, str]) -> str:
    given = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{name} {given}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
