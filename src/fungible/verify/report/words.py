"""What every form of the report says in the same words: a difference, its requests, its processes. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fungible.sandbox.probe import NOT_ISOLATED
from fungible.verify.blame.culprit import Culprit
from fungible.verify.compare import Deviation
from fungible.verify.findings import Difference, Findings
from fungible.verify.report.redaction import HIDDEN
from fungible.verify.workload.steps import step_text as workload_step

KINDS: Mapping[str, str] = {
    "lost": "what an earlier request left is gone",
    "stale": "an old value is shown",
    "leaked": "another client's value is shown",
    "diverged": "the answer is another one",
    "store": "a store has another content",
}
_FAULTS = {
    "timeout": "no answer in time",
    "refused": "the connection was refused",
    "reset": "the connection was closed without an answer",
    "cut": "the answer was cut off",
    "boot": "the process did not come up",
    "": "a complete answer",
}
_CANONICAL = {"etag": "ETag", "www-authenticate": "WWW-Authenticate", "x-csrf-token": "X-CSRF-Token"}
_NUMBER = re.compile(r"#(\d+) ")
_MEMBER = re.compile(
    r"[0-9]+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|\$\{[^}]*\}|(?=[^/]*[0-9])[A-Za-z0-9_-]{16,}|.*\$\{.*\}.*|\*\*\*"
)
LONGEST = 120
_LIST = 3


def title(difference: Difference) -> str:
    """`lost: what an earlier request left is gone`."""
    return f"{difference.deviation.kind}: {KINDS[difference.deviation.kind]}"


def letters(difference: Difference) -> tuple[str | None, ...]:
    """The process that served each request of the case: `A` served first; None where no process is placed."""
    order: dict[int, str] = {}
    for slot in difference.case.slots:
        if slot >= 0 and slot not in order:
            order[slot] = chr(65 + len(order)) if len(order) < 26 else str(len(order) + 1)
    return tuple(order.get(slot) for slot in difference.case.slots)


def conditions(difference: Difference) -> tuple[str, ...]:
    """What the processes of the case do not show by themselves."""
    case = difference.case
    if case.end == "KILL":
        return ("each process is killed once it has answered and computes no more",)
    if case.renewed:
        return ("worker processes are replaced after every step",)
    if not case.late and len(set(letters(difference)) - {None}) > 1:
        return ("all processes were started before the first request",)
    return ()


def route(request: str) -> str:
    """`GET /items/{}` of `#2 GET /items/7?page=1`: method and path, with `{}` for what names one of many."""
    text = _NUMBER.sub("", request, count=1).partition("?")[0]
    method, space, path = text.partition(" ")
    if not space or not path.startswith(("/", "$", "http")):
        return text
    return f"{method} " + "/".join("{}" if _MEMBER.fullmatch(part) else part for part in path.split("/"))


def endpoint(difference: Difference) -> str:
    """Where a difference shows: a route, or a store."""
    if difference.deviation.store is not None:
        return f"store {difference.deviation.store}"
    return route(difference.requests[-1]) if difference.requests else "?"


def step_text(findings: Findings, step: int) -> str:
    """`#2 GET /items` where the workload is known, else `#2`."""
    return f"#{step}" if findings.workload is None else workload_step(findings.workload, step)


ONE, APART = "one process for all", "processes as listed"
"""Who gave the two answers: the warm worlds, and the world that the case makes."""


def sides(deviation: Deviation) -> tuple[str, str]:
    """Who gave what is expected, and who gave what came instead."""
    return (APART, ONE) if deviation.outdated else (ONE, APART)


def outcome(deviation: Deviation) -> str:
    """What was expected and what came, as one sentence without a full stop."""
    if deviation.outdated:
        return f"{_outcome(deviation)} from {ONE}: it keeps what it showed before, apart they show what is stored"
    return _outcome(deviation)


def _outcome(deviation: Deviation) -> str:
    place, expected, got = deviation.place, deviation.expected, deviation.got
    if deviation.store is not None:
        return _of_place(f"{deviation.store}, {place}" if place != deviation.store else place, deviation)
    if place == "status":
        return f"{_status(got)} instead of {_status(expected)}"
    if place == "fault":
        return f"{_FAULTS.get(str(got or ''), str(got))} instead of {_FAULTS.get(str(expected or ''), str(expected))}"
    if place.startswith("header "):
        name = place[7:]
        title = _CANONICAL.get(name, name.title())
        if got is None:
            return f"the header {title} is missing ({_value(expected)} expected)"
        return _of_place(f"the header {title}", deviation)
    if place.startswith("cookie "):
        name, _, part = place[7:].partition(" ")
        if got is None:
            return f"the cookie {name} is not set" if part in ("", "value") else f"the cookie {name} has no {part}"
        if expected is None:
            return f"the cookie {name} is set, which was not expected"
        return _of_place(f"the cookie {name}" + (f", {part}" if part and part != "value" else ""), deviation)
    return _of_place(place, deviation)


def _of_place(place: str, deviation: Deviation) -> str:
    expected, got = deviation.expected, deviation.got
    if deviation.order_only:
        return f"{place}: the same parts in another order"
    if expected == got and _mentions(expected, HIDDEN):
        return f"{place}: another value than expected (not shown, it may be a secret)"
    if isinstance(expected, Mapping) and "length" in expected:
        return f"{place}: {_lengths(expected, got)}"
    if got is None:
        return f"{place}: {_value(expected)} is missing"
    if expected is None:
        return f"{place}: {_value(got)} was not expected"
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        return f"{place}: {_fields(expected, got)}"
    if deviation.relation == "ordered":
        return f"{place}: {expected} expected, got {_value(got)}"
    if isinstance(expected, str) and isinstance(got, str):
        expected, got = _window(expected, got)
    return f"{place}: {_value(expected)} expected, got {_value(got)}"


def _lengths(expected: Mapping[str, Any], got: Any) -> str:
    wanted = expected["length"]
    if isinstance(wanted, list | tuple) and len(wanted) == 2:
        said = [f"{wanted[0]} to {wanted[1]} items expected"]
    else:
        said = [f"{_count(wanted)} expected"]
    if isinstance(got, Mapping) and "length" in got:
        if not expected.get("missing") and not got.get("extra"):
            said[0] += f", {got['length']} came"
        parts = [f"{_listed(expected['missing'])} missing" if expected.get("missing") else ""]
        parts.append(f"{_listed(got['extra'])} extra" if got.get("extra") else "")
        return ", ".join([*said, *filter(None, parts)])
    if isinstance(got, list | tuple):
        said.append(f"{len(got)} came")
    else:
        said.append(f"got {_value(got)}")
    return ", ".join(said)


def _count(number: Any) -> str:
    return "1 item" if number == 1 else f"{number} items"


def _listed(values: Sequence[Any] | Any) -> str:
    if not isinstance(values, list | tuple):
        values = [values]
    said = ", ".join(_value(each, LONGEST // 2) for each in values[:_LIST])
    more = f" and {len(values) - _LIST} more" if len(values) > _LIST else ""
    return f"{said}{more} {'is' if len(values) == 1 else 'are'}"


def _fields(expected: Mapping[str, Any], got: Mapping[str, Any]) -> str:
    said = []
    for key in sorted({*expected, *got}, key=str):
        if key not in got:
            said.append(f"{key} is missing")
        elif key not in expected:
            said.append(f"{key} was not expected")
        elif expected[key] != got[key]:
            said.append(f"{key}: {_value(expected[key], 50)} expected, got {_value(got[key], 50)}")
    more = f"; {len(said) - _LIST} more" if len(said) > _LIST else ""
    return "; ".join(said[:_LIST]) + more if said else "another value"


def _window(expected: str, got: str) -> tuple[str, str]:
    """Two long texts from a little before the first character in which they differ."""
    if max(len(expected), len(got)) <= LONGEST:
        return expected, got
    at = next(
        (i for i, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b), min(len(expected), len(got))
    )
    start = max(0, at - 20)
    cut = "…" if start else ""

    def shown(text: str) -> str:
        return cut + text[start : start + 60] + ("…" if len(text) > start + 60 else "")

    return shown(expected), shown(got)


def _value(value: Any, most: int = LONGEST) -> str:
    if value is None:
        return "nothing"
    if value == "":
        return "an empty text"
    if value == [] or value == ():
        return "an empty list"
    if value == {}:
        return "an empty object"
    text = value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
    text = " ".join(text.split()) or "white space"
    return f"`{text if len(text) <= most else text[: most - 1] + '…'}`"


def _mentions(value: Any, text: str) -> bool:
    if isinstance(value, Mapping):
        return any(_mentions(each, text) for each in value.values())
    if isinstance(value, list | tuple):
        return any(_mentions(each, text) for each in value)
    return isinstance(value, str) and text in value


def _status(value: Any) -> str:
    text = str(value)
    if value is None or text in ("0", ""):
        return "no answer"
    try:
        return f"{text} {HTTPStatus(int(text)).phrase}"
    except ValueError:
        return text


def plain(value: Any) -> Any:
    """JSON-ready and bounded: a whole page does not belong into a report."""
    return _bounded(value, 6)


def _bounded(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= 500 else value[:500] + "…"
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        return {str(key)[:100]: _bounded(each, depth - 1) for key, each in list(value.items())[:50]}
    if isinstance(value, list | tuple | set | frozenset):
        return [_bounded(each, depth - 1) for each in list(value)[:50]]
    return str(value)[:500]


def holder(culprit: Culprit) -> str | None:
    """What held the state: `shop.CARTS['ann']`, `the file uploads/a.txt`, `memory`; None where nothing is known."""
    if culprit.object:
        return culprit.object
    if culprit.file:
        return f"the file {culprit.file}"
    if culprit.where == "start":
        return "what every process does when it starts"
    if culprit.where == "identity":
        return "the process's own identity (host name, folder, port, hash seed)"
    return {"file": "a file", None: None}.get(culprit.where, culprit.where)


def how_held(culprit: Culprit) -> str:
    """What goes before `holder`: `held by` what is named, else `held in`; nothing holds what a start makes."""
    if culprit.object or culprit.file:
        return "held by"
    return "made by" if culprit.where == "start" else "held in"


def places(culprit: Culprit) -> tuple[tuple[str, str], ...]:
    """The lines to look at, each once: (`written at`, `shop/views.py:41`) first."""
    found: dict[str, str] = {}
    for label, place in (
        ("written at", culprit.written_at),
        ("called from", culprit.called_from),
        ("declared at", culprit.declared_at),
    ):
        if place and place not in found:
            found[place] = label
    return tuple((label, place) for place, label in found.items())


def isolation_limits(level: str) -> tuple[str, ...]:
    """What the worlds could not judge at an isolation level."""
    limits = [f"not kept apart at isolation {level}: {NOT_ISOLATED.get(level, 'unknown')}"]
    if level in ("readonly", "scratch", "none"):
        limits.append("state in files: below isolation copy, no process can be given a disk of its own")
    return tuple(limits)
