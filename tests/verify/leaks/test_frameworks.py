"""Leaks that are a framework's own default, on the real frameworks and servers, and in a worker process."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest

from fungible.verify.findings import Findings
from tests.verify.leaks.experiments import run, write_workload
from tests.verify.leaks.leak import MARK, get, post

pytestmark = pytest.mark.timeout(600)

FLASK = """
import flask

app = flask.Flask(__name__)
app.secret_key = "from the environment"
LOGINS = {}


@app.post("/login")
def login():
    user = flask.request.get_json()["user"]
    flask.session["user"] = user
    LOGINS[user] = {"basket": []}  # <--
    return {"welcome": user}


@app.get("/basket")
def basket():
    user = flask.session.get("user")
    if user not in LOGINS:
        return {"error": "log in first"}, 401
    return LOGINS[user]
"""
FLASK_MENDED = FLASK.replace('LOGINS[user] = {"basket": []}', "").replace(
    "user not in LOGINS", "user is None").replace("return LOGINS[user]", 'return {"basket": []}')  # fmt: skip

DJANGO = """
import os

from django.conf import settings
from django.core.cache import cache
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

settings.configure(SECRET_KEY="from the environment", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])


def send(request):
    cache.set("code:ann", "4711")  # <--
    return JsonResponse({"sent": True})


def check(request):
    right = cache.get("code:ann") == request.GET["code"]
    return JsonResponse({"verified": right}, status=200 if right else 403)


urlpatterns = [path("send", send), path("check", check)]
application = get_wsgi_application()
"""
DJANGO_MENDED = DJANGO.replace('cache.set("code:ann", "4711")', "pass").replace(
    'cache.get("code:ann") == request.GET["code"]',
    'request.get_signed_cookie("code") == request.GET["code"]',
).replace('return JsonResponse({"sent": True})', """answer = JsonResponse({"sent": True})
    answer.set_signed_cookie("code", "4711")
    return answer""")  # fmt: skip

FASTAPI = """
from fastapi import BackgroundTasks, FastAPI, HTTPException

app = FastAPI()
REPORTS: dict[str, str] = {}


async def build(name: str) -> None:
    REPORTS[name] = f"report of {name}"  # <--


