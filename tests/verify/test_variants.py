"""Where state lies, by what variants of a world show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from fungible.verify.blame.bench import Question
from fungible.verify.blame.variants import where_held
from fungible.verify.schedule.schedule import Life, Schedule
from fungible.verify.shrink.case import Case

pytestmark = pytest.mark.pure


def where(shows: Callable[[tuple[Life, ...]], bool]) -> str:
    """Where it lies, if a world of these lives shows the difference."""

    async def apart(schedule: Schedule) -> bool:
        return shows(schedule.lives)

    question = Question(Case((2, 3), (0, 1)), cast(Any, None), cast(Any, None), False, "body", apart)
    return asyncio.run(where_held(question))


def test_a_disk_or_a_host_that_is_kept_makes_the_difference_vanish() -> None:
    assert where(lambda lives: len({life.disk for life in lives}) > 1) == "file"
    assert where(lambda lives: len({life.host for life in lives}) > 1) == "identity"
    assert where(lambda lives: True) == "memory"


def test_what_a_process_writes_when_it_ends_in_order_is_no_file_of_its_disk() -> None:
    assert where(lambda lives: all(life.end != "KILL" for life in lives)) == "memory"
