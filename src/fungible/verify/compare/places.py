"""An answer, a request and a store's dump as trees of places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from fungible.verify.compare.bodies import HIDDEN, body_of, masked
from fungible.verify.compare.lexemes import instant
from fungible.verify.compare.trees import Leaf, Map, Node, Seq, node_of
from fungible.verify.transcript import Answer, Dump, Row, Sent

# Of the hop, the clock or the server, never of the app's state (RFC 9110 and 9112, W3C Trace Context).
_DROPPED = frozenset(
    [
        "date",
        "server",
        "age",
        "x-request-id",
        "x-correlation-id",
        "request-id",
        "x-amzn-requestid",
        "x-amzn-trace-id",
        "traceparent",
        "tracestate",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "content-encoding",
        "via",
        "x-runtime",
        "x-response-time",
        "x-process-time",
        "server-timing",
        "alt-svc",
        "content-length",
    ]
)
# Lists whose order means nothing; frameworks print them from sets.
_SETS = frozenset(
    [
        "allow",
        "vary",
        "access-control-allow-methods",
        "access-control-allow-headers",
        "access-control-expose-headers",
        "public",
        "accept-patch",
        "accept-ranges",
        "dav",
        "ms-author-via",
    ]
)


# 2026-11-22 11:34:48, [22/Nov/2026:11:34:48, Nov 22 11:34:48, <34>1 2026-11-22T11:34:48Z
_LOG_LINE = re.compile(
    r"(?:<\d+>\d?\s*)?[\[(]?(?:\d{4}[-/]\d\d[-/]\d\d[T _]\d\d:\d\d|\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d"
    r"|[A-Z][a-z]{2} +\d{1,2} \d\d:\d\d)|[A-Z]+:? +[\[(]?\d{4}-\d\d-\d\d[T ]\d\d:\d\d"
)


def leaves(answer: Answer, masks: Sequence[re.Pattern[str]] = (), *, host: str = "", body: bool = True) -> Map:
    """The places of an answer: `status`, `fault`, `header NAME`, `cookie NAME ...` and `body...`.

    `masks` are hidden in the body and in Location. `host` is the authority that this request was sent to: where
    the answer repeats it, its own address is not taken for a difference. `body` false leaves the body out.
    """
    fields: dict[str, Node] = {
        "status": Leaf("int", str(answer.status)),
        "fault": Leaf("str", answer.fault or ""),
    }
    headers: dict[str, list[str]] = {}
    cookies: dict[str, Node] = {}
    for name, value in answer.headers:
        low = name.lower()
        if low == "set-cookie":
            key, cookie = _cookie(_hosted(value, host))
            cookies[key] = cookie
        elif low not in _DROPPED or (low == "content-length" and not answer.body and value != "0"):
            headers.setdefault(low, []).append(value)
    shown: dict[str, Node] = {}
    for low, values in headers.items():
        text = _hosted(", ".join(values), host)
        if low in _SETS:
            text = ", ".join(sorted(part.strip() for part in text.split(",")))
        if low in ("location", "content-location", "refresh"):
            text = masked(text, masks)
        if low == "expires" and instant(text) is not None:
            text = "past" if re.search(r"\b(?:19[0-9]{2}|200[0-9])\b", text) else "later"
        shown[low] = Leaf("str", text)
    fields["header"] = Map(shown, "headers")
    fields["cookie"] = Map(cookies, "headers")
    if body:
        raw = answer.body
        if _own(host):
            raw = raw.replace(host.encode(), b"\xee\x80\x81").replace(quote(host).encode(), b"\xee\x80\x81")
        fields["body"] = body_of(
            raw, answer.header("content-type") or "", answer.header("content-encoding") or "", masks
        )
    return Map(fields)


def sent_places(sent: Sent | None) -> Node:
    """The places of a request that can carry values which an earlier answer gave."""
    if sent is None:
        return Map({})
    headers = {
        name.lower(): Leaf("str", value)
        for name, value in sent.headers
        if name.lower() not in ("host", "user-agent", "accept", "accept-encoding", "connection", "content-length")
    }
    kind = next((value for name, value in sent.headers if name.lower() == "content-type"), "")
    body: Node = Leaf("digest", "") if "multipart" in kind.lower() else body_of(sent.body, kind)
    return Map({"target": Leaf("str", sent.target), "header": Map(headers, "headers"), "body": body})


def dump_places(dump: Dump) -> Map:
    """A store's content: per table its rows, whose order means nothing.

    Of a log file only its presence counts: every boot writes its own lines there, and worlds differ in boots.
    """
    return Map(
        {name: Seq(tuple(node_of(_without_log(name, row)) for row in rows), "rows") for name, rows in dump.items()}
    )


def is_log(text: str) -> bool:
    """Whether most lines of a text file begin with a date and a time."""
    lines = [line for line in text.splitlines() if line.strip() and not line[0].isspace()]
    dated = sum(_LOG_LINE.match(line) is not None for line in lines)
    return bool(lines) and dated >= 0.8 * len(lines)


def _without_log(name: str, row: Row) -> Row:
    text = row.get("text")
    if name.startswith("file ") and isinstance(text, str) and is_log(text):
        return {key: value for key, value in row.items() if key not in ("text", "size", "sha256")} | {"log": True}
    return row


def authority(sent: Sent | None) -> str:
    """The Host of a request, empty where there was none."""
    if sent is None:
        return ""
    return next((value for name, value in sent.headers if name.lower() == "host"), "")


def hidden(text: str) -> bool:
    """Whether a mask matched in this value."""
    return HIDDEN in text


def _own(host: str) -> bool:
    # A name without a port is the workload's own and the same in every world.
    return ":" in host.rsplit("]", 1)[-1]


def _hosted(text: str, host: str) -> str:
    return text.replace(host, "\ue001").replace(quote(host), "\ue001") if _own(host) else text


def _cookie(value: str) -> tuple[str, Node]:
    first, *rest = value.split(";")
    name, _, content = first.partition("=")
    fields: dict[str, Node] = {"value": Leaf("str", content.strip())}
    for attribute in rest:
        key, _, said = attribute.strip().partition("=")
        low = key.lower()
        # Max-Age and Expires say the same; of both it counts whether the cookie is taken back.
        if low == "max-age":
            fields[low] = Leaf("str", "0" if said.strip().lstrip("-") == "0" or said.startswith("-") else said)
        elif low == "expires":
            fields[low] = Leaf("str", "past" if re.search(r"\b(?:19[0-9]{2}|200[0-9])\b", said) else "later")
        elif low:
            fields[low] = Leaf("str", said)
    return name.strip(), Map(fields, "headers")
