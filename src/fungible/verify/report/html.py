"""The report as one HTML file that needs nothing else: no script, no font, no request. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fungible.app.mend import CLASSES
from fungible.verify.findings import Difference, Findings
from fungible.verify.report.answers import outcome, sides
from fungible.verify.report.mend import advice, mend_class
from fungible.verify.report.picture import COLOURS, MOST_COLUMNS, MOST_ROWS, escaped, picture
from fungible.verify.report.redaction import Mask, redact, unmasked
from fungible.verify.report.style import CSS
from fungible.verify.report.words import (
    conditions,
    holder,
    how_held,
    isolation_limits,
    letters,
    noted,
    places,
    plain,
    step_text,
    title,
)

_MOST = 200
_VERDICTS = {"stateful": "stateful", "no_difference": "no difference found", "not_judged": "not judged"}


def to_html(found: Sequence[Findings], mask: Mask = unmasked) -> str:
    """One page for all workloads. `mask` hides secrets (see `redaction.mask_of`)."""
    shown = [redact(each, mask) for each in found]
    name = ", ".join(dict.fromkeys(each.app for each in shown))
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>fungible verify: {escaped(name)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
    )
    return head + "\n<hr>\n".join(_page(each) for each in shown) + "\n</main>\n</body>\n</html>\n"


def _page(findings: Findings) -> str:
    return "\n".join(
        part
        for part in (
            _verdict(findings),
            _differences(findings),
            _worlds(findings),
            _seen(findings),
            _sensitivity(findings),
            _remarks(findings),
            _limits(findings),
        )
        if part
    )


def _verdict(findings: Findings) -> str:
    known = sum(each.known for each in findings.differences)
    count = len(findings.differences)
    if findings.verdict == "stateful":
        said = f"{findings.app} keeps state in its processes"
        more = f"{_number(count, 'difference')}" + (f", {known} known in the baseline" if known else "")
    elif findings.verdict == "no_difference":
        said, more = f"{findings.app}: no difference found in these worlds", ""
    else:
        said, more = f"{findings.app} was not judged", ""
    facts = [
        more,
        f"workload {findings.source}" if findings.source else "",
        _number(findings.steps, "step"),
        _number(findings.worlds, "world"),
        f"{findings.executions} requests sent",
        _number(findings.boots, "process", "processes") + " started",
        f"{findings.seconds:.1f} s",
    ]
    reasons = "".join(f"<p>{_lines(reason)}</p>" for reason in findings.reasons)
    return (
        f'<header>\n<span class="verdict {findings.verdict}">{_VERDICTS[findings.verdict]}</span>\n'
        f'<h1>{escaped(said)}</h1>\n<p class="soft">{escaped(" · ".join(filter(None, facts)))}</p>\n'
        f"{reasons}</header>"
    )


def _number(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _lines(text: str) -> str:
    return "<br>".join(escaped(line) for line in text.splitlines())


def _differences(findings: Findings) -> str:
    if not findings.differences:
        return ""
    blocks = [
        _difference(findings, number, each) for number, each in enumerate(findings.differences[:_MOST], start=1)
    ]
    return "<section>\n<h2>Differences</h2>\n" + "\n".join(blocks) + "\n</section>"


def _difference(findings: Findings, number: int, difference: Difference) -> str:
    name = mend_class(difference)
    known = ' <span class="verdict known small">known</span>' if difference.known else ""
    expected, got = difference.deviation.expected, difference.deviation.got
    expected_from, got_from = sides(difference.deviation)
    both = "".join(
        f"<div><h4>{side}</h4><pre>{_value(value, other)}</pre></div>"
        for side, value, other in (
            (f"Expected ({expected_from})", expected, got),
            (f"Got ({got_from})", got, expected),
        )
    )
    return (
        f"<article>\n<h3>{number}. {escaped(title(difference))}{known}</h3>\n{_story(difference)}\n"
        f"<p>{_sentence(outcome(difference.deviation))}.</p>\n"
        f'<div class="sides">{both}</div>\n{_culprit(findings, difference)}\n'
        f'<p class="small">{escaped(CLASSES[name][0].upper() + CLASSES[name][1:])}. How to mend it: '
        f"<code>{advice(name)}</code></p>\n</article>"
    )


def _story(difference: Difference) -> str:
    """The requests from top to bottom, a column for each process."""
    served = letters(difference)
    columns = list(dict.fromkeys(letter for letter in served if letter is not None))
    heads = "".join(
        f'<th class="on" scope="col"><span class="long">process </span>{letter}</th>' for letter in columns
    )
    rows = []
    for text, own in zip(difference.requests, served, strict=False):
        cells = "".join(
            f'<td class="on"><span class="dot p{index % COLOURS}">{letter}</span></td>'
            if letter == own
            else '<td class="on"></td>'
            for index, letter in enumerate(columns)
        )
        rows.append(f'<tr><td class="request">{escaped(text)}</td>{cells}</tr>')
    body = f'<table class="story"><tr><th scope="col">Request</th>{heads}</tr>{"".join(rows)}</table>'
    return body + "".join(f'<p class="small soft">{escaped(text)}.</p>' for text in conditions(difference))


def _sentence(text: str) -> str:
    """Escaped, what stands between backticks as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escaped(text))


