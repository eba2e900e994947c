"""What `fungible record` writes is a workload as the documentation has it, and verifies as it is."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest
import yaml

from fungible.verify.fitness import NotJudged, check_warm, weak_spots
from fungible.verify.record.recording import without_idle_host
from fungible.verify.transcript import Answer
from fungible.verify.workload.file import load_workload
from fungible.verify.workload.recorded import with_statuses
from fungible.verify.workload.steps import Request, Workload
from fungible.verify.world.world import Execution
from tests.runtime.harness import PATIENCE, Home

DOCS = Path(__file__).parents[2] / "docs" / "verify.md"
APP = """
import secrets
from flask import Flask, jsonify, redirect, request, session

app = Flask(__name__)
app.secret_key = "the same in every process"
NOTES = {}

@app.get("/login")
def ask():
    session["csrf"] = secrets.token_hex(8)
    return f'<form method=post><input type=hidden name=csrf value="{session["csrf"]}"></form>'

@app.post("/login")
def login():
    if request.form["csrf"] != session.get("csrf"):
        return "stale form", 400
    session["user"] = request.form["user"]
    return redirect("/")

@app.get("/")
def home():
    return f'hello {session["user"]}' if "user" in session else redirect("/login")

@app.post("/notes")
def note():
    if "user" not in session:
        return "log in", 401
    return jsonify(text=request.json["text"], by=session["user"])
"""
FORGETFUL = APP.replace('session["user"] = request.form["user"]', 'NOTES[session["csrf"]] = 1').replace(
    '"user" in session', 'NOTES.get(session.get("csrf"))'
)
BROWSER = {
    "User-Agent": "Mozilla/5.0",
    "Accept": "text/html,*/*;q=0.8",
    "Accept-Language": "en",
    "Upgrade-Insecure-Requests": "1",
    "Cache-Control": "max-age=0",
    "Sec-Fetch-Mode": "navigate",
}


def visit(url: str) -> None:
    """A browser logs in and posts a note."""
    with httpx.Client(base_url=url, headers=BROWSER, timeout=PATIENCE, trust_env=False) as browser:
        csrf = re.findall('value="([^"]+)"', browser.get("/login").text)[0]
        browser.post("/login", data={"user": "ann", "password": "007", "csrf": csrf}, headers={"Origin": url})
        assert browser.get("/").text == "hello ann"
        browser.post("/notes", json={"text": "one\ntwo"}, headers={"Accept": "*/*"})


def recorded(home: Home, to: str) -> str:
    """Record the visit to the running formation; returns what was said."""
    process = subprocess.Popen(
        [*home.command, "record", "--to", to],
        cwd=home.app,
        env=home.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        visit(process.stdout.readline().strip())
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0, said
    return said


@pytest.mark.timeout(300)
def test_what_is_recorded_reads_as_documented_and_verifies_as_it_is(home: Home) -> None:
    home.write({"shop.py": APP, "Procfile": "web: gunicorn -b 127.0.0.1:$PORT shop:app\n"})
    with home.start("web=2", as_json=False) as formation:
        assert "4 requests of 1 client" in recorded(home, "visit.yaml")
        recorded(home, "visit.json")
        assert formation.stop() == 0
    text = (home.app / "visit.yaml").read_text()
    assert text.startswith("# Recorded by fungible record."), text
    data = yaml.safe_load(text)
    documented = set(re.findall(r"^\| `(\w+)` \|", DOCS.read_text(), re.M))
    assert {*data, *(key for each in data["requests"] for key in each)} <= documented
    assert [each["status"] for each in data["requests"]] == [200, 302, 200, 200]
    assert re.search(r"form: \{user: ann, password: '007', csrf: '\$\{\w+\}'\}", text), text
    assert 'json: {text: "one\\ntwo"}' in text
    assert "Upgrade-Insecure" not in text and "max-age" not in text and "*/*}" not in text, text
    assert data["requests"][1]["headers"]["Origin"] == f"http://{data['host']}"
    assert load_workload(home.app / "visit.json").steps[3] == load_workload(home.app / "visit.yaml").steps[3]
    good = home.run("verify", "visit.yaml", timeout=PATIENCE * 4)
    assert good.returncode == 0, good.stdout + good.stderr
    assert good.stdout.startswith("no difference found")
    home.write({"shop.py": FORGETFUL})
    bad = home.run("verify", "visit.yaml", timeout=PATIENCE * 4)
    assert bad.returncode == 1, bad.stdout + bad.stderr
    assert "held by shop.NOTES[" in bad.stdout


def test_what_is_answered_otherwise_than_when_it_was_recorded_is_told() -> None:
    steps = (Request("POST", "/login", status=302), Request("GET", "/", status=200), Request("GET", "/x", status=404))
    first = [Answer(200, (), b"wrong password"), Answer(302, (), b""), Answer(404, (), b"")]
    execution = cast(Execution, SimpleNamespace(transcript=SimpleNamespace(answers=first), variables={}))
    assert weak_spots(Workload(steps), execution) == [
        "2 of 3 requests are answered otherwise than when they were recorded: #0 with 200 instead of 302, #1 with "
        "302 instead of 200; is data missing, such as the user who logs in? `setup` under [tool.fungible.verify] "
        "makes it"
    ]
    assert with_statuses(Workload(steps[:1]), [Answer(304, (), b"")]).steps == steps[:1], "a cache's word is none"


@pytest.mark.parametrize(
    ("recorded", "now", "judged"),
    [
        ("GET 200 POST 302 GET 200", "200 302 200", True),
        ("GET 200 POST 302 GET 200 GET 200 GET 200", "200 200 200 302 200", False),  # the login fails
        ("POST 302 POST 201 GET 200", "302 400 200", True),
        ("POST 201 GET 200", "500 200", False),
        ("GET 200 GET 200 GET 200", "302 302 200", False),
        ("GET 200 GET 200 GET 200", "302 200 200", True),
        ("POST 302 GET 302 POST 302 GET 302", "302 200 302 200", True),  # recorded where one was logged out
        ("POST 400 GET 404 GET 200", "400 404 200", True),
    ],
)
def test_a_workload_that_does_not_what_it_did_when_it_was_recorded_is_not_judged(
    recorded: str, now: str, judged: bool
) -> None:
    words = iter(recorded.split())
    steps = tuple(Request(method, "/", status=int(status)) for method, status in zip(words, words, strict=True))
    answers = [Answer(int(status), (), b"") for status in now.split()]
    execution = cast(
        Execution, SimpleNamespace(transcript=SimpleNamespace(answers=answers), failures=(), servers=1, variables={})
    )
    with contextlib.nullcontext() if judged else pytest.raises(NotJudged, match=r"instead of .* `setup` under"):
        check_warm(Workload(steps), execution)


def test_the_host_stands_in_the_file_where_a_request_mentions_it() -> None:
    plain = Workload((Request("GET", "/", headers=(("Accept", "x"),)),), host="127.0.0.1:8000")
    assert without_idle_host(plain).host is None
    referring = Workload(
        (Request("GET", "/", headers=(("Referer", "http://127.0.0.1:8000/a"),)),), host="127.0.0.1:8000"
    )
    assert without_idle_host(referring) == referring
