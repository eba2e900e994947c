"""The last requests, and rate and times of the last seconds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.control.history import History, entry_of
from fungible.control.traffic import WINDOW, Traffic
from fungible.runtime.events import Event
from fungible.runtime.router import Requests
from tests.runtime.access_lines import UPSTREAMS, line

pytestmark = pytest.mark.pure
NOW = 1_700_000_000


def request(at: float, total: int = 5, **changes: object) -> Requests:
    return Requests([line(total=total, **changes)], UPSTREAMS, at)


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=300))
def test_percentiles_are_at_most_a_twentieth_too_high(times: list[int]) -> None:
    traffic = Traffic()
    for number, time in enumerate(times):
        traffic(request(NOW - 1 - number % WINDOW, time))
    summary = traffic.summary(NOW)
    for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99)):
        exact = sorted(times)[math.ceil(share * len(times)) - 1]
        assert exact <= summary[name] <= exact * 1.05 + 1


def test_rate_failures_and_the_last_minute() -> None:
    traffic = Traffic()
    for second in range(90, 0, -1):  # the oldest first, as they come
        traffic(request(NOW - second))
        traffic(request(NOW - second, status=500 if second == 30 else 404))
    traffic(request(NOW - 1, status=503, cause="crashed", retries=1))
    traffic(request(NOW - 1, status=-1, end="CR"))
    traffic(request(NOW))  # its second is not over
    summary = traffic.summary(NOW)
    assert summary["rate"] == pytest.approx((2 * WINDOW + 2) / WINDOW)
    assert (summary["failed"], summary["retried"]) == (2, 1)
    assert summary["rates"] == [2] * 59 + [4]
    assert summary["wait_p99_ms"] == 0
    traffic(request(NOW + 1, queue=300))
    assert 300 <= traffic.summary(NOW + 2)["wait_p99_ms"] <= 315
    later = traffic.summary(NOW + 1000)
    assert (later["rate"], later["p99_ms"], later["rates"]) == (0, None, [0] * 60)


@pytest.mark.parametrize("each", [1, 40, 1000])
def test_whoever_asks_too_late_misses_some_and_knows_how_many(each: int) -> None:
    traffic = Traffic()
    for first in range(0, 2000, each):
        lines = [line(path=f"/{number}") for number in range(first, first + each)]
        traffic(Requests(lines, UPSTREAMS, NOW))
    taken, events = traffic.since(0, 10_000)
    assert (taken, len(events)) == (2000, 500)
    taken, events = traffic.since(1997, 200)
    assert [event.data["path"] for event in events] == ["/1997", "/1998", "/1999"]
    assert traffic.since(2000, 200) == (2000, [])


def test_a_clock_that_was_set_back_does_not_stop_the_counting() -> None:
    traffic = Traffic()
    traffic(request(NOW))
    for second in range(1, 5):
        traffic(request(NOW - 4000 + second))
    assert traffic.summary(NOW - 3990)["rate"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("kind", "data", "entry"),
    [
        ("process.ended", {"status": -9, "crashed": True}, ("crash", "signal 9")),
        ("process.ended", {"status": 3, "crashed": True}, ("crash", "exit code 3")),
        ("process.ended", {"status": -9, "crashed": True, "cause": "memory"}, ("crash", "out of memory")),
        ("process.ended", {"status": -15}, ("end", "retired")),
        ("release.abandoned", {}, ("abandoned", "abandoned")),
        ("process.starting", {}, None),
    ],
)
def test_ends_have_their_causes(kind: str, data: dict[str, object], entry: tuple[str, str] | None) -> None:
    found = entry_of(Event(kind, "web.2", "i2", "v1", data))
    assert (found and (found["kind"], found["text"])) == entry


def test_the_history_is_bounded() -> None:
    history = History()
    for _ in range(1000):
        history(Event("process.ended", "web.1", "i", "v1", {"status": 1, "crashed": True}))
    assert (history.crashes, len(history.since(0)[1]), len(history.since(998)[1])) == (1000, 200, 2)
