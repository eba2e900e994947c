"""The result as JSON."""

from __future__ import annotations

from typing import Any

from fungible.app.mend import page
from fungible.check.catalogue import RULES
from fungible.check.check import Result, Told
from fungible.check.finding import Finding, Level


def to_json(result: Result) -> dict[str, Any]:
    """The document of `--format json`: `findings` as the contract has them, with more fields."""
    return {
        "findings": [_told(each) for each in result.told],
        "declared": [
            {**_finding(finding), "reason": by.reason, "declared_at": f"{by.path}:{by.line}"}
            for finding, by in result.declared
        ],
        "unread": [{"path": each.path, "line": each.line, "message": each.text} for each in result.unread],
        "notices": [str(each) for each in result.notices],
        "mended": [each._asdict() for each in result.mended],
        "counts": {
            **{level.value: sum(each.finding.level is level for each in result.told) for level in reversed(Level)},
            "known": sum(each.known for each in result.told),
            "declared": len(result.declared),
            "less_sure": result.less_sure,
            "files": result.files,
        },
    }


def _told(told: Told) -> dict[str, Any]:
    return {**_finding(told.finding), "more": told.more, "known": told.known}


def _finding(finding: Finding) -> dict[str, Any]:
    rule = RULES[finding.rule]
    return {
        "rule": finding.rule,
        "level": finding.level.value,
        "path": finding.path,
        "line": finding.line,
        "column": finding.column,
        "message": finding.message,
        "mend": rule.mend,
        "title": rule.title,
        "why": rule.why,
        "topic": rule.topic,
        "page": page(rule.topic) if rule.topic else None,
        "symbol": finding.symbol,
    }
