"""Which side of a difference is the old one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fungible.verify.compare import Deviation, compare, is_outdated, learn, turned
from fungible.verify.transcript import Answer, Sent, Transcript

pytestmark = pytest.mark.pure

Step = tuple[str, str, Any]


def run(steps: Sequence[Step], placement: Sequence[int], cookies: Sequence[str] = ()) -> Transcript:
    """A transcript of `(method, path, JSON that is answered or a status)`."""
    sent, answers = [], []
    for index, (method, path, value) in enumerate(steps):
        status, body = (value, b"") if isinstance(value, int) else (200, json.dumps(value).encode())
        headers = (("cookie", cookies[index]),) if cookies else ()
        sent.append(Sent(method, path, headers))
        answers.append(Answer(status, (("content-type", "application/json"),), body))
    return Transcript("placed", tuple(sent), tuple(answers), placement=tuple(placement))


def old(warm: Sequence[Step], other: Sequence[Step], placement: Sequence[int]) -> Deviation:
    """The last step's deviation, told whether the warm world's value is the old one."""
    relations = learn([run(warm, [0] * len(warm))] * 2)
    candidate = run(other, placement)
    deviation = next(each for each in compare(relations, candidate) if each.step == len(warm) - 1)
    return replace(deviation, outdated=is_outdated(relations, candidate, deviation))


GET_A = ("GET", "/items/1", {"price": 10})
GET_B = ("GET", "/items/1", {"price": 99})
CHANGE = ("POST", "/items/1", {"ok": True})


@pytest.mark.parametrize("placement", [(0, 0, 1), (0, 1, 1)])
def test_one_process_that_never_clears_its_cache_is_the_old_one(placement: tuple[int, ...]) -> None:
    deviation = old((GET_A, CHANGE, GET_A), (GET_A, CHANGE, GET_B), placement)
    assert deviation.outdated
    told = turned(deviation)
    assert (told.kind, told.expected, told.got) == ("stale", 99, 10)


def test_an_answer_that_was_not_there_is_remembered_as_well() -> None:
    missing, found = ("GET", "/items/1", 404), ("GET", "/items/1", {"price": 99})
    deviation = old((missing, CHANGE, missing), (missing, CHANGE, found), (0, 0, 1))
    assert deviation.outdated
    assert (turned(deviation).expected, turned(deviation).got) == (200, 404)


def test_what_is_missing_on_one_side_is_extra_on_the_other() -> None:
    empty, full = ("GET", "/items", {"items": ["a"]}), ("GET", "/items", {"items": ["a", "b"]})
    told = turned(old((empty, CHANGE, empty), (empty, CHANGE, full), (0, 0, 1)))
    assert told.expected == {"length": 2, "missing": ["b"]}
    assert told.got == {"length": 1}


@pytest.mark.parametrize(
    ("warm", "other", "placement"),
    [
        # A cache that its own process clears: the other one is stale.
        ((GET_A, CHANGE, GET_B), (GET_A, CHANGE, GET_A), (0, 1, 0)),
        # Nothing was sent in between: each process drew a value of its own.
        ((GET_A, GET_A), (GET_A, GET_B), (0, 1)),
        # What one process remembers, the other never had.
        ((CHANGE, GET_B), (CHANGE, GET_A), (0, 1)),
        # The same process showed it before: it is no other's memory.
        ((GET_A, CHANGE, GET_A), (GET_A, CHANGE, GET_B), (0, 1, 0)),
        # The new value was shown before as well.
        ((GET_A, GET_A, CHANGE, GET_A), (GET_A, GET_B, CHANGE, GET_B), (0, 1, 0, 1)),
        # Another endpoint showed it.
        (
            (("GET", "/a", {"x": 1}), CHANGE, ("GET", "/b", {"x": 1})),
            (("GET", "/a", {"x": 1}), CHANGE, ("GET", "/b", {"x": 2})),
            (0, 0, 1),
        ),
    ],
)
def test_other_differences_are_not_the_warm_worlds_fault(
    warm: Sequence[Step], other: Sequence[Step], placement: tuple[int, ...]
) -> None:
    assert not old(warm, other, placement).outdated


@pytest.mark.parametrize("refused", [401, 403, 409, 423, 429, 503])
def test_a_process_that_does_not_refuse_has_lost_what_an_earlier_request_left(refused: int) -> None:
    let_in, revoke, out = ("GET", "/me", {"user": "ann"}), ("POST", "/logout", {}), ("GET", "/me", refused)
    assert old((let_in, revoke, out), (let_in, revoke, let_in), (0, 0, 1)).kind == "lost"
