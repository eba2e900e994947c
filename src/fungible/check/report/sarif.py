"""The result as SARIF 2.1.0 (OASIS standard), for code scanning. Pure."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

from fungible.app import sarif
from fungible.check.baseline import known as entry
from fungible.check.catalogue import RULES
from fungible.check.check import Notice, Result
from fungible.check.finding import Finding, Level, Rule
from fungible.check.report.explain import explained

_LEVELS = {Level.CERTAIN: "error", Level.LIKELY: "warning", Level.POSSIBLE: "note"}


def to_sarif(result: Result, prefix: str = "") -> dict[str, Any]:
    """A log with one run; `prefix` is the app's folder as seen from the root of the checkout (`shop/`)."""
    order = list(RULES)
    results = [_result(each.finding, order, prefix, known=each.known, more=each.more) for each in result.told]
    for finding, declaration in result.declared:
        suppressed = {"kind": "inSource", "justification": declaration.reason}
        results.append({**_result(finding, order, prefix), "suppressions": [suppressed]})
    run = sarif.run(
        "check",
        "",
        rules=[_rule(rule) for rule in RULES.values()],
        results=results,
        notices=[_notice(each, prefix) for each in (*result.unread, *result.notices)],
    )
    return sarif.log([run])


def _rule(rule: Rule) -> dict[str, Any]:
    title = rule.title[0].upper() + rule.title[1:]
    return {
        "id": rule.id,
        "shortDescription": {"text": f"{title}."},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"How to mend it: {rule.mend}", "markdown": explained(rule)},
        "properties": {"tags": ["stateless-processes", *([rule.topic] if rule.topic else [])]},
    }


def _notice(notice: Notice, prefix: str) -> dict[str, Any]:
    told: dict[str, Any] = {"level": "note", "message": {"text": notice.text}}
    if notice.path is not None:
        told["locations"] = [{"physicalLocation": _place(prefix + notice.path, notice.line)}]
    return told


def _place(path: str, line: int, column: int = 1) -> dict[str, Any]:
    return {
        "artifactLocation": {"uri": quote(path), "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": max(1, line), "startColumn": max(1, column)},
    }


def _result(finding: Finding, order: list[str], prefix: str, *, known: bool = False, more: int = 0) -> dict[str, Any]:
    place = _place(prefix + finding.path, finding.line, finding.column)
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": order.index(finding.rule),
        "level": _LEVELS[finding.level],
        "message": {"text": f"{finding.message}. {RULES[finding.rule].mend}"},
        "locations": [{"physicalLocation": place, "logicalLocations": [{"fullyQualifiedName": finding.symbol}]}],
        "partialFingerprints": {"fungibleSymbol/v1": _fingerprint(finding)},
        "properties": {"sure": finding.level.value},
    }
    if more:
        result["occurrenceCount"] = more + 1
    if known:
        result["baselineState"] = "unchanged"
        result["suppressions"] = [{"kind": "external", "justification": "Known in the baseline."}]
    return result


def _fingerprint(finding: Finding) -> str:
    return hashlib.sha256("\0".join(entry(finding)).encode()).hexdigest()[:32]
