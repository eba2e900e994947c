"""What every form of the report says in the same words: a difference, its requests, its processes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fungible.sandbox.probe import NOT_ISOLATED
from fungible.verify.blame.culprit import HASH_SEED, Culprit
from fungible.verify.findings import Difference, Findings
from fungible.verify.workload.steps import step_text as workload_step

KINDS: Mapping[str, str] = {
    "lost": "what an earlier request left is gone",
    "stale": "an old value is shown",
    "leaked": "another client's value is shown",
    "diverged": "the answer is another one",
    "store": "a store has another content",
}
UNHELD = ("start", HASH_SEED)
"""Where no object holds the state, so that none is missing from the report."""
_NUMBER = re.compile(r"#(\d+) ")
_MEMBER = re.compile(
    r"[0-9]+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|\$\{[^}]*\}|(?=[^/]*[0-9])[A-Za-z0-9_-]{16,}|.*\$\{.*\}.*|\*\*\*"
)


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
    if case.renewed and len(set(letters(difference)) - {None}) > 1:
        return ("each process is ended (SIGTERM) once it has answered",)
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


def noted(findings: Findings) -> list[tuple[tuple[int, ...], str, str]]:
    """The notes as `(steps, place, text)`: what is said of one place at many requests is said once."""
    steps: dict[tuple[str, str], list[int]] = {}
    for note in findings.notes:
        steps.setdefault((note.place, note.text), []).extend([] if note.step is None else [note.step])
    return [(tuple(found), place, text) for (place, text), found in steps.items()]


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
    if culprit.object and culprit.object.endswith("()"):
        return f"the process itself, by {culprit.object}"
    if culprit.object:
        return culprit.object
    if culprit.file:
        return f"the file {culprit.file}"
    if culprit.where == "start":
        return "what every process does when it starts"
    if culprit.where == HASH_SEED:
        return "the process's own hash seed: hash() of a text, or the order of a set, is another in each process"
    if culprit.where == "identity":
        return "the process's own identity (host name, process id, folder, port)"
    return {"file": "a file", None: None}.get(culprit.where, culprit.where)


def how_held(culprit: Culprit) -> str:
    """What goes before `holder`: `held by` what is named, else `held in`; nothing holds what a start makes."""
    if culprit.object or culprit.file:
        return "held by"
    return "made by" if culprit.where in UNHELD else "held in"


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
