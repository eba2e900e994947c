"""The report for people: the verdict first, one short block a difference, then what was not seen. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import TypeAlias

from fungible.app.wording import plain as printable
from fungible.verify.compare import Deviation
from fungible.verify.findings import Difference, Findings
from fungible.verify.report.answers import answers, outcome, place_of
from fungible.verify.report.mend import advice, mend_class
from fungible.verify.report.redaction import Mask, redact, unmasked
from fungible.verify.report.words import (
    UNHELD,
    conditions,
    holder,
    how_held,
    isolation_limits,
    letters,
    noted,
    places,
    step_text,
    title,
)

Paint: TypeAlias = Callable[[str, str], str]

_MOST_ALSO = 4
_MOST_BLIND = 3
_WIDEST_REQUEST = 70
_WIDEST = 110


def unpainted(text: str, tone: str) -> str:
    """The paint that leaves text as it is."""
    return text


def to_text(findings: Findings, paint: Paint = unpainted, mask: Mask = unmasked) -> str:
    """What people read. `paint(text, tone)` colours (`red`, `green`, `yellow`, `dim`, `bold`); `mask` hides secrets
    (see `redaction.mask_of`). Control characters that an app answered with are escaped."""
    findings = redact(findings, mask)
    fresh = [each for each in findings.differences if not each.known]
    blocks = [[_headline(findings, paint)], [f"  {_safe(reason)}" for reason in findings.reasons]]
    blocks += [_block(findings, number, each, paint) for number, each in enumerate(fresh, start=1)]
    blocks.append([_known(each, paint) for each in findings.differences if each.known])
    blocks.append([*_remarks(findings, paint)])
    if findings.verdict != "not_judged" or findings.differences:
        blocks.append(_small_print(findings, paint))
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _safe(text: str) -> str:
    """Without control characters; the lines of a boot's output keep their breaks."""
    return "\n    ".join(printable(line) for line in text.splitlines())


def _headline(findings: Findings, paint: Paint) -> str:
    spent = f"({findings.worlds} worlds, {findings.executions} requests, {findings.seconds:.1f} s)"
    of = f" with {findings.source}" if findings.source else ""
    app = _safe(f"{findings.app}{of}")
    known = sum(each.known for each in findings.differences)
    if findings.verdict == "stateful":
        count = len(findings.differences)
        if known == count:
            what = "1 known difference" if count == 1 else f"{count} known differences"
            return f"{paint('no new difference', 'yellow')}: {app}: {what} in the baseline {spent}"
        what = "1 difference" if count == 1 else f"{count} differences"
        what += f", {known} of them known" if known else ""
        return f"{paint('stateful', 'red')}: {app} keeps state in its processes: {what} {spent}"
    if findings.verdict == "no_difference":
        return f"{paint('no difference found', 'green')} in these worlds: {app} {spent}"
    return f"{paint('not judged', 'yellow')}: {app} {spent}"


def _block(findings: Findings, number: int, difference: Difference, paint: Paint) -> list[str]:
    lines = [f"{number}. {paint(title(difference), 'bold')}"]
    requests = [_safe(text) for text in difference.requests]
    width = min(_WIDEST_REQUEST, max(map(len, requests), default=0))
    for text, letter in zip(requests, letters(difference), strict=False):
        where = "no process" if letter is None else f"process {letter}"
        lines.append(f"     {text:<{width}}  {paint(where, 'dim')}")
    lines += [paint(f"     ({text})", "dim") for text in conditions(difference)]
    lines += [f"   {_safe(line)}" for line in _answers(difference.deviation)]
    if difference.also:
        lines.append(f"   also seen at {_listed(findings, difference.also)}")
    culprit = difference.culprit
    held = holder(culprit)
    if held is not None and (culprit.object or culprit.file):
        sure = "" if culprit.confirmed else " (likely, not confirmed)"
        lines.append(f"   held by {paint(_safe(held), 'red')}{sure}")
    elif held is not None:
        unknown = "" if culprit.where in UNHELD else "; which object is not known"
        lines.append(f"   {how_held(culprit)} {_safe(held)}{unknown}")
    lines += [f"     {label} {_safe(place)}" for label, place in places(culprit)]
    lines.append(f"   how to mend it: {advice(mend_class(difference))}")
    return lines


def _answers(deviation: Deviation) -> list[str]:
    """Who answered what, below each other; a sentence where two values would not tell it."""
    told, where = answers(deviation), place_of(deviation)
    if told is None:
        return [outcome(deviation)]
    indent = "" if where is None else "  "
    return [*([where] if where else []), *(f"{indent}{who}: {what}" for who, what in told)]


def _listed(findings: Findings, steps: Sequence[int]) -> str:
    shown = ", ".join(_safe(step_text(findings, step)) for step in steps[:_MOST_ALSO])
    more = len(steps) - _MOST_ALSO
    return f"{shown} and {more} more" if more > 0 else shown


def _known(difference: Difference, paint: Paint) -> str:
    held = holder(difference.culprit)
    by = f", held by {held}" if held else ""
    at = difference.requests[-1] if difference.requests else ""
    return paint(f"  known: {difference.deviation.kind} at {_safe(at)}{_safe(by)}", "dim")


def _remarks(findings: Findings, paint: Paint) -> list[str]:
    lines = []
    for steps, place, said in noted(findings):
        where = f"{_listed(findings, steps)}, " if steps else ""
        lines.append(paint(f"  note: {where}{_safe(place)}: {_safe(said)}; this is no difference", "dim"))
    for each in findings.not_judged:
        lines.append(paint(f"  not judged: {_safe(each.endpoint)}: {_safe(each.reason)}", "yellow"))
    lines += [paint(f"  {_safe(warning)}", "yellow") for warning in findings.warnings]
    return lines


def _small_print(findings: Findings, paint: Paint) -> list[str]:
    coverage = findings.coverage
    lines = [
        f"  requests kept apart in every way: {coverage.pairs[0]} of {coverage.pairs[1]} pairs, "
        f"{coverage.triples[0]} of {coverage.triples[1]} triples; a pattern of four with a chance of "
        f"{coverage.four_way_odds:.0%}"
    ]
    if findings.sensitivity is not None:
        seen = findings.sensitivity
        blind = sorted({f"{each.endpoint} {each.place}" for each in seen.blind})
        more = f" and {len(blind) - _MOST_BLIND} more" if len(blind) > _MOST_BLIND else ""
        at = f"; blind at {', '.join(map(_safe, blind[:_MOST_BLIND]))}{more}" if blind else ""
        lines.append(f"  would have seen a change in {seen.flagged} of {seen.of} fields{at}")
    planted = ", ".join(findings.canaries) or "none"
    lines.append(f"  {findings.boots} processes started; planted leaks found: {planted}")
    lines += [f"  {limit}" for limit in isolation_limits(findings.isolation)]
    limits = textwrap.wrap(f"not covered: {'; '.join(findings.not_covered)}", _WIDEST, break_on_hyphens=False)
    lines += [paint(f"  {line}", "dim") for line in limits]
    return lines
