"""What the log tells of a store that cannot be used: when, in which words, and what it leaves out."""

from __future__ import annotations

import contextlib
import logging

import pytest

from fungible_kit.services.availability import Availability, place, sentence
from fungible_kit.services.errors import ServiceUnavailable

LOG = logging.getLogger("fungible_kit.test")
WHAT = "the store"


@pytest.mark.pure
def test_an_outage_is_told_when_it_begins_each_minute_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    availability = Availability("valkey://u:pw@h", WHAT, LOG, lambda: now[0])
    away = ServiceUnavailable("away")
    said: list[int] = []
    for moment, fails in ((0, True), (1, True), (59, True), (61, True), (62, False), (63, True), (64, False)):
        now[0] = moment
        with contextlib.suppress(ServiceUnavailable), availability:
            if fails:
                raise away
        said.append(len(caplog.messages))
    assert said == [1, 1, 1, 2, 3, 3, 3]  # what flaps is told once a minute
    assert caplog.messages[1:] == ["valkey at h:6379 cannot be used: away", "valkey at h:6379 is back"]


@pytest.mark.pure
@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("valkey://user:sesame@h:1/2?password=sesame", "valkey at h:1"),
        ("rediss://:sesame@[::1]", "rediss at [::1]:6379"),
        ("valkey://:ses/ame@h:1", "valkey"),
        ("valkey://:ses@ame@h:1", "valkey at h:1"),
        ("unix://:sesame@/run/valkey.sock?db=1", "valkey at /run/valkey.sock"),
        ("memcached://a,b:2", "memcached at a:11211, b:2"),
        ("postgres://u:sesame@a:1,b/d", "postgres at a:1, b:5432"),
        ("postgres:///d?host=/run&password=sesame", "postgres"),
        ("postgresql+psycopg://u:sesame@a/d", "postgresql at a:5432"),
        ("sqlite:////var/s.db?x=1", "the file /var/s.db"),
    ],
)
def test_the_place_of_a_store_holds_nothing_that_opens_it(url: str, named: str) -> None:
    assert place(url, WHAT) == named


@pytest.mark.pure
def test_what_a_server_repeats_is_left_out() -> None:
    def told(cause: Exception) -> str:
        error = ServiceUnavailable("the session store cannot be reached")
        error.__cause__ = cause
        return sentence("valkey://:se%20same@h", WHAT, error).partition("used: ")[2]

    assert told(ValueError("unknown command 'AUTH', with args beginning with: 'x'")) == "unknown command 'AUTH'"
    assert told(ValueError("no such thing: 'se same'\nat all")) == "ValueError"
    assert told(ValueError("DB index\nis out of range")) == "DB index is out of range"
    assert told(ValueError()) == "ValueError"
