"""An app with a login form, CSRF fields, ids and tokens, a proxy in front of it, and browsers."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from flask import Flask, abort, g, jsonify, redirect, request, session
from werkzeug.serving import make_server

from fungible.verify.record.proxy import Proxy
from fungible.verify.record.upstream import upstream_of
from fungible.verify.workload.extraction import extract
from fungible.verify.workload.steps import Request, Workload, render
from fungible.verify.world.client import as_sent, host_header, send
from fungible.verify.world.cookies import Jar


def make_shop(first_id: int = 1) -> Flask:
    """Everything that has to be bound anew in another run: CSRF, session, bearer token, ids, Location, ETag."""
    app = Flask(__name__)
    app.secret_key = secrets.token_bytes(16)
    ids = itertools.count(first_id)
    items: dict[int, dict[str, Any]] = {}
    notes: dict[str, str] = {}
    tokens: set[str] = set()

    @app.before_request
    def check_form() -> None:
        if request.method == "POST" and request.form and request.form.get("csrf_token") != session.get("csrf"):
            abort(400)

    def form(action: str, fields: str) -> str:
        token = session.setdefault("csrf", secrets.token_urlsafe(24))
        hidden = f'<input type="hidden" name="csrf_token" value="{token}">'
        return f'<form method="post" action="{action}">{hidden}{fields}</form>'

    @app.get("/login")
    def login_form() -> str:
        return form("/login", '<input name="user"><input name="password" type="password">')

    @app.post("/login")
    def login() -> Any:
        if request.form["password"] != "s3cret":
            abort(403)
        session["user"] = request.form["user"]
        session["csrf"] = secrets.token_urlsafe(24)
        return redirect("/")

    @app.get("/")
    def home() -> Any:
        if "user" not in session:
            return redirect("/login")
        rows = "".join(f'<a href="/items/{number}">{item["title"]}</a>' for number, item in items.items())
        return f"<p>{session['user']}</p>{rows}" + form("/items", '<input name="title">')

    @app.post("/items")
    def add() -> Any:
        if "user" not in session:
            abort(401)
        number = next(ids)
        upload = request.files.get("photo")
        photo = upload.read() if upload else b""
        items[number] = {"title": request.form["title"], "owner": session["user"], "photo": len(photo)}
        return redirect(f"/items/{number}", 303)

    @app.get("/items/<int:number>")
    def show(number: int) -> Any:
        if items.get(number, {}).get("owner") != session.get("user"):
            abort(404)
        return jsonify(items[number]) if "json" in request.headers.get("Accept", "") else str(items[number])

    @app.post("/api/token")
    def token() -> Any:
        made = secrets.token_hex(16)
        tokens.add(made)
        return jsonify(access_token=made)

    @app.before_request
    def check_api() -> None:
        if request.path.startswith("/api/notes"):
            g.token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if g.token not in tokens:
                abort(401)

    @app.post("/api/notes")
    def add_note() -> Any:
        name = secrets.token_hex(8)
        notes[name] = request.get_json()["text"]
        answer = jsonify(id=name, text=notes[name], number=next(ids))
        answer.headers["Location"] = f"/api/notes/{name}"
        return answer, 201

    @app.route("/api/notes/<name>", methods=["GET", "PUT", "DELETE"])
    def note(name: str) -> Any:
        if name not in notes:
            abort(404)
        if request.method == "DELETE":
            del notes[name]
            return "", 204
        if request.method == "PUT":
            notes[name] = request.get_json()["text"]
        answer = jsonify(id=name, text=notes[name])
        answer.add_etag()
        return answer.make_conditional(request)

    return app


@contextlib.contextmanager
def served(app: Flask) -> Iterator[str]:
    """The app on a port of its own; its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.asynccontextmanager
async def recording(address: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy in front of an address, and its URL; it is stopped at the end."""
    proxy = Proxy(upstream_of(address))
    try:
        yield proxy, await proxy.start()
    finally:
        await proxy.stop()


async def replay(workload: Workload, *, first_id: int = 1) -> list[int]:
    """The statuses of the workload's requests to a new shop, whose ids begin at `first_id`."""
    jars: dict[str, Jar] = {}
    variables: dict[str, str] = {}
    statuses = []
    with served(make_shop(first_id)) as address:
        for step in workload.steps:
            if not isinstance(step, Request):
                continue
            jar = jars.setdefault(step.jar, Jar())
            rendered = render(step, variables, workload.headers)
            sent = as_sent(rendered, host_header(workload.host, {}), jar.header(rendered.target))
            answer = await send(address, sent, 10)
            jar.store(rendered.target, [value for name, value in answer.headers if name == "set-cookie"])
            found = {name: extract(save, answer, jar.values) for name, save in step.save.items()}
            variables.update((name, value) for name, value in found.items() if value is not None)
            statuses.append(answer.status)
    return statuses
