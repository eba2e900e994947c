"""The report: for people as text, for machines as JSON. Pure functions of the findings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fungible.verify.findings import Difference, Findings

_KIND_WORDS = {
    "lost": "what an earlier request left is gone",
    "stale": "an old value is shown",
    "leaked": "another client's value is shown",
    "diverged": "the answer is another one",
    "store": "a store has another content",
}


def to_json(findings: Findings) -> dict[str, Any]:
    """The JSON document of the contract; fields may be added, never renamed."""
    coverage = findings.coverage
    sensitivity = findings.sensitivity
    return {
        "verdict": findings.verdict,
        "app": findings.app,
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
        "differences": [_difference(each) for each in findings.differences],
        "isolation": findings.isolation,
        "sensitivity": None
        if sensitivity is None
        else {
            "flagged": sensitivity.flagged,
            "of": sensitivity.of,
            "blind": [{"endpoint": each.endpoint, "place": each.place} for each in sensitivity.blind[:100]],
        },
        "noise": [{"request": note.step, "place": note.place, "what": note.text} for note in findings.notes],
        "not_judged": [
            {"endpoint": each.endpoint, "requests": list(each.steps), "reason": each.reason}
            for each in findings.not_judged
        ],
        "reasons": list(findings.reasons),
        "warnings": list(findings.warnings),
        "canaries": list(findings.canaries),
        "not_covered": list(findings.not_covered),
    }


def _difference(difference: Difference) -> dict[str, Any]:
    deviation, culprit = difference.deviation, difference.culprit
    return {
        "kind": deviation.kind,
        "request": difference.observer if deviation.store is None else None,
        "minimal": list(difference.case.kept),
        "placement": list(difference.case.slots),
        "requests": list(difference.requests),
        "also": list(difference.also),
        "world": difference.world,
        "place": deviation.place,
        "store": deviation.store,
        "expected": _plain(deviation.expected),
        "got": _plain(deviation.got),
        "confirmed": [difference.shown, difference.tried],
        "one_minimal": difference.minimal,
        "culprit": {
            "object": culprit.object,
            "file": culprit.file,
            "declared_at": culprit.declared_at,
            "written_at": culprit.written_at,
            "called_from": culprit.called_from,
            "confirmed": culprit.confirmed,
            "where": culprit.where,
        },
    }


def _plain(value: Any) -> Any:
    """JSON-ready and bounded: a whole page does not belong into a report."""
    if isinstance(value, str):
        return value if len(value) <= 500 else value[:500] + "…"
    if isinstance(value, dict):
        return {str(key)[:100]: _plain(each) for key, each in list(value.items())[:50]}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in list(value)[:50]]
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)[:500]


def to_text(findings: Findings, paint: Callable[[str, str], str] = lambda text, _: text) -> str:
    """What people read: the verdict first, then one short block a difference, then what was not seen.

    `paint(text, tone)` colours (`red`, `green`, `yellow`, `dim`, `bold`).
    """
    lines = [_headline(findings, paint), ""]
    for number, difference in enumerate(findings.differences, start=1):
        lines += [*_block(number, difference, paint), ""]
    for reason in findings.reasons:
        lines.append(f"  {reason}")
    for note in findings.notes:
        where = "" if note.step is None else f"request #{note.step}, "
        lines.append(paint(f"  note: {where}{note.place}: {note.text}; no difference", "dim"))
    for unjudged in findings.not_judged:
        lines.append(paint(f"  not judged: {unjudged.endpoint}: {unjudged.reason}", "yellow"))
    for warning in findings.warnings:
        lines.append(paint(f"  {warning}", "yellow"))
    if findings.verdict != "not_judged":
        lines += ["", *_small_print(findings, paint)]
    return "\n".join(_squeeze(lines)) + "\n"


def _squeeze(lines: list[str]) -> list[str]:
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    while kept and not kept[-1]:
        kept.pop()
    return kept


def _headline(findings: Findings, paint: Callable[[str, str], str]) -> str:
    spent = f"{findings.worlds} worlds, {findings.executions} requests, {findings.seconds:.1f} s"
    if findings.verdict == "stateful":
        count = len(findings.differences)
        what = "1 difference" if count == 1 else f"{count} differences"
        return f"{paint('stateful', 'red')}: {findings.app} keeps state in its processes: {what} ({spent})"
    if findings.verdict == "no_difference":
        return f"{paint('no difference found', 'green')} in these worlds: {findings.app} ({spent})"
    return f"{paint('not judged', 'yellow')}: {findings.app} ({spent})"


def _block(number: int, difference: Difference, paint: Callable[[str, str], str]) -> list[str]:
    deviation, culprit = difference.deviation, difference.culprit
    slots = dict(zip(difference.case.kept, difference.case.slots, strict=True))
    home = difference.case.slots[-1]
    lines = [f"{number}. {paint(_title(difference), 'bold')}"]
    for step, text in zip(difference.case.kept, difference.requests, strict=True):
        where = "process B" if slots[step] == home else "process A"
        if slots[step] < 0:
            where = "anywhere"
        lines.append(f"     {text:<60} {paint(where, 'dim')}")
    lines.append(f"     {deviation.place}: expected {_short(deviation.expected)}, got {_short(deviation.got)}")
    if difference.also:
        also = ", ".join(f"#{step}" for step in difference.also)
        lines.append(f"     also seen at {also}")
    if culprit.object or culprit.file:
        sure = "" if culprit.confirmed else " (not confirmed)"
        lines.append(f"     held by {paint(str(culprit.object or culprit.file), 'red')}{sure}")
    elif culprit.where:
        lines.append(f"     held in {culprit.where}")
    for label, place in (("written at", culprit.written_at), ("called from", culprit.called_from),
                         ("declared at", culprit.declared_at)):  # fmt: skip
        if place:
            lines.append(f"       {label} {place}")
    return lines


def _title(difference: Difference) -> str:
    return f"{difference.deviation.kind}: {_KIND_WORDS[difference.deviation.kind]}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(_plain(value))
    return text if len(text) <= 120 else text[:117] + "..."


def _small_print(findings: Findings, paint: Callable[[str, str], str]) -> list[str]:
    coverage = findings.coverage
    lines = [
        f"  placements: {coverage.pairs[0]} of {coverage.pairs[1]} pairs and {coverage.triples[0]} of "
        f"{coverage.triples[1]} triples of requests split in every way; {coverage.four_way_odds:.0%} odds for a "
        "pattern of four",
        f"  isolation {findings.isolation}; {findings.boots} processes started; planted leaks found: "
        f"{', '.join(findings.canaries)}",
    ]
    if findings.sensitivity is not None:
        seen = findings.sensitivity
        blind = sorted({f"{each.endpoint} {each.place}" for each in seen.blind})[:3]
        at = f"; blind at {', '.join(blind)}" if blind else ""
        lines.append(f"  would have seen a change in {seen.flagged} of {seen.of} fields{at}")
    lines.append(paint(f"  not covered: {'; '.join(findings.not_covered)}", "dim"))
    return lines