@app.post("/reports/{name}", status_code=202)
async def begin(name: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(build, name)
    return {"accepted": name}


@app.get("/reports/{name}")
async def read(name: str) -> dict[str, str]:
    if name not in REPORTS:
        raise HTTPException(404)
    return {"text": REPORTS[name]}
"""
FASTAPI_MENDED = FASTAPI.replace("if name not in REPORTS", 'if name == "none"').replace(
    "REPORTS[name]}", 'f"report of {name}"}')  # fmt: skip

WEB = """
from web import route, serve, store


@route("POST", "/orders")
def order(call):
    store().execute("INSERT INTO queue (amount) VALUES (?)", (call.json["amount"],))
    return 202, {}


@route("GET", "/total")
def total(call):
    return {"total": store().execute("SELECT amount FROM total").fetchone()[0]}


serve()
"""
WORKER = """
import time

from web import store

total = 0
database = store()
while True:
    taken = database.execute("DELETE FROM queue RETURNING amount").fetchall()
    for (amount,) in taken:
        total += amount  # <--
        database.execute("UPDATE total SET amount = ?", (total,))
    time.sleep(0.05)
"""
WORKER_MENDED = WORKER.replace('amount = ?", (total,)', 'amount = amount + ?", (amount,)')
SCHEMA = """
from web import store

store().executescript("CREATE TABLE queue (amount INTEGER); CREATE TABLE total (amount INTEGER);")
store().execute("INSERT INTO total VALUES (0)")
"""
WORKER_SETTINGS = """
[services]
DATABASE_URL = "sqlite"
[verify]
setup = "python schema.py"
"""


def _verify(folder: Path, command: str, source: str, requests: list[dict[str, Any]], **files: str) -> Findings:
    (folder / "app").mkdir()
    (folder / "app" / "app.py").write_text(source.lstrip())
    (folder / "app" / "Procfile").write_text(f"web: {command}\n")
    for name, text in files.items():
        (folder / "app" / name.replace("_", ".")).write_text(textwrap.dedent(text))
    shutil.copy(Path(__file__).with_name("web.py"), folder / "app")
    write_workload(folder / "app", requests)
    return run(folder / "app", folder / "state")


def _line(source: str) -> str:
    return f"app.py:{_line_number(source.lstrip())}"


def _line_number(source: str) -> int:
    return next(number for number, line in enumerate(source.splitlines(), start=1) if MARK in line)


FRAMEWORKS = {
    "flask with -w 4": (
        "gunicorn -w 4 -b 127.0.0.1:$PORT app:app",
        FLASK,
        FLASK_MENDED,
        [get("/basket"), post("/login", {"user": "ann"}), get("/basket")],
        "app.LOGINS",
    ),
    "django's default cache": (
        "gunicorn -w 1 -b 127.0.0.1:$PORT app:application",
        DJANGO,
        DJANGO_MENDED,
        [get("/send"), get("/check?code=4711")],
        "django.core.cache.backends.locmem",
    ),
    "background tasks of fastapi": (
        "uvicorn --host 127.0.0.1 --port $PORT app:app",
        FASTAPI,
        FASTAPI_MENDED,
        [post("/reports/may"), get("/reports/may", wait=0.1)],
        "app.REPORTS",
    ),
}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_leak_of_a_framework_is_found_and_blamed(tmp_path: Path, name: str) -> None:
    command, leaking, _, requests, held_by = FRAMEWORKS[name]
    findings = _verify(tmp_path, command, leaking, requests)
    (difference,) = findings.differences
    assert difference.minimal and len(difference.case.kept) == 2
    culprit = difference.culprit
    assert culprit.confirmed and culprit.object is not None and culprit.object.startswith(held_by), culprit
    assert _line(leaking) in (culprit.written_at, culprit.called_from), culprit


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_mended_twin_of_a_framework_shows_no_difference(tmp_path: Path, name: str) -> None:
    command, _, mended, requests, _ = FRAMEWORKS[name]
    findings = _verify(tmp_path, command, mended, requests)
    assert findings.verdict == "no_difference", (findings.reasons, findings.differences)


_ORDERS = [post("/orders", {"amount": 3}), {"until": "quiet"}, post("/orders", {"amount": 4}), {"until": "quiet"}]


def _worker(folder: Path, worker: str) -> Findings:
    return _verify(
        folder,
        "python app.py\nworker: python worker.py",
        WEB,
        [*_ORDERS, get("/total")],
        worker_py=worker,
        schema_py=SCHEMA,
        fungible_toml=WORKER_SETTINGS,
    )


def test_a_leaking_worker_is_found(tmp_path: Path) -> None:
    findings = _worker(tmp_path, WORKER)
    (difference,) = findings.differences
    assert difference.minimal
    assert [text for text in difference.requests if "quiet" not in text] == [
        "#0 POST /orders",
        "#2 POST /orders",
        "#4 GET /total",
    ]
    culprit = difference.culprit
    assert (culprit.object, culprit.confirmed) == ("worker.total", True), culprit
    assert culprit.where == "memory of a worker process"
    assert culprit.written_at == f"worker.py:{_line_number(WORKER)}"


SEEDING = """
import os
import sqlite3

import flask

app = flask.Flask(__name__)
PATH = os.environ["DATABASE_URL"].partition("://")[2][1:]


def posts():
    with sqlite3.connect(PATH) as database:
        return [title for title, in database.execute("SELECT title FROM posts ORDER BY rowid")]


def write(title):
    with sqlite3.connect(PATH) as database:  # <--
        database.execute("INSERT INTO posts VALUES (?)", (title,))


write("Welcome")


@app.get("/posts")
def show():
    return flask.jsonify(posts())


@app.post("/posts")
def add():
    write(flask.request.get_json()["title"])
    return {}, 201
"""
SEEDED = """
import os
import sqlite3

sqlite3.connect(os.environ["DATABASE_URL"].partition("://")[2][1:]).execute("CREATE TABLE posts (title TEXT)")
"""


def test_what_every_boot_writes_is_told_with_its_line(tmp_path: Path) -> None:
    findings = _verify(
        tmp_path,
        "gunicorn -b 127.0.0.1:$PORT app:app",
        SEEDING,
        [get("/posts"), post("/posts", {"title": "Second"}), get("/posts")],
        schema_py=SEEDED,
        fungible_toml=WORKER_SETTINGS,
    )
    (difference,) = findings.differences
    culprit = difference.culprit
    assert (culprit.where, culprit.confirmed, culprit.object) == ("start", True, None), culprit
    assert culprit.called_from == _line(SEEDING)


def test_a_clean_worker_shows_no_difference(tmp_path: Path) -> None:
    findings = _worker(tmp_path, WORKER_MENDED)
    assert findings.verdict == "no_difference", (findings.reasons, findings.differences)
