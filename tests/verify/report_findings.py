"""Findings of an imagined shop, for the tests of reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from fungible.verify.blame.culprit import Culprit
from fungible.verify.compare import Blind, Deviation, NotJudged, Sensitivity
from fungible.verify.findings import LIMITS, Difference, Findings, Note, WorldRow
from fungible.verify.schedule.coverage import Coverage
from fungible.verify.shrink.case import Case
from fungible.verify.workload.steps import Request, Workload

WORKLOAD = Workload(
    (
        Request("POST", "/login", form=(("user", "ann"), ("password", "opensesame"))),
        Request("POST", "/items", json={"title": "one"}, save={"id": "json:$.id"}),
        Request("GET", "/items/${id}", headers=(("Authorization", "Bearer 0123456789abcdef"),)),
        Request("GET", "/report?token=tok-9876543210"),
        Request("GET", "/items"),
        Request("GET", "/about"),
    ),
    path=Path("tests/workload.yaml"),
)

BASKET = Difference(
    deviation=Deviation(4, None, "body.items", "equal", {"length": 2, "missing": ["two"]}, {"length": 1}, "lost"),
    case=Case((1, 4), (0, 1)),
    world="newborn",
    requests=("#1 POST /items", "#4 GET /items"),
    shown=3,
    tried=3,
    minimal=True,
    also=(2,),
    culprit=Culprit(
        "shop.views.CARTS['ann']", None, "shop/views.py:9", "shop/views.py:41", "shop/views.py:41", True, "memory"
    ),
)

STATUS = Difference(
    deviation=Deviation(3, None, "status", "equal", 200, 403, "lost"),
    case=Case((0, 1, 3), (0, 1, 0)),
    world="split 2",
    requests=("#0 POST /login", "#1 POST /items", "#3 GET /report?token=tok-9876543210"),
    shown=3,
    tried=3,
    minimal=True,
    culprit=Culprit(where="memory"),
)


def findings(*differences: Difference, **changed: Any) -> Findings:
    """Findings with everything in them."""
    made = Findings(
        verdict="stateful" if differences else "no_difference",
        app="shop",
        steps=6,
        worlds=12,
        executions=72,
        boots=30,
        seconds=4.25,
        isolation="full",
        coverage=Coverage((15, 15), (20, 20), 0.65),
        differences=differences,
        notes=(Note(5, "body", "the order depends on the hash seed alone"),),
        not_judged=(NotJudged("GET /clock", (5,), "3 of 4 values are masked"),),
        sensitivity=Sensitivity(
            20, 22, (Blind("GET /items", "body.at"),), {"GET /items": (10, 12), "GET /about": (10, 10)}
        ),
        canaries=("counter", "stale cache"),
        not_covered=LIMITS,
        grid=(
            WorldRow("warm", (0,) * 6),
            WorldRow("newborn", (0, 1, 2, 3, 4, 5), (2, 4)),
            WorldRow("split 1", (0, 1, 0, 1, 0, 1), (4,)),
            WorldRow("late from step 3", (0, 0, 0, 1, 1, 1), (3, 4)),
        ),
        workload=WORKLOAD,
        source="tests/workload.yaml",
    )
    return replace(made, **changed)


def differing(
    place: str, expected: Any, got: Any, kind: Any = "lost", culprit: Culprit | None = None, **changed: Any
) -> Difference:
    """A difference at the last of two requests."""
    deviation = Deviation(4, changed.pop("store", None), place, changed.pop("relation", "equal"), expected, got, kind)
    return replace(BASKET, deviation=deviation, culprit=culprit or Culprit(), also=(), **changed)
