"""An app whose processes cannot be looked into: the verdict and the place are told, and nobody waits for an agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verify.leaks.experiments import run, write_program
from tests.verify.leaks.leak import get, post

pytestmark = pytest.mark.timeout(600)

APP = """
    import os
    import sys

    sys.path.insert(0, os.getcwd())
    from web import route, serve

    NAMES = []


    @route("POST", "/names")
    def add(call):
        NAMES.append(call.json["name"])
        return {"ok": True}


    @route("GET", "/names")
    def names(call):
        return {"names": NAMES}


    @route("GET", "/hello")
    def hello(call):
        return {"hello": NAMES}


    @route("POST", "/draft")
    def write(call):
        with open("draft.txt", "w") as file:
            file.write(call.json["text"])
        return {"ok": True}


    @route("GET", "/draft")
    def read(call):
        return {"draft": open("draft.txt").read() if os.path.exists("draft.txt") else None}


    serve()
"""


def test_processes_without_the_agent_are_asked_for_it_once_and_what_one_request_leaves_is_told_once(
    tmp_path: Path,
) -> None:
    names = [post("/names", {"name": "ann"}), get("/names"), get("/hello")]
    requests = [*names, post("/draft", {"text": "Dear"}), get("/draft")]
    # -I: neither PYTHONPATH nor sitecustomize is heeded, as by a program in another language.
    app = write_program(tmp_path / "app", APP, requests, web="python -I app.py")
    said: list[str] = []
    findings = run(app, tmp_path / "state", mode="boot", said=said)
    first, second = findings.differences
    assert (first.observer, first.also) == (1, (2,))
    assert (first.culprit.where, first.culprit.object) == ("memory", None)
    assert (second.culprit.where, second.culprit.file) == ("file", "draft.txt")
    assert any("not Python's" in text for text in findings.warnings)
    assert sum("looking for what changed" in text for text in said) == 1
