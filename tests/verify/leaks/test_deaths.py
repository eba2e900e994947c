"""A process that ends by itself once, and not when the same world is run again, is no difference; one that does so
again is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fungible.verify.transcript import Answer
from fungible.verify.world.laboratory import Laboratory
from fungible.verify.world.world import Execution
from tests.verify.leaks.experiments import run, write_program
from tests.verify.leaks.leak import get, post

pytestmark = pytest.mark.timeout(600)

APP = """
    import os

    from web import route, serve

    OPEN = []


    @route("POST", "/open")
    def open_door(call):
        OPEN.append(1)
        return 200, {{"open": True}}


    @route("GET", "/room")
    def room(call):
        if not OPEN and {strict}:
            os._exit(3)
        return 200, {{"room": "blue"}}


    serve()
"""
REQUESTS = [post("/open", {}), get("/room")]


class Racing(Laboratory):
    """One world in which a process ended before it answered the first request: what a lost race looks like."""

    raced = False

    async def run(self, *arguments: Any, **named: Any) -> Execution:
        execution = await super().run(*arguments, **named)
        if self.raced or not execution.schedule.name.startswith("split"):
            return execution
        self.raced = True
        transcript = execution.transcript
        answers = (Answer(0, fault="reset"), *transcript.answers[1:])
        return replace(execution, transcript=replace(transcript, answers=answers))


def test_an_end_that_does_not_come_again_is_told_and_no_difference(tmp_path: Path) -> None:
    app = write_program(tmp_path / "app", APP.format(strict="False"), REQUESTS)
    said: list[str] = []
    findings = run(app, tmp_path / "state", said=said, laboratory=Racing)
    assert findings.verdict == "no_difference"
    (told,) = [each for each in findings.warnings if "ended by itself" in each]
    assert "world: a process ended by itself at #0 POST /open" in told
    assert not [each for each in said if "making the difference small" in each]


def test_an_end_that_comes_of_a_request_is_found(tmp_path: Path) -> None:
    findings = run(write_program(tmp_path / "app", APP.format(strict="True"), REQUESTS), tmp_path / "state")
    (difference,) = findings.differences
    assert difference.requests == ("#0 POST /open", "#1 GET /room")
    assert not [each for each in findings.warnings if "ended by itself" in each]
