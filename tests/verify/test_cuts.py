"""After which steps processes are replaced."""

from __future__ import annotations

import pytest

from fungible.verify.cuts import MOST_LATE, late_cuts, writing_steps
from fungible.verify.workload.steps import Job, Quiet, Request, Workload

pytestmark = pytest.mark.pure

GET, POST = Request("GET", "/"), Request("POST", "/")


def test_writing_steps_are_jobs_and_unsafe_requests() -> None:
    workload = Workload((GET, POST, Quiet(), Job("true"), Request("PROPFIND", "/"), Request("OPTIONS", "/")))
    assert writing_steps(workload) == [1, 3, 4]


def test_forked_worlds_have_a_boot_after_each_writing_step_that_something_follows() -> None:
    assert late_cuts(Workload((GET, POST, GET, POST)), forked=True) == [2]
    assert late_cuts(Workload((POST, Quiet(), GET, GET)), forked=True) == [2]
    assert late_cuts(Workload((GET, GET, GET)), forked=True) == [1]
    assert late_cuts(Workload((GET, POST, GET, GET)), forked=False) == [2]


def test_there_are_not_too_many_boots_and_they_lie_apart() -> None:
    cuts = late_cuts(Workload((POST, GET) * 100), forked=True)
    assert len(cuts) == MOST_LATE
    assert cuts[0] == 1 and cuts[-1] == 199
    assert len(late_cuts(Workload((POST, GET) * 100), forked=True, most=64)) == 64
