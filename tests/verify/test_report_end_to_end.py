"""The report, the saved files and the baseline of a real run: a small app that keeps logins in a module's dict."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from fungible.verify.workload.file import load_workload

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("report")]

BIN = Path(sys.executable).parent
APP = """
import os
from flask import Flask, jsonify, make_response, request

app = Flask(__name__)
LOGINS = {}


@app.post("/login")
def login():
    answer = make_response(jsonify(welcome=request.form["user"]))
    answer.set_cookie("who", request.form["user"])
    LOGINS[request.form["user"]] = True
    return answer


@app.get("/me")
def me():
    if not LOGINS.get(request.cookies.get("who")):
        return jsonify(error="log in first", hint=os.environ.get("SHOP_TOKEN")), 401
    return jsonify(user=request.cookies["who"])
"""
PLAIN = """
import json
import os
from http.cookies import SimpleCookie
from urllib.parse import parse_qs
from wsgiref.simple_server import make_server

LOGINS = {}


def app(environ, start_response):
    cookies = SimpleCookie(environ.get("HTTP_COOKIE", ""))
    who = cookies["who"].value if "who" in cookies else None
    status, headers, told = "404 Not Found", [], {}
    if environ["PATH_INFO"] == "/login":
        user = parse_qs(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode())["user"][0]
        LOGINS[user] = True
        status, headers, told = "200 OK", [("Set-Cookie", f"who={user}")], {"welcome": user}
    elif environ["PATH_INFO"] == "/me":
        known = LOGINS.get(who)
        status, told = ("200 OK", {"user": who}) if known else ("401 Unauthorized", {"error": "log in first"})
    start_response(status, [("Content-Type", "application/json"), *headers])
    return [json.dumps(told).encode()]


make_server("127.0.0.1", int(os.environ["PORT"]), app).serve_forever()
"""
MENDED = PLAIN.replace("LOGINS.get(who)", "who")
WORKLOAD = """
requests:
  - {method: POST, path: /login, form: {user: ann, password: opensesame}}
  - {method: GET, path: /me, headers: {Authorization: Bearer 0123456789abcdef}}
