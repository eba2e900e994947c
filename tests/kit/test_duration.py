"""Lengths of time, as settings of sessions and of tokens are written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fungible_kit import Sessions, Tokens
from fungible_kit.duration import seconds, whole_seconds
from fungible_kit.sessions import Misconfigured

pytestmark = pytest.mark.pure


def test_durations() -> None:
    given = ("250ms", "30m", "1.5h", "2 d", 7, 0.25, timedelta(minutes=1))
    assert [seconds("idle", each) for each in given] == [0.25, 1800, 5400, 172800, 7, 0.25, 60]
    assert [whole_seconds("ttl", each) for each in ("30m", 1.9, timedelta(days=1))] == [1800, 1, 86400]


@pytest.mark.parametrize("wrong", ["30", "m", "-3s", "1w", "", "٣s", "1e3s", float("nan"), float("inf"), True, None])
def test_what_is_no_duration_is_one_sentence_with_its_name(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"^idle=.* is no duration; write seconds, or '250ms'") as refused:
        seconds("idle", wrong)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("small", [0, -1, "0s", timedelta(0)])
def test_no_time_at_all_is_too_little(small: Any) -> None:
    with pytest.raises(ValueError, match=r"is less than 1 ms"):
        seconds("idle", small)
    with pytest.raises(ValueError, match=r"is less than 1000 ms"):
        whole_seconds("ttl", small)


def test_sessions_and_tokens_write_them_alike() -> None:
    for written in ("1 h", "90m", timedelta(hours=2)):
        assert Sessions("sqlite:///unused.db", idle=written, absolute=written).policy.lifetime.idle == seconds(
            "idle", written
        )
        Tokens("sqlite:///unused.db", prefix="acme", ttl=written)
    with pytest.raises(Misconfigured, match="idle='soon' is no duration"):
        Sessions("sqlite:///unused.db", idle="soon")
    with pytest.raises(ValueError, match="ttl='soon' is no duration"):
        Tokens("sqlite:///unused.db", prefix="acme", ttl="soon")
