"""The least of several suspects that matters."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from fungible.verify.blame.least import least, without_the_needless

pytestmark = pytest.mark.pure

SUSPECTS = ["a", "b", "c", "d", "e"]


def found(*guilty: str) -> list[str] | None:
    """What is left of the suspects where these matter, all of them together."""

    async def matters(tried: Sequence[str]) -> bool:
        return set(guilty) <= set(tried)

    async def run() -> list[str] | None:
        least_of_them = await least(SUSPECTS, matters, lambda: True)
        return least_of_them and (await without_the_needless(least_of_them, matters, lambda: True))[0]

    return asyncio.run(run())


@pytest.mark.parametrize("guilty", SUSPECTS)
def test_one_is_found_by_halves(guilty: str) -> None:
    assert found(guilty) == [guilty]


def test_two_that_matter_together_are_found_wherever_they_stand() -> None:
    assert found("a", "e") == ["a", "e"]
    assert found("b", "c") == ["b", "c"]


def test_nobody_is_guilty_of_what_nobody_did() -> None:
    assert found("x") is None


@pytest.mark.parametrize(("tries", "known"), [(3, False), (100, True)])
def test_it_is_told_whether_there_was_time_to_tell_them_apart(tries: int, known: bool) -> None:
    left = iter(range(tries))

    async def matters(tried: Sequence[str]) -> bool:
        return {"a", "e"} <= set(tried)

    told = asyncio.run(without_the_needless(SUSPECTS, matters, lambda: next(left, None) is not None))
    assert told == (["a", "e"], True) if known else not told[1]


def test_what_was_told_apart_with_the_last_try_is_known() -> None:
    left = iter(range(1))

    async def matters(tried: Sequence[str]) -> bool:
        return set(tried) == {"a", "b"}

    assert asyncio.run(without_the_needless(["a", "b"], matters, lambda: next(left, None) is not None)) == (
        ["a", "b"],
        True,
    )