def _value(value: Any, other: Any) -> str:
    """A value to read, with what the other side has not marked."""
    if value is None:
        return '<span class="soft">nothing</span>'
    lines, others = _value_lines(value), _value_lines(other)
    if len(lines) == len(others) == 1:
        return _marked(lines[0], others[0])
    return "\n".join(escaped(line) if line in others else f"<mark>{escaped(line)}</mark>" for line in lines)


def _marked(text: str, other: str) -> str:
    """One line, marked between what both sides begin and end with."""
    start = _alike(text, other)
    end = _alike(text[start:][::-1], other[start:][::-1])
    middle = text[start : len(text) - end]
    mark = f"<mark>{escaped(middle)}</mark>" if middle else ""
    return escaped(text[:start]) + mark + escaped(text[len(text) - end :])


def _alike(one: str, two: str) -> int:
    """How many characters two texts begin with in common."""
    shorter = min(len(one), len(two))
    return next((index for index in range(shorter) if one[index] != two[index]), shorter)


def _value_lines(value: Any) -> list[str]:
    if isinstance(value, Mapping) and "length" in value and {*value} <= {"length", "missing", "extra"}:
        among = [*(value.get("missing") or ()), *(value.get("extra") or ())]
        length = value["length"]
        said = _number(length, "item") if isinstance(length, int) else f"{' to '.join(map(str, length))} items"
        return [f"{said}, among them" if among else said, *(line for each in among for line in _value_lines(each))]
    bounded = plain(value)
    if isinstance(bounded, str):
        return bounded.splitlines() or [""]
    return json.dumps(bounded, indent=1, ensure_ascii=False).splitlines()


def _culprit(findings: Findings, difference: Difference) -> str:
    culprit = difference.culprit
    held = holder(culprit)
    rows: list[tuple[str, str]] = []
    if held is not None:
        named = bool(culprit.object or culprit.file)
        sure = "confirmed: with it put back, the answer is right" if culprit.confirmed else "likely, not confirmed"
        rows.append((how_held(culprit), _code(held) + (f" <span class=soft>({sure})</span>" * named)))
    rows += [(label, _code(place)) for label, place in places(culprit)]
    if difference.also:
        also = ", ".join(_code(step_text(findings, step)) for step in difference.also[:10])
        more = len(difference.also) - 10
        rows.append(("also seen at", also + (f" and {more} more" if more > 0 else "")))
    minimal = "" if difference.minimal else "; it may not be the smallest case"
    found = f"in the {difference.world} world; {difference.shown} of {difference.tried} repeats show it, no warm run"
    rows.append(("seen first", escaped(found + minimal)))
    return _list(rows)


def _code(text: str) -> str:
    return f"<code>{escaped(text)}</code>"


