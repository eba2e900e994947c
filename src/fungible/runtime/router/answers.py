"""Why a request failed before an app could answer it: the causes, and the small bodies that name them."""

from __future__ import annotations

import json
from types import MappingProxyType

CAUSES = MappingProxyType(
    {
        # No process could be chosen: what the supervisor says of the formation.
        "no-process": (503, "No web process", "The formation runs no web process."),
        "no-release": (503, "No release", "There is no release to run yet."),
        "starting": (503, "Starting", "The web processes are starting. Try again in a moment."),
        "boot-timeout": (503, "Boot timed out", "No web process became ready in time."),
        "wrong-port": (503, "Wrong port", "The web process listens elsewhere than where it is told to ($PORT)."),
        "out-of-memory": (503, "Out of memory", "The web processes ran out of memory. They are being restarted."),
        # What became of the request.
        "crashed": (503, "Process crashed", "The process ended, or refused the connection, before it answered."),
        "queue-timeout": (503, "Queue timed out", "Every process was busy for longer than a request may wait."),
        "backend-timeout": (504, "Process timed out", "The process did not answer in time."),
        "bad-answer": (502, "Bad answer", "The process answered with something that is not HTTP."),
        # What was wrong with the request.
        "body-too-large": (413, "Body too large", "The request body is larger than this router takes."),
        "bad-request": (400, "Bad request", "The request is not valid HTTP."),
        "slow-request": (408, "Request too slow", "The request did not arrive in time."),
        # Our own fault.
        "router-error": (500, "Router error", "The router could not handle the request."),
    }
)
"""Cause -> (usual status, title, sentence). The cause stands in the `Fungible-Cause` header and in the log."""

NO_UPSTREAM = ("no-process", "no-release", "starting", "crashed", "boot-timeout", "wrong-port", "out-of-memory")
"""The causes that `Router.set_cause` takes."""

LOST = frozenset({"crashed", "interrupted", "backend-timeout", "bad-answer"})
"""The causes of a request that a process was given and did not answer in full."""

HTML = "text/html; charset=utf-8"
JSON = "application/json"


def html(cause: str) -> str:
    """The page for `cause`, on one line."""
    _, title, sentence = CAUSES[cause]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>{title}</title><style>body{{font:1.1rem/1.5 system-ui,sans-serif;'
        "color-scheme:light dark;max-width:40rem;margin:20vh auto;padding:0 1rem}</style>"
        f"<h1>{title}</h1><p>{sentence}<p><small>{cause}</small></html>"
    )


def json_body(cause: str) -> str:
    """The JSON document for `cause`, on one line."""
    return json.dumps({"cause": cause, "message": CAUSES[cause][2]})


def answers_map() -> str:
    """All bodies as an HAProxy map: a line each, `cause.form`, a space, the body."""
    lines = [f"{cause} {json_body(cause)}\n{cause}.html {html(cause)}\n" for cause in CAUSES]
    return "".join(lines)


def cause_of(*, named: str | None, status: int, termination: str) -> str | None:
    """The cause of a logged request: what the answer `named`, corrected and completed by how it ended.

    `termination` is HAProxy's two-letter state at disconnection (configuration manual 2.8, 8.5). On top of
    `CAUSES` there are those that no answer could carry: `interrupted` (cut within the answer),
    `client-closed`, `client-timeout` (the client did not take the answer), `closed` (a stream that was closed
    when its process was retired).
    """
    padded = termination + "--"
    first, second = padded[0], padded[1]
    if status == 502 and first == "P":
        return "bad-answer"  # at the time of the answer HAProxy cannot yet tell this from a crash
    if named in (None, "bad-request"):  # HAProxy's 400 also stands for a client that left or fell silent
        if first == "C":
            return "client-closed"
        if first == "c":
            return "client-timeout" if second in "LT" or (second == "D" and 200 <= status < 400) else "slow-request"
    if named:
        return named
    if first in "KD":
        return "closed"
    if first == "S":
        return "interrupted" if second in "DLT" else "crashed"
    if first == "s":
        return "backend-timeout" if second != "Q" else "queue-timeout"
    if first == "P":
        return "bad-request" if second == "R" or 400 <= status < 500 else "interrupted"
    if first in "RI":
        return "router-error"
    return None
