"""Anything that a store holds becomes JSON, bounded, and two different things stay different."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.services.command import read_dump
from fungible.services.value import LONGEST_BYTES, LONGEST_TEXT, json_value, text_or_bytes

pytestmark = pytest.mark.pure

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=5000)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


@given(anything)
def test_every_value_is_json_ready_and_bounded(value: object) -> None:
    json.dumps(json_value(value), allow_nan=False).encode("utf-8")


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_different_bytes_stay_different(one: bytes, other: bytes) -> None:
    assert (text_or_bytes(one) == text_or_bytes(other)) == (one == other)
    assert (json_value(one) == json_value(other)) == (one == other)


def test_large_values_become_digests() -> None:
    assert json_value(b"x" * LONGEST_BYTES).keys() == {"base64"}
    assert json_value(b"x" * (LONGEST_BYTES + 1)) == {
        "sha256": json_value(b"x" * (LONGEST_BYTES + 1))["sha256"],
        "bytes": LONGEST_BYTES + 1,
    }
    assert json_value("x" * LONGEST_TEXT) == "x" * LONGEST_TEXT
    assert json_value("x" * (LONGEST_TEXT + 1))["characters"] == LONGEST_TEXT + 1
    assert json_value(float("inf")) == {"float": "inf"}
    assert text_or_bytes(b"caf\xc3\xa9\n") == "café\n"
    assert text_or_bytes(b"\x00") == {"base64": "AA=="}


@pytest.mark.parametrize(
    ("printed", "dump"),
    [
        (b'{"table t": [{"id": 1}]}', {"table t": [{"id": 1}]}),
        (b'{"count": 3, "names": ["a"]}', {"count": [{"value": 3}], "names": [{"value": "a"}]}),
        (b"a\nb\n", {"dump search": [{"line": "a"}, {"line": "b"}]}),
        (b"[1, 2]", {"dump search": [{"line": "[1, 2]"}]}),
        (b"\xff", {"dump search": [{"line": "\ufffd"}]}),
        (b"", {"dump search": []}),
        (b"[" * 100_000, {"dump search": [{"line": "[" * 100_000}]}),
    ],
)
def test_what_a_dump_command_prints(printed: bytes, dump: object) -> None:
    assert read_dump("search", printed) == dump


@given(st.binary())
def test_nothing_printed_gives_a_traceback(printed: bytes) -> None:
    json.dumps(read_dump("search", printed))
