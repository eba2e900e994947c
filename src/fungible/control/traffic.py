"""The last requests, and how many, how fast and how well in the last seconds. Bounded, whatever the load."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fungible.runtime.events import Event
from fungible.runtime.router.access_log import Requests

_REQUESTS = 500
_NO_FAILURES = frozenset({"client-closed", "client-timeout", "closed"})
SECONDS = 60
"""How far back the rate goes, second by second."""
WINDOW = 10
"""Seconds over which rate and times are taken."""


def _bounds() -> tuple[int, ...]:
    """Milliseconds up to 2 hours: exact up to 20, from there each a twentieth more than the one before."""
    found = list(range(21))
    while found[-1] < 7_200_000:
        found.append(max(found[-1] + 1, round(found[-1] * 1.05)))
    return tuple(found)


_BOUNDS = _bounds()


@dataclass
class _Second:
    at: int
    count: int = 0
    failed: int = 0
    retried: int = 0
    times: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    waits: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))


class Traffic:
    """Takes the requests of a bus. `now` is in seconds since the epoch, as `Requests.at` is."""

    def __init__(self) -> None:
        self._last: deque[Requests] = deque()
        self._kept = 0
        self._taken = 0
        self._seconds: deque[_Second] = deque(maxlen=SECONDS + 2)

    def __call__(self, requests: Requests) -> None:
        """Take requests that ended."""
        self._last.append(requests)
        self._kept += len(requests)
        while self._kept - len(self._last[0]) >= _REQUESTS:
            self._kept -= len(self._last.popleft())
        self._taken += len(requests)
        second = self._second(int(requests.at))
        for outcome, count in requests.outcomes:
            second.count += count
            second.times[bisect_left(_BOUNDS, outcome.total_ms)] += count
            if outcome.queue_ms:
                second.waits[bisect_left(_BOUNDS, outcome.queue_ms)] += count
            if outcome.retries:
                second.retried += count
            if is_failure(outcome.status, outcome.cause):
                second.failed += count

    def since(self, number: int, most: int) -> tuple[int, list[Event]]:
        """How many requests there have been, and those kept after the first `number`, at most the last `most`."""
        left = count = min(most, _REQUESTS, self._kept, max(0, self._taken - number))
        found: deque[Event] = deque()
        for requests in reversed(self._last):
            if left <= 0:
                break
            found.extendleft(reversed(list(requests.events(last=left))))
            left = count - len(found)
        return self._taken, list(found)

    def summary(self, now: float) -> dict[str, Any]:
        """Rate and times of the last `WINDOW` seconds, failures of the last `SECONDS`, and the rate of each of those,
        the oldest first. Seconds that are not over yet do not count. Times are None where there was no request."""
        end = int(now)
        by_second = {second.at: second for second in self._seconds if end - SECONDS <= second.at < end}
        window = [second for second in by_second.values() if second.at >= end - WINDOW]
        times, waits = [second.times for second in window], [second.waits for second in window]
        at_once = {0: sum(second.count - sum(second.waits.values()) for second in window)}
        return {
            "rate": round(sum(second.count for second in window) / WINDOW, 1),
            "p50_ms": percentile(times, 0.5),
            "p99_ms": percentile(times, 0.99),
            "wait_p99_ms": percentile([at_once, *waits] if window else [], 0.99),
            "failed": sum(second.failed for second in by_second.values()),
            "retried": sum(second.retried for second in by_second.values()),
            "rates": [by_second[at].count if at in by_second else 0 for at in range(end - SECONDS, end)],
        }

    def _second(self, at: int) -> _Second:
        """The second of an event; what comes late, or after the clock was set back, counts for the newest."""
        if not self._seconds or at > self._seconds[-1].at:
            self._seconds.append(_Second(at))
        elif self._seconds[-1].at - at > SECONDS:
            self._seconds.clear()
            self._seconds.append(_Second(at))
        return self._seconds[-1]


def is_failure(status: object, cause: object) -> bool:
    """Whether a request failed: the router answered in place of a process, the answer was cut, or the app answered
    with 5xx. That a client left, or a stream was closed with its process, is none."""
    if cause is None:
        return isinstance(status, int) and status >= 500
    return cause not in _NO_FAILURES


def percentile(histograms: Iterable[Mapping[int, int]], share: float) -> int | None:
    """The time in milliseconds, at most a twentieth too high, that `share` of the requests did not exceed."""
    merged: dict[int, int] = {}
    for histogram in histograms:
        for index, count in histogram.items():
            merged[index] = merged.get(index, 0) + count
    return _bound(sorted(merged.items()), share * sum(merged.values()))


def _bound(counts: Sequence[tuple[int, int]], wanted: float) -> int | None:
    total = 0
    for index, count in counts:
        total += count
        if total >= wanted:
            return _BOUNDS[min(index, len(_BOUNDS) - 1)]
    return None
