"""One leak is one difference wherever it shows, and distinct leaks stay distinct though one request writes both."""

from __future__ import annotations

from pathlib import Path

import pytest

from fungible.verify.findings import Findings
from tests.verify.leaks.experiments import run, write_program
from tests.verify.leaks.leak import get, post

pytestmark = pytest.mark.timeout(600)

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


FILES = """
    import os

    from web import route, serve


    def lines(name):
        return open(name).read().split() if os.path.exists(name) else []


    @route("POST", "/orders")
    def order(call):
        with open("orders.txt", "a") as file:
            file.write(call.json["item"] + "\\n")
        return 201, {"ordered": len(lines("orders.txt"))}


    @route("GET", "/orders")
    def orders(call):
        return {"orders": lines("orders.txt")}


    @route("GET", "/bill")
    def bill(call):
        return {"total": 3 * len(lines("orders.txt"))}


    @route("POST", "/note")
    def note(call):
        with open("note.txt", "w") as file:
            file.write(call.json["text"])
        return 201, {}


    @route("GET", "/note")
    def read(call):
        return {"note": lines("note.txt")}


    serve()
"""
ORDERS = [post("/orders", {"item": "tea"}), post("/orders", {"item": "rice"}), get("/orders"), get("/bill")]


def test_a_file_is_confirmed_once_wherever_it_shows_and_another_one_for_itself(tmp_path: Path) -> None:
    requests = [*ORDERS, post("/note", {"text": "Dear"}), get("/note")]
    said: list[str] = []
    findings = run(write_program(tmp_path / "app", FILES, requests), tmp_path / "state", said=said)
    assert [each.culprit.file for each in findings.differences] == ["orders.txt", "note.txt"]
    assert [(each.observer, each.also) for each in findings.differences] == [(1, (2, 3)), (5, ())]
    assert sum("confirming" in text for text in said) == 2, said


CHAT = """
    import secrets

    from web import route, serve

    SAID = []


    @route("POST", "/say")
    def say(call):
        mark = secrets.token_hex(8)
        SAID.append((mark, call.json["text"]))
        return 201, {"mark": mark}


    @route("POST", "/since")
    def since(call):
        marks = [mark for mark, _ in SAID]
        seen = marks.index(call.json["mark"]) + 1 if call.json["mark"] in marks else 0
        return {"said": [text for _, text in SAID[seen:]]}


    serve()
"""


def test_what_takes_other_requests_is_asked_whether_the_known_object_explains_it(tmp_path: Path) -> None:
    requests = [
        post("/say", {"text": "hello"}, save={"mark": "json:$.mark"}),
        post("/since", {"mark": ""}),
        post("/say", {"text": "again"}),
        post("/since", {"mark": "${mark}"}),
    ]
    said: list[str] = []
    findings = run(write_program(tmp_path / "app", CHAT, requests), tmp_path / "state", said=said)
    (difference,) = findings.differences
    assert (difference.culprit.object or "").startswith("app.SAID") and difference.culprit.confirmed
    assert (difference.observer, difference.also) == (1, (3,))
    assert sum("confirming" in text for text in said) == 1, said


TICKETS = """
    from web import route, serve


    def numbers():
        number = 0
        while True:
            number += 1
            yield number


    tickets = numbers()


    @route("POST", "/ticket")
    def ticket(call):
        return 201, {"ticket": f"T-{next(tickets)}"}


    @route("POST", "/seat")
    def seat(call):
        return 201, {"seat": f"row {next(tickets)}"}


    serve()
"""


def test_what_can_only_be_suspected_is_told_once_and_not_searched_for_again(tmp_path: Path) -> None:
    said: list[str] = []
    app = write_program(tmp_path / "app", TICKETS, [post("/ticket"), post("/ticket"), post("/seat")])
    (difference,) = run(app, tmp_path / "state", said=said).differences
    assert (difference.culprit.object, difference.culprit.confirmed) == ("app.tickets", False)
    assert (difference.observer, difference.also) == (1, (2,))
    assert sum("the same hash seed" in text for text in said) == 1, said


PAGE = """
    from web import route, serve

    THEME = {"class": "light"}
    GREETING = ["Welcome"]


    @route("GET", "/page")
    def page(call):
        return f"<body class={THEME['class']}><h1>{GREETING[0]}</h1></body>"


    @route("POST", "/theme")
    def theme(call):
        THEME["class"] = call.json["class"]
        return {}


    @route("POST", "/greeting")
    def greeting(call):
        GREETING[0] = call.json["text"]
        return {}


    serve()
"""


@pytest.mark.parametrize("between", [True, False], ids=["seen before", "seen at once"])
def test_two_leaks_on_one_page_are_two_though_each_has_its_own_writer(tmp_path: Path, between: bool) -> None:
    theme, greeting = post("/theme", {"class": "dark"}), post("/greeting", {"text": "Sale"})
    requests = [get("/page"), theme, *([get("/page")] if between else []), greeting, get("/page")]
    findings = run(write_program(tmp_path / "app", PAGE, requests), tmp_path / "state")
    held = sorted((each.culprit.object or "").partition("[")[0] for each in findings.differences)
    assert held == ["app.GREETING", "app.THEME"], findings.differences
    assert all(each.culprit.confirmed and len(each.case.kept) == 2 for each in findings.differences)


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
