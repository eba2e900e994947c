"""What an experiment found, as plain data; the report is made of nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fungible.verify.blame.culprit import Culprit
from fungible.verify.compare import Deviation, NotJudged, Sensitivity
from fungible.verify.schedule.coverage import Coverage
from fungible.verify.shrink.case import Case
from fungible.verify.workload.steps import Workload

Verdict = Literal["no_difference", "stateful", "not_judged"]


@dataclass(frozen=True)
class Difference:
    """A difference between worlds, confirmed: `shown` of `tried` repeats, never in as many warm ones."""

    deviation: Deviation
    case: Case
    world: str
    requests: tuple[str, ...]
    shown: int
    tried: int
    minimal: bool
    also: tuple[int, ...] = ()
    culprit: Culprit = field(default_factory=Culprit)
    known: bool = False
    """Accepted by a baseline."""

    @property
    def observer(self) -> int:
        """The step at which it shows."""
        return self.case.observer


@dataclass(frozen=True)
class Note:
    """Something worth knowing that is no difference: order by hash seed, a process's name in an answer."""

    step: int | None
    place: str
    text: str


@dataclass(frozen=True)
class WorldRow:
    """A world that ran: its name, the slot of each step (-1 for none), and the steps at which it deviated."""

    world: str
    placement: tuple[int, ...]
    deviating: tuple[int, ...] = ()


@dataclass(frozen=True)
class Findings:
    """The outcome. `reasons` say why nothing was judged; `not_covered` what these worlds cannot show.

    `grid` has a row for every world of the experiment, warm ones first. `workload` is the one that ran, with the
    bindings that were found; `variables` are the values of its warm run. `source` is the workload's file as the
    report names it.
    """

    verdict: Verdict
    app: str
    steps: int
    worlds: int
    executions: int
    boots: int
    seconds: float
    isolation: str
    coverage: Coverage
    differences: tuple[Difference, ...] = ()
    notes: tuple[Note, ...] = ()
    not_judged: tuple[NotJudged, ...] = ()
    sensitivity: Sensitivity | None = None
    canaries: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    not_covered: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    mode: str = "boot"
    grid: tuple[WorldRow, ...] = ()
    workload: Workload | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


LIMITS = (
    "races and locks between requests that overlap in time",
    "time: expiry, schedules, what only shows after a wait",
    "eviction and growth over long runs",
    "requests that are not in the workload",
    "some patterns of four or more requests",
    "services that cannot be put back between worlds",
)
"""Out of reach of any sequential replay; said in the docs and in every report."""