def _list(rows: Iterable[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{escaped(name)}</dt><dd>{value}</dd>" for name, value in rows) + "</dl>"


def _worlds(findings: Findings) -> str:
    if not findings.grid:
        return ""
    columns = max(len(row.placement) for row in findings.grid)
    steps = [step_text(findings, step) for step in range(min(columns, MOST_COLUMNS))]
    cut = ""
    if len(findings.grid) > MOST_ROWS or columns > MOST_COLUMNS:
        cut = f" The first {MOST_ROWS} worlds and {MOST_COLUMNS} steps are drawn."
    return (
        "<section>\n<h2>Worlds</h2>\n"
        '<p class="soft">A row is a world, a column a step of the workload; letter and colour say which process '
        f"served it. An outlined cell answered otherwise than the warm world.{cut}</p>\n"
        f'<div class="scroll" tabindex="0">{picture(findings.grid, steps)}</div>\n</section>'
    )


def _seen(findings: Findings) -> str:
    if findings.verdict == "not_judged" and not findings.differences:
        return ""
    coverage = findings.coverage
    rows = [
        ("Pairs of requests, together and apart", *coverage.pairs),
        ("Triples of requests, in all five ways", *coverage.triples),
    ]
    table = "".join(_meter(name, part, of) for name, part, of in rows)
    chance = f"{coverage.four_way_odds:.0%}"
    planted = ", ".join(findings.canaries) or "none"
    return (
        f'<section>\n<h2>Coverage</h2>\n<table class="wide">{table}</table>\n'
        f'<p class="soft">Chance that a pattern of four requests occurred: {chance}. '
        f"Planted leaks found: {escaped(planted)}.</p>\n</section>"
    )


def _meter(name: str, part: int, of: int) -> str:
    share = 100 * part / of if of else 100
    return (
        f'<tr><td>{escaped(name)}</td><td class="number">{part} of {of}</td>'
        f'<td><span class="bar"><span style="width:{share:.1f}%"></span></span></td></tr>'
    )


def _sensitivity(findings: Findings) -> str:
    seen = findings.sensitivity
    if seen is None or not seen.of:
        return ""
    rows = "".join(_meter(name, *counts) for name, counts in list((seen.by_endpoint or {}).items())[:_MOST])
    table = f'<table class="wide">{rows}</table>' if rows else ""
    blind = sorted({(each.endpoint, each.place) for each in seen.blind})[:_MOST]
    listed = "".join(f"<li>{_code(endpoint)} {escaped(place)}</li>" for endpoint, place in blind)
    told = f"<details><summary>Blind at {_number(len(blind), 'place')}</summary><ul>{listed}</ul></details>"
    return (
        "<section>\n<h2>How well could it see?</h2>\n"
        f"<p>A change would have been seen in {seen.flagged} of {seen.of} fields of the answers.</p>\n{table}\n"
        f"{told if blind else ''}\n</section>"
    )


def _remarks(findings: Findings) -> str:
    parts = []
    noise = [
        ", ".join(
            [*(_code(step_text(findings, step)) for step in steps[:_MOST]), f"{escaped(place)}: {escaped(said)}"]
        )
        for steps, place, said in noted(findings)[:_MOST]
    ]
    if noise:
        parts.append(_bullets("Noise", "What varies and is no difference.", noise))
    unjudged = [f"{_code(each.endpoint)}: {escaped(each.reason)}" for each in findings.not_judged[:_MOST]]
    if unjudged:
        parts.append(_bullets("Not judged", "Endpoints whose answers vary too much to be compared.", unjudged))
    if findings.warnings:
        parts.append(_bullets("Advice", "", [escaped(warning) for warning in findings.warnings]))
    return "\n".join(parts)


def _bullets(head: str, said: str, items: Sequence[str]) -> str:
    told = f'<p class="soft">{escaped(said)}</p>' if said else ""
    return (
        f"<section>\n<h2>{head}</h2>\n{told}<ul>"
        + "".join(f"<li>{item}</li>" for item in items)
        + "</ul>\n</section>"
    )


def _limits(findings: Findings) -> str:
    items = [escaped(each) for each in (*isolation_limits(findings.isolation), *findings.not_covered)]
    return _bullets("Limits", "What these worlds cannot show.", items)
