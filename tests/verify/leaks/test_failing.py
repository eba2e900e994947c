"""A workload that fails says nothing of its app, however short it is; failures that are meant say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.verify.leaks.experiments import run, write_program
from tests.verify.leaks.leak import get, post

pytestmark = pytest.mark.timeout(600)

APP = """
    from web import route, serve

    BASKET = []


    @route("GET", "/hello")
    def hello(call):
        return {"hello": "world"}


    @route("POST", "/basket")
    def add(call):
        if call.headers.get("key") != "s3cret":
            return 403, {"error": "no key"}
        BASKET.append(call.json["item"])
        return 201, {}


    @route("GET", "/basket")
    def basket(call):
        return {"basket": BASKET}


    @route("POST", "/login")
    def login(call):
        return 401, {"error": "wrong password"}


    serve()
"""


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ([get("/none")], "the only request failed in one warm process (404)"),
        ([post("/login"), post("/login")], "2 of 2 requests failed in one warm process (the first with 401)"),
        ([post("/basket"), get("/basket")], "1 of 2 requests failed in one warm process (#0 with 403)"),
        ([get("/none"), post("/basket"), get("/basket")], "2 of 3 requests failed"),
    ],
    ids=["the only one", "both", "the one that writes", "two of three"],
)
def test_a_workload_of_failures_is_not_judged(tmp_path: Path, requests: list[dict[str, Any]], said: str) -> None:
    findings = run(write_program(tmp_path / "app", APP, requests), tmp_path / "state", mode="boot")
    assert findings.verdict == "not_judged"
    assert said in findings.reasons[0]


@pytest.mark.parametrize(
    "requests",
    [
        [get("/hello")],
        [get("/hello"), post("/login", status=401)],
        [get("/hello"), post("/login"), get("/basket")],
    ],
    ids=["one that answers", "a failure that is meant", "two are left"],
)
def test_a_workload_that_answers_is_judged(tmp_path: Path, requests: list[dict[str, Any]]) -> None:
    findings = run(write_program(tmp_path / "app", APP, requests), tmp_path / "state", mode="boot")
    assert findings.verdict == "no_difference", findings.reasons


def test_what_failed_may_still_be_a_difference(tmp_path: Path) -> None:
    tries = 'TRIES = []\n\n\n    @route("POST", "/login")\n    def login(call):\n        TRIES.append(1)\n'
    counting = APP.replace('@route("POST", "/login")\n    def login(call):\n', tries).replace(
        "return 401,", "return 429 if len(TRIES) > 1 else 401,"
    )
    app = write_program(tmp_path / "app", counting, [get("/hello"), post("/login"), post("/login")])
    assert run(app, tmp_path / "state", mode="boot").verdict == "stateful"