"""


def _environment(home: Path, **more: str) -> Mapping[str, str]:
    return {
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "SHOP_TOKEN": "shop-token-value",
        **more,
    }


def _fungible(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "fungible"), "verify", "--app", "shop", *arguments],
        cwd=folder,
        env=_environment(folder),
        capture_output=True,
        text=True,
        timeout=280,
    )


@dataclass(frozen=True)
class _Ran:
    folder: Path
    ended: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> _Ran:
    """One run that writes everything."""
    folder = tmp_path_factory.mktemp("verify")
    (folder / "shop" / "tests").mkdir(parents=True)
    (folder / "shop" / "app.py").write_text(APP)
    (folder / "shop" / "Procfile").write_text("web: gunicorn -w 1 -b 127.0.0.1:$PORT app:app\n")
    (folder / "shop" / "workload.yaml").write_text(WORKLOAD)
    ended = _fungible(
        folder,
        *("shop/workload.yaml", "--json", "--report", "report.html", "--save-minimal", "minimal.yaml"),
        *("--save-test", "shop/tests/test_saved.py", "--baseline", "known.json", "--update-baseline"),
    )
    return _Ran(folder, ended)


@pytest.fixture
def plain(first: _Ran) -> Iterator[_Ran]:
    """The same, where the app is meanwhile a program that takes a third of the time to boot."""
    before = {name: (first.folder / "shop" / name).read_text() for name in ("app.py", "Procfile")}
    (first.folder / "shop" / "app.py").write_text(PLAIN)
    (first.folder / "shop" / "Procfile").write_text("web: python app.py\n")
    yield first
    for name, text in before.items():
        (first.folder / "shop" / name).write_text(text)


def test_the_run_finds_and_names_it(first: _Ran) -> None:
    assert first.ended.returncode == 0, first.ended.stderr  # what is found is accepted by the new baseline
    report = json.loads(first.ended.stdout)
    assert report["verdict"] == "stateful" and report["workload"] == "workload.yaml"
    (difference,) = report["differences"]
    assert difference["outcome"] == "401 Unauthorized instead of 200 OK"
    assert difference["requests"] == ["#0 POST /login", "#1 GET /me"]
    assert difference["processes"] == ["A", "B"]
    assert difference["known"] is True
    assert difference["class"] == "session-in-memory"


def test_no_output_shows_a_secret_or_a_path_of_the_machine(first: _Ran) -> None:
    page = (first.folder / "report.html").read_text()
    assert "401 Unauthorized instead of 200 OK" in page and "GET /me" in page
    for text in (page, first.ended.stdout, (first.folder / "known.json").read_text()):
        for secret in ("shop-token-value", "opensesame", "0123456789abcdef", str(first.folder), "site-packages"):
            assert secret not in text


def test_the_baseline_holds_the_difference_and_accepts_it(first: _Ran) -> None:
    baseline = json.loads((first.folder / "known.json").read_text())
    assert [each["endpoint"] for each in baseline["differences"]] == ["GET /me"]


def test_the_minimal_workload_shows_the_known_difference_alone(first: _Ran) -> None:
    minimal = first.folder / "minimal.yaml"
    assert [step.path for step in load_workload(minimal).steps] == ["/login", "/me"]  # type: ignore[union-attr]
    ended = _fungible(first.folder, "minimal.yaml", "--baseline", "known.json", "--format", "sarif")
    assert ended.returncode == 0, ended.stderr
    (run,) = json.loads(ended.stdout)["runs"]
    (result,) = run["results"]
    assert result["ruleId"] == "session-in-memory" and result["baselineState"] == "unchanged"


def test_several_workloads_are_judged_one_after_the_other(plain: _Ran) -> None:
    (plain.folder / "clean.yaml").write_text("requests: [{method: GET, path: /me}, {method: GET, path: /none}]\n")
    (plain.folder / "once.yaml").write_text(
        "requests:\n"
        "  - {method: POST, path: /login, form: {user: bob}, save: {who: 'cookie:who'}}\n"
        "  - {method: GET, path: '/of/${whoo}'}\n"
        "  - {method: POST, path: /login, form: {user: bob}}\n"
    )
    ended = _fungible(plain.folder, "shop/workload.yaml", "once.yaml", "clean.yaml", "--json")
    assert ended.returncode == 1, ended.stderr
    told = json.loads(ended.stdout)
    assert [each["workload"] for each in told] == ["workload.yaml", "once.yaml", "clean.yaml"]
    assert [each["verdict"] for each in told] == ["stateful", "no_difference", "not_judged"]
    assert all(each["canaries"] for each in told[:2])
    typo, failed = told[1]["warnings"][:2]
    assert typo == 'request #1: no request before it saves `${whoo}`. Did you mean "who"?'
    assert failed == "1 of 3 requests failed in the warm world as well: #1 with 404; is that meant?"


def _saved_test(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/test_saved.py"],
        cwd=folder / "shop",
        env=_environment(folder, PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        timeout=280,
    )


def test_the_saved_test_is_red_before_the_mend_and_green_after(plain: _Ran) -> None:
    red = _saved_test(plain.folder)
    assert red.returncode == 1 and "401 Unauthorized instead of 200 OK" in red.stdout, red.stdout
    (plain.folder / "shop" / "app.py").write_text(MENDED)
    green = _saved_test(plain.folder)
    assert green.returncode == 0, green.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--update-baseline",), "--update-baseline needs the file"),
        (("--baseline", "none.json"), "there is no such baseline"),
        (("--report", "no/such/report.html"), "there is no folder"),
        (("--save-test", "shop/app.py"), "there is another file"),
        (("--save-minimal", "shop"), "this is a folder"),
        (("--save-minimal", "m.har"), ".yaml or .json"),
        (("--format", "xml"), "use one of"),
    ],
)
def test_bad_options_are_refused_before_anything_runs(first: _Ran, arguments: tuple[str, ...], said: str) -> None:
    ended = _fungible(first.folder, "shop/workload.yaml", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr and "world" not in ended.stderr


def test_an_app_that_listens_elsewhere_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "Procfile").write_text(f"web: {sys.executable} -m http.server --bind 127.0.0.1 {port}\n")
    (tmp_path / "shop" / "workload.yaml").write_text("requests: [{method: GET, path: /}]\n")
    ended = _fungible(tmp_path, "shop/workload.yaml", "--json")
    assert ended.returncode == 4, ended.stderr
    assert f"its process listens on port {port} instead of $PORT" in json.loads(ended.stdout)["reasons"][0]
