"""After which steps a process is replaced: where a store may have changed. Pure."""

from __future__ import annotations

import itertools

from fungible.verify.workload.steps import Job, Request, Workload

SAFE = ("GET", "HEAD", "OPTIONS")
MOST_LATE = 16
"""Processes really booted late at most: one after each of so many writing steps."""
MOST_IMPORTED = 64
"""Processes that import the app late at most, where that is all that a boot would do."""


def writing_steps(workload: Workload) -> list[int]:
    """The steps that may change a store: jobs, and requests by any method that is not safe (RFC 9110, 9.2.1)."""
    return [
        index
        for index, step in enumerate(workload.steps)
        if isinstance(step, Job) or (isinstance(step, Request) and step.method not in SAFE)
    ]


def late_cuts(workload: Workload, *, forked: bool, most: int = MOST_LATE) -> list[int]:
    """Before which steps a slot is born late, to show what is read once at boot.

    Newborn processes that are booted show that for every step; forked ones share what their import read, so there
    a late slot follows each writing step, or where these are more than `most`, some of them.
    """
    quiet = workload.quiet()
    served = [index for index in range(len(workload.steps)) if index not in quiet]
    middle = served[len(served) // 2 :][:1] if len(served) > 1 else []
    if not forked:
        return middle
    writes = set(writing_steps(workload))
    cuts = [following for index, following in itertools.pairwise(served) if index in writes]
    if len(cuts) > most:
        cuts = [cuts[round(number * (len(cuts) - 1) / (most - 1))] for number in range(most)]
    return sorted(set(cuts)) or middle
