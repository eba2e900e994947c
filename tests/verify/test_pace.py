"""A warm world waits as long as others did, before the very step before which they did."""

from __future__ import annotations

import pytest

from fungible.verify.pace import LONGEST, NOTICED, covers, paced, pauses_for, slow
from fungible.verify.workload.steps import Quiet, Request, Workload

pytestmark = pytest.mark.pure

WARM = (2.0, 0.05, 0.05)


def test_what_a_warm_run_takes_by_itself_is_not_waited_for_again() -> None:
    assert pauses_for([(4.5, 0.05, 0.06)], WARM) == (2.5, 0.0, 0.0)


def test_the_longest_run_tells_and_a_coarse_clock_is_seen_to_move() -> None:
    assert pauses_for([(2.0, 0.3, 0.05), (2.0, 0.05, 3.05)], WARM) == (0.0, NOTICED, 3.0)
    assert pauses_for([(2.0, 0.05, 90.0)], WARM) == (0.0, 0.0, LONGEST)


def test_a_long_pause_elsewhere_is_no_pause_here() -> None:
    # Processes that boot before the first step, then one that boots in the middle: less in all, but another step.
    assert not covers((4.3, 0.0, 0.0), (2.0, 0.0, 2.0))
    assert covers((4.3, 0.0, 2.0), (2.0, 0.0, 2.1))
    assert covers(None, (0.0, 0.0, 0.0)) and not covers(None, (0.0, NOTICED, 0.0))


def test_pauses_are_added_to_those_of_the_workload() -> None:
    workload = Workload((Request("GET", "/"), Quiet(), Request("GET", "/", wait=0.5)))
    waits = [step.wait for step in paced(workload, (1.0, 1.0, 1.0)).steps if isinstance(step, Request)]
    assert waits == [1.0, 1.5]
    assert sum(step.wait for step in slow(workload).steps if isinstance(step, Request)) == 0.5 + NOTICED
