"""Durations and sizes."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.app.quantity import format_duration, format_size, parse_duration, parse_size

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("60s", 60),
        ("5m", 300),
        ("24h", 86400),
        ("7d", 604800),
        ("1.5 s", 1.5),
        ("90", 90),
        (2, 2),
        (0.1, 0.1),
        ("0s", 0),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    found = parse_duration(text)
    assert found == seconds
    assert type(found) is float


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MiB", 512 << 20),
        ("1GiB", 1 << 30),
        ("10MB", 10**7),
        ("1.5KiB", 1536),
        ("3 kb", 3000),
        ("7", 7),
        ("7B", 7),
        (9, 9),
        ("2tib", 2 << 40),
    ],
)
def test_sizes(text: object, size: int) -> None:
    found = parse_size(text)
    assert found == size
    assert type(found) is int


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1e3s", "1h30m", "５s", "1 0s", "1S", math.nan, math.inf, -1, True, None, [], "9" * 99]
)
def test_no_durations(text: object) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", "MiB", "-1B", "0.5B", "1.0001KB1", "1PiB", "５B", 1.5, -1, True, None, 10**18, "999999999999999TiB"]
)
def test_no_sizes(text: object) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@given(st.integers(0, 10**12))
def test_durations_round_trip(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.integers(0, 10**18 - 1) | st.integers(0, 10**5).map(lambda n: n << 30))
def test_sizes_round_trip(size: int) -> None:
    assert parse_size(format_size(size)) == size


def test_the_largest_unit_that_is_exact() -> None:
    assert [format_duration(seconds) for seconds in (0, 0.25, 60, 90, 7200, 86400)] == [
        "0s",
        "250ms",
        "1m",
        "90s",
        "2h",
        "1d",
    ]
    assert [format_size(size) for size in (0, 1000, 1024, 3 << 29)] == ["0B", "1000B", "1KiB", "1536MiB"]


@given(st.text(max_size=12) | st.integers() | st.floats() | st.none() | st.booleans())
def test_nothing_but_a_value_error(value: object) -> None:
    for read in (parse_duration, parse_size):
        with contextlib.suppress(ValueError):
            assert 0 <= read(value) < math.inf
