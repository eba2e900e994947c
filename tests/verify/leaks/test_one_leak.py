"""One leak is one difference wherever it shows, and distinct leaks stay distinct though one request writes both."""

from __future__ import annotations

from pathlib import Path

import pytest

from fungible.verify.findings import Findings
from tests.verify.leaks.experiments import run, write_program
from tests.verify.leaks.leak import get, post

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("one leak")]

APP = """
    import secrets

    from web import route, serve

    LOGINS = {}
    DRAFTS = {}
    LAST = []


    def user(call):
        return LOGINS.get(call.cookies.get("token"))


    @route("POST", "/login")
    def login(call):
        token = secrets.token_hex(8)
        LOGINS[token] = call.json["user"]
        DRAFTS[call.json["user"]] = "Dear all"
        return 200, {"ok": True}, {"Set-Cookie": f"token={token}"}


    @route("GET", "/account")
    def account(call):
        return {"user": user(call)} if user(call) else (401, {"error": "log in"})


    @route("GET", "/orders")
    def orders(call):
        return {"orders": []} if user(call) else (401, {"error": "log in"})


    @route("GET", "/draft")
    def draft(call):
        return {"draft": DRAFTS.get(call.query["of"])}


    @route("GET", "/home")
    def home(call):
        return {"user": user(call), "draft": DRAFTS.get(call.query["of"])}


    serve()
"""


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    folder = tmp_path_factory.mktemp("one")
    app = write_program(
        folder / "app",
        APP,
        [
            post("/login", {"user": "ann"}),
            get("/account"),
            get("/orders"),
            get("/draft?of=ann"),
            get("/home?of=ann"),
            get("/account"),
            post("/login", {"user": "ann"}),
            get("/account"),
        ],
    )
    return run(app, folder / "state")


def test_there_are_two_leaks(findings: Findings) -> None:
    told = {(each.culprit.object or "").partition("[")[0]: each for each in findings.differences}
    assert {"app.LOGINS", "app.DRAFTS"} <= set(told), findings.differences
    assert [each.observer for each in (told["app.LOGINS"], told["app.DRAFTS"])] == [1, 3]
    assert all(each.culprit.confirmed for each in findings.differences)


def test_a_leak_is_listed_once_wherever_it_shows(findings: Findings) -> None:
    (login,) = [each for each in findings.differences if (each.culprit.object or "").startswith("app.LOGINS")]
    assert set(login.also) >= {2, 5, 7}


def test_a_page_that_shows_both_is_told_with_one_of_them(findings: Findings) -> None:
    assert len(findings.differences) == 2
    assert 4 in {step for each in findings.differences for step in each.also}


PROJECTS = """
    from web import route, serve, store

    PROJECTS = {name: "closed" for name, in store().execute("SELECT name FROM projects")}


    @route("POST", "/projects")
    def create(call):
        store().execute("INSERT INTO projects VALUES (?)", (call.json["name"],))
        PROJECTS[call.json["name"]] = "opened"
        return 201, {"created": call.json["name"]}


    @route("GET", "/projects")
    def projects(call):
        return {"projects": [{"name": name, "status": status} for name, status in PROJECTS.items()]}


    @route("GET", "/project")
    def project(call):
        if call.rest not in PROJECTS:
            return 404, {"error": "no such project"}
        return {"name": call.rest, "status": PROJECTS[call.rest]}


    serve()
"""
SETTINGS = """
[services]
DATABASE_URL = "sqlite"
[verify]
setup = "python -c 'from web import store; store().execute(\\"CREATE TABLE projects (name TEXT)\\")'"
"""


def test_what_has_another_status_without_the_culprit_is_listed_with_it(tmp_path: Path) -> None:
    # Another process reads the project as it is stored; without its entry, the first one has none at all.
    requests = [post("/projects", {"name": "lab"}), get("/projects"), get("/project/lab")]
    app = write_program(tmp_path / "app", PROJECTS, requests, settings=SETTINGS)
    (difference,) = run(app, tmp_path / "state", mode="boot").differences
    assert (difference.culprit.object or "").startswith("app.PROJECTS")
    assert (difference.observer, difference.also) == (1, (2,))
