"""State that only a running function holds: a server made in `main`, reachable from no module."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from tests.verify.leaks.experiments import run, write_program
from tests.verify.leaks.leak import MARK, get, post

pytestmark = pytest.mark.timeout(600)

SERVER = textwrap.dedent("""
    import hashlib
    import os
    import secrets
    from http.server import BaseHTTPRequestHandler, HTTPServer


    class Desk:
        def __init__(self):
            self.tasks = []  # <--
            self.secret = secrets.token_hex(16)  # <--

        def signature(self):
            return hashlib.sha256(self.secret.encode()).hexdigest()


    class Handler(BaseHTTPRequestHandler):
        def answer(self, status, text):
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def do_POST(self):
            self.server.desk.tasks.append("task")  # <--
            self.answer(201, "added")

        def do_GET(self):
            desk = self.server.desk
            if self.path == "/token":
                self.answer(200, f"token {desk.signature()}")
            elif self.path == "/me":
                known = self.headers["Authorization"] == f"token {desk.signature()}"
                self.answer(200 if known else 401, "you" if known else "who?")
            else:
                self.answer(200, ",".join(desk.tasks))

        def log_message(self, *_):
            pass


    def main():
        desk = Desk()
        server = HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
        server.desk = desk
        server.serve_forever()


    main()
    """).lstrip()
REQUESTS = {
    "tasks": [post("/tasks"), get("/tasks")],
    "secret": [
        get("/token", save={"token": "re:token (.+)"}),
        get("/me", headers={"Authorization": "token ${token}"}),
    ],
}
OBJECTS = {"tasks": r"<__main__\.main>\.<local desk>\.tasks", "secret": r"app\.Desk\.__init__: self\.secret$"}


@pytest.mark.parametrize("name", REQUESTS)
def test_what_a_running_function_holds_is_named_with_its_line(tmp_path: Path, name: str) -> None:
    app = write_program(tmp_path / "app", SERVER, REQUESTS[name])
    (difference,) = run(app, tmp_path / "state").differences
    culprit = difference.culprit
    assert culprit.confirmed
    assert culprit.object is not None and re.match(OBJECTS[name], culprit.object), culprit
    lines = {f"app.py:{n}" for n, line in enumerate(SERVER.splitlines(), 1) if MARK in line and name in line}
    assert {culprit.declared_at, culprit.written_at} & lines


DESKS = SERVER.partition("def main")[0].replace("self.server.desk", "self.server.office.desks['a']")
LOOP = DESKS + textwrap.dedent("""
    class Office:
        def __init__(self):
            self.desks = {"a": Desk(), "b": Desk()}

        def serve(self):
            server = HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
            server.office = self
            while True:
                desks = list(self.desks.values())
                for desk in desks:
                    desk.signature()
                server.handle_request()


    Office().serve()
    """)


def test_what_a_loop_binds_anew_is_named_by_what_keeps_it(tmp_path: Path) -> None:
    app = write_program(tmp_path / "app", LOOP, REQUESTS["tasks"])
    (difference,) = run(app, tmp_path / "state", mode="boot").differences
    assert difference.culprit.confirmed
    assert ".desks['a'].tasks" in (difference.culprit.object or ""), difference.culprit


LAZY = """
from web import route, serve


@route("POST", "/cart")
def add(call):
    import cart

    cart.add(call.json["item"])
    return 201, {"added": True}


@route("GET", "/cart")
def look(call):
    import cart

    return {"items": cart.ITEMS}


serve()
"""
CART = """
ITEMS = []  # <--


def add(item):
    ITEMS.append(item)  # <--
"""


def test_what_a_module_holds_that_the_first_request_imports_is_named(tmp_path: Path) -> None:
    app = write_program(tmp_path / "app", LAZY, [post("/cart", {"item": "tea"}), get("/cart")])
    (app / "cart.py").write_text(CART)
    (difference,) = run(app, tmp_path / "state").differences
    culprit = difference.culprit
    assert culprit.confirmed and culprit.object is not None and culprit.object.startswith("cart.ITEMS"), culprit
    assert culprit.declared_at == "cart.py:2"
    assert culprit.written_at == "cart.py:6"
