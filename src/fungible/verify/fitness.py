"""Whether a workload fits its app, as its first warm run shows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fungible.app.wording import few, nearest
from fungible.verify.transcript import Answer
from fungible.verify.workload.steps import Quiet, Request, Workload, step_text
from fungible.verify.world.world import Execution

_ERROR = re.compile(r"[\w.]*(?:Error|Exception|Timeout|Exit)\b")
_MOST_NAMED = 5
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_MISSING = "is data missing, such as the user who logs in? `setup` under [tool.fungible.verify] makes it"


class NotJudged(Exception):
    """The app or the workload cannot be judged; the reasons are its arguments."""


def check_warm(workload: Workload, first: Execution) -> None:
    """Raises NotJudged where the first warm run says nothing of the app: it did not come up, or nearly all failed (of
    up to five requests, all)."""
    if first.failures:
        raise NotJudged(f"the app did not come up: {first.failures[0]}")
    requests = [
        answer
        for step, answer in zip(workload.steps, first.transcript.answers, strict=True)
        if isinstance(step, Request)
    ]
    if not requests:
        raise NotJudged("the workload has no request; record some, or write them by hand")
    if all(answer.status == 0 for answer in requests) and requests[0].fault in ("reset", "refused", "cut"):
        raise NotJudged(f"the app started to listen but answered nothing; its last words:\n{_last_words(first)}")
    failed = [answer for answer in requests if _has_failed(answer)]
    if len(failed) > 0.8 * len(requests):
        count = f"{len(failed)} of {len(requests)} requests" if len(requests) > 1 else "the only request"
        first_with = "the first with " if len(failed) > 1 else ""
        raise NotJudged(
            f"{count} failed in one warm process ({first_with}{failed[0].fault or failed[0].status}): the workload "
            "does not fit this app or its data; check the paths, the `host`, a login, or add a `setup`"
        )
    _check_as_recorded(workload, first)
    if first.servers > 1:
        raise NotJudged(
            f"the command of `web` runs {first.servers} servers behind one port, which hides state by chance; "
            "start one (gunicorn -w 1, uvicorn --workers 1) and scale with web=N"
        )


def check_enough(workload: Workload, warm: Execution) -> None:
    """Raises NotJudged where no difference was seen, and could hardly be: because of failures fewer than two steps of
    a warm run did what they were written for, and one alone leaves nothing for another. A failure is meant where the
    workload says its `status`."""
    steps = list(zip(workload.steps, warm.transcript.answers, strict=True))
    failed = [
        (index, step.status, answer)
        for index, (step, answer) in enumerate(steps)
        if isinstance(step, Request) and _has_failed(answer)
    ]
    unmeant = [(index, answer.fault or answer.status) for index, status, answer in failed if status != answer.status]
    left = sum(not isinstance(step, Quiet) for step, _ in steps) - len(unmeant)
    if unmeant and left < 2:
        count = f"{len(unmeant)} of {len(unmeant) + left} requests failed"
        raise NotJudged(
            f"no difference was seen, but {count} in one warm process ({_listed(unmeant)}), and it takes two to see "
            "what one request leaves for another: check the path, a login, or add a `setup`; where that answer is "
            "meant, give the request its `status`"
        )


def _has_failed(answer: Answer) -> bool:
    return answer.status == 0 or answer.status >= 400


def _check_as_recorded(workload: Workload, first: Execution) -> None:
    """Raises NotJudged where nothing that was written when the workload was recorded is written now, or most requests
    fare worse: what no request makes, no process can forget."""
    recorded = [
        (index, step, first.transcript.answers[index].status)
        for index, step in enumerate(workload.steps)
        if isinstance(step, Request) and step.status is not None
    ]
    worse = [each for each in recorded if _fares_worse(each[1], each[2])]
    writing = [each for each in recorded if each[1].method not in _SAFE and (each[1].status or 0) < 400]
    most = len(worse) > 1 and len(worse) > len(recorded) / 2
    none = bool(writing) and all(each in worse for each in writing)
    if not most and not none:
        return
    told = worse if most else writing
    what = f"{len(worse)} of {len(recorded)} requests fare worse" if most else "no request that writes fares as well"
    listed = _listed([(index, f"{status or 'nothing'} instead of {step.status}") for index, step, status in told])
    raise NotJudged(f"{what} {'than' if most else 'as'} when they were recorded: {listed}; {_MISSING}")


def _fares_worse(request: Request, status: int) -> bool:
    """Whether a request that did its work when it was recorded does not now. A page that sent its visitor elsewhere
    then may well be shown: what was recorded may have been several processes, of which one did not know him."""
    recorded = request.status or 0
    if recorded < 300:
        return not 200 <= status < 300
    shown_again = status == 200 and request.method not in _SAFE  # as a form is that was not taken
    return recorded < 400 and (shown_again or not 200 <= status < 400)


def strange(workload: Workload, booted: Sequence[Execution], forked: Execution) -> str | None:
    """Why forked processes cannot stand for booted ones, if they cannot: the first status or fault that no booted one
    answered with, and what was said of it."""
    known = zip(*(statuses(each) for each in booted), strict=True)
    for step, (got, expected) in enumerate(zip(statuses(forked), known, strict=True)):
        if got in expected:
            continue
        text = (
            f"a forked process answers {step_text(workload, step)} with {_answered(got)} where a booted one "
            f"answers {_answered(expected[0])}"
        )
        errors = [line for line in _last_words(forked, 200).splitlines() if _ERROR.match(line)]
        return f"{text} (it said: {errors[-1][:200]})" if errors else text
    return None


def _answered(status: tuple[int, str | None]) -> str:
    return status[1] or str(status[0] or "nothing")


def _last_words(execution: Execution, most: int = 12) -> str:
    output = "\n".join(each.output for each in execution.ended if each is not None)
    return "\n".join(line[:300] for line in output.strip().splitlines()[-most:]) or "(it said nothing)"


def weak_spots(written: Workload, first: Execution) -> list[str]:
    """What may not have been meant, seen in the first warm run: a name that nothing saves, a save that found nothing,
    requests that are answered otherwise than when they were recorded, or that failed. Each is a request that did not
    do what it was written for, or may not have."""
    requests = [(index, step) for index, step in enumerate(written.steps) if isinstance(step, Request)]
    saved: set[str] = set()
    said = []
    for index, step in requests:
        for name in sorted(step.references() - saved):
            said.append(f"request #{index}: no request before it saves `${{{name}}}`.{nearest(name, saved)}")
        saved |= set(step.save)
        said += [
            f"request #{index}: `save` found no {name} in its answer ({first.transcript.answers[index].status}); is "
            "data missing? `setup` under [tool.fungible.verify] makes it"
            for name in step.save
            if name not in first.variables
        ]
    others = [
        (index, f"{answer.status or 'nothing'} instead of {step.status}")
        for index, step in requests
        if step.status is not None and (answer := first.transcript.answers[index]).status != step.status
    ]
    if others:
        said.append(
            f"{len(others)} of {len(requests)} requests are answered otherwise than when they were recorded: "
            f"{_listed(others)}; {_MISSING}"
        )
    failed = [
        (index, answer.status)
        for index, step in requests
        if (answer := first.transcript.answers[index]).status >= 400 and step.status is None
    ]
    if failed:
        count = f"{len(failed)} of {len(requests)}"
        said.append(f"{count} requests failed in the warm world as well: {_listed(failed)}; is that meant?")
    return said


def _listed(found: Sequence[tuple[int, object]]) -> str:
    return few([f"#{index} with {what}" for index, what in found], _MOST_NAMED)


def statuses(execution: Execution) -> list[tuple[int, str | None]]:
    """Status and fault of every answer."""
    return [(answer.status, answer.fault) for answer in execution.transcript.answers]
