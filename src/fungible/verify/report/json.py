"""The report for machines, as the contract has it: fields may be added, never renamed. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fungible.app.mend import page
from fungible.verify.findings import Difference, Findings
from fungible.verify.report.answers import outcome, sides
from fungible.verify.report.mend import mend_class
from fungible.verify.report.redaction import Mask, redact, unmasked
from fungible.verify.report.words import endpoint, isolation_limits, letters, plain

_MOST = 500
"""Of anything that an app can have many of: differences, notes, endpoints, blind places."""


def to_json(findings: Findings, mask: Mask = unmasked) -> dict[str, Any]:
    """The JSON document of one workload. `mask` hides secrets (see `redaction.mask_of`)."""
    findings = redact(findings, mask)
    coverage = findings.coverage
    sensitivity = findings.sensitivity
    return {
        "verdict": findings.verdict,
        "app": findings.app,
        "workload": findings.source,
        "requests": findings.steps,
        "worlds": findings.worlds,
        "executions": findings.executions,
        "boots": findings.boots,
        "seconds": findings.seconds,
        "mode": findings.mode,
        "coverage": {
            "pairs": list(coverage.pairs),
            "triples": list(coverage.triples),
            "four_way_odds": round(coverage.four_way_odds, 4),
        },
        "differences": [_difference(each) for each in findings.differences[:_MOST]],
        "isolation": findings.isolation,
        "isolation_limits": list(isolation_limits(findings.isolation)),
        "sensitivity": None
        if sensitivity is None
        else {
            "flagged": sensitivity.flagged,
            "of": sensitivity.of,
            "blind": [{"endpoint": each.endpoint, "place": each.place} for each in sensitivity.blind[:100]],
            "endpoints": [
                {"endpoint": name, "flagged": flagged, "of": of}
                for name, (flagged, of) in list((sensitivity.by_endpoint or {}).items())[:_MOST]
            ],
        },
        "noise": [{"request": note.step, "place": note.place, "what": note.text} for note in findings.notes[:_MOST]],
        "not_judged": [
            {"endpoint": each.endpoint, "requests": list(each.steps)[:_MOST], "reason": each.reason}
            for each in findings.not_judged[:_MOST]
        ],
        "reasons": list(findings.reasons),
        "warnings": list(findings.warnings),
        "canaries": list(findings.canaries),
        "not_covered": list(findings.not_covered),
    }


def _difference(difference: Difference) -> dict[str, Any]:
    deviation = difference.deviation
    name = mend_class(difference)
    return {
        "kind": deviation.kind,
        "request": difference.observer if deviation.store is None else None,
        "minimal": list(difference.case.kept),
        "placement": list(difference.case.slots),
        "processes": list(letters(difference)),
        "requests": list(difference.requests),
        "endpoint": endpoint(difference),
        "also": list(difference.also)[:_MOST],
        "world": difference.world,
        "place": deviation.place,
        "store": deviation.store,
        "expected": plain(deviation.expected),
        "got": plain(deviation.got),
        "expected_from": sides(deviation)[0],
        "got_from": sides(deviation)[1],
        "outcome": outcome(deviation),
        "confirmed": [difference.shown, difference.tried],
        "one_minimal": difference.minimal,
        "culprit": asdict(difference.culprit),
        "class": name,
        "mend": page(name),
        "known": difference.known,
    }
