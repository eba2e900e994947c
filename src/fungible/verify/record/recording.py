"""What passed through the proxy as a workload. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from fungible.app.problem import Problem
from fungible.verify.record.clients import Origin, origins
from fungible.verify.record.exchange import Exchange
from fungible.verify.transcript import Sent, Transcript
from fungible.verify.workload.binding import infer_bindings
from fungible.verify.workload.file import workload_data
from fungible.verify.workload.parsing import parse_workload
from fungible.verify.workload.recorded import is_static, kept_headers, with_body, with_statuses
from fungible.verify.workload.steps import Request, Workload, render, texts

LONGEST_WAIT: Final = 2.0
"""Between two polls, in seconds."""

_LEAST_WAIT = 0.05
_SHARED = frozenset(("user-agent", "accept", "accept-language", "authorization", "cache-control", "pragma", "dnt"))


def as_workload(exchanges: Sequence[Exchange], *, assets: bool = True, path: Path | None = None) -> Workload:
    """A workload that sends the exchanges' requests again, in the order in which their answers began.

    That order keeps every cause before its effect, and a long poll behind what ended it. What answers made and
    later requests carried (ids, tokens, CSRF fields, Locations) becomes a save and a `${name}`; the answers are not
    in the workload. Without `assets` fetches of static files are left out. `warnings` say what was lost.
    """
    kept = [each for each in exchanges if assets or not is_static(each.method, each.target)]
    kept.sort(key=lambda each: (each.answered, each.began))
    kept, unwritable = _writable(kept)
    warnings = []
    if unwritable:
        warnings.append(f"{unwritable} request{'s' * (unwritable > 1)} left out: a workload file cannot say them.")
    hosts = Counter(host for each in kept if (host := each.header("host")))
    host = hosts.most_common(1)[0][0] if hosts else None
    clients = origins(kept)
    steps = tuple(
        _request(each, origin, host, tags) for each, origin, tags in zip(kept, clients, _tags(kept), strict=True)
    )
    foreign = sorted({name for each in clients for name, _ in each.foreign})
    if foreign:
        warnings.append(
            f"No recorded answer set the cookies {', '.join(foreign[:5])}; they are sent as they were. "
            "If they are a login, record again from a private window."
        )
    transcript = Transcript(
        world="recording",
        sent=tuple(_sent(step) for step in steps),
        answers=tuple(each.answer for each in kept),
        placement=(0,) * len(steps),
    )
    bound = infer_bindings(Workload(steps, host=host, path=path, warnings=tuple(warnings)), transcript)
    return with_statuses(_with_waits(_with_common_headers(bound), kept), transcript.answers)


def _writable(exchanges: Sequence[Exchange]) -> tuple[list[Exchange], int]:
    """Those that the workload file can say, and how many it cannot (`OPTIONS *`, data nested without end)."""
    kept = []
    for each in exchanges:
        step = _request(each, Origin(0), each.header("host"), frozenset())
        try:
            parse_workload(workload_data(Workload((step,))), Path("recording"))
        except Problem:
            continue
        kept.append(each)
    return kept, len(exchanges) - len(kept)


def _tags(exchanges: Sequence[Exchange]) -> list[frozenset[str]]:
    """For each exchange, the entity tags that answers before it showed: only those may be asked about again."""
    seen: set[str] = set()
    found = []
    for each in exchanges:
        found.append(frozenset(seen))
        tag = each.answer.header("etag")
        if tag:
            seen.add(tag)
    return found


def _request(each: Exchange, origin: Origin, host: str | None, tags: frozenset[str]) -> Request:
    asked = each.header("if-none-match")
    headers = list(kept_headers(each.headers, ("if-none-match",) if asked in tags else ()))
    own = each.header("host")
    if own is not None and own != host:
        headers.insert(0, ("Host", own))
    if origin.written:
        headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value in origin.written)))
    jar = "default" if origin.client == 0 else f"client{origin.client + 1}"
    request = Request(each.method, each.target, headers=tuple(headers), jar=jar)
    return with_body(request, each.body, None) if each.body else request


def _sent(step: Request) -> Sent:
    rendered = render(step, {})
    return Sent(rendered.method, rendered.target, rendered.headers, rendered.body)


def _with_common_headers(workload: Workload) -> Workload:
    """Headers that all requests have alike are said once."""
    requests = [step for step in workload.steps if isinstance(step, Request)]
    if len(requests) < 2:
        return workload
    common = set(requests[0].headers).intersection(*(each.headers for each in requests[1:]))
    names = Counter(name.lower() for name, _ in requests[0].headers)
    shared = tuple(
        pair
        for pair in requests[0].headers
        if pair in common and pair[0].lower() in _SHARED and names[pair[0].lower()] == 1 and "${" not in pair[1]
    )
    steps = tuple(
        replace(step, headers=tuple(pair for pair in step.headers if pair not in shared))
        if isinstance(step, Request)
        else step
        for step in workload.steps
    )
    return replace(workload, steps=steps, headers=shared)


def _with_waits(workload: Workload, exchanges: Sequence[Exchange]) -> Workload:
    """Polls wait as they did: where one request is repeated until its answer changes, the gaps stay."""
    steps = list(workload.steps)
    begin = 0
    for index in range(1, len(steps) + 1):
        if index < len(steps) and _same(exchanges[index], exchanges[index - 1]):
            continue
        run = exchanges[begin:index]
        if any(_moved(one, other) for one, other in pairwise(run)):
            for number in range(begin + 1, index):
                gap = exchanges[number].began - exchanges[number - 1].ended
                step = steps[number]
                if gap >= _LEAST_WAIT and isinstance(step, Request):
                    steps[number] = replace(step, wait=round(min(gap, LONGEST_WAIT), 2))
        begin = index
    return replace(workload, steps=tuple(steps))


def _same(one: Exchange, other: Exchange) -> bool:
    return one.method == other.method == "GET" and one.target == other.target


def _moved(one: Exchange, other: Exchange) -> bool:
    """Pages of HTML are looked at again by people; what is polled is a status or data."""
    if one.answer.status != other.answer.status:
        return True
    data = "json" in (other.answer.header("content-type") or "")
    return data and one.answer.body != other.answer.body


def without_idle_host(workload: Workload) -> Workload:
    """Without `host` where nothing that is sent mentions it: then the address that is really used will do."""
    host = workload.host
    sent = [text for step in workload.steps if isinstance(step, Request) for text in texts(step)]
    sent += [value for _, value in workload.headers]
    return workload if host is None or any(host in text for text in sent) else replace(workload, host=None)


def clients_of(workload: Workload) -> int:
    """How many clients a workload has."""
    return len({step.jar for step in workload.steps if isinstance(step, Request)})
