"""The result as SARIF 2.1.0 (OASIS standard), for code scanning. Pure."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

from fungible import __version__
from fungible.check.baseline import known
from fungible.check.catalogue import RULES
from fungible.check.check import Result
from fungible.check.finding import Finding, Level, Rule
from fungible.check.report.explain import explained

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Level.CERTAIN: "error", Level.LIKELY: "warning", Level.POSSIBLE: "note"}


def to_sarif(result: Result, prefix: str = "") -> dict[str, Any]:
    """A log with one run; `prefix` is the app's folder as seen from the root of the checkout (`shop/`)."""
    order = list(RULES)
    results = [_result(each.finding, order, prefix, known=each.known) for each in result.told]
    for finding, declaration in result.declared:
        suppressed = {"kind": "inSource", "justification": declaration.reason}
        results.append({**_result(finding, order, prefix), "suppressions": [suppressed]})
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "fungible check",
                        "semanticVersion": "0.0.0" if "dev" in __version__ else __version__,
                        "version": __version__,
                        "rules": [_rule(rule) for rule in RULES.values()],
                    }
                },
                "automationDetails": {"id": "fungible-check/"},
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "The root of the checkout."}}},
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            {"level": "note", "message": {"text": each}} for each in result.notices
                        ],
                    }
                ],
                "results": results,
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    title = rule.title[0].upper() + rule.title[1:]
    return {
        "id": rule.id,
        "shortDescription": {"text": f"{title}."},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule.mend, "markdown": explained(rule)},
        "properties": {"tags": ["stateless-processes", *([rule.topic] if rule.topic else [])]},
    }


def _result(finding: Finding, order: list[str], prefix: str, known: bool = False) -> dict[str, Any]:
    location = {
        "artifactLocation": {"uri": quote(prefix + finding.path), "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": finding.line, "startColumn": finding.column},
    }
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": order.index(finding.rule),
        "level": _LEVELS[finding.level],
        "message": {"text": f"{finding.message}. {RULES[finding.rule].mend}"},
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"fungibleSymbol/v1": _fingerprint(finding)},
    }
    if known:
        result["suppressions"] = [{"kind": "external", "justification": "It is in the baseline."}]
    return result


def _fingerprint(finding: Finding) -> str:
    return hashlib.sha256("\0".join(known(finding)).encode()).hexdigest()[:32]
