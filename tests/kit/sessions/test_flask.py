"""`flask.session`, and what is built on it, kept in a store."""

from __future__ import annotations

import datetime
import socket
import uuid
from typing import Any

import flask
import pytest
from flask import Flask
from markupsafe import Markup

from fungible_kit import Sessions
from fungible_kit.sessions import StoreUnavailable
from tests.kit.sessions.servers import asked


def app_of(url: str, **settings: Any) -> tuple[Flask, Sessions]:
    app = Flask(__name__)
    sessions = Sessions(url, deadline="5s", **settings)
    assert sessions.flask(app) is app

    @app.get("/set/<value>")
    def set_value(value: str) -> str:
        flask.session["value"] = value
        return "set"

    @app.get("/get")
    def get_value() -> Any:
        return flask.session.get("value", "none")

    @app.get("/append")
    def append() -> str:
        flask.session.setdefault("list", []).append(1)
        return str(len(flask.session["list"]))

    @app.get("/clear")
    def clear() -> str:
        flask.session.clear()
        return "cleared"

    @app.get("/nothing")
    def nothing() -> str:
        return "nothing"

    @app.get("/flash")
    def flash() -> str:
        flask.flash(Markup("<b>saved</b>"), "ok")
        return "flashed"

    @app.get("/flashed")
    def flashed() -> Any:
        return flask.render_template_string(
            "{% for kind, said in get_flashed_messages(with_categories=true) %}{{ kind }}:{{ said }}{% endfor %}"
        )

    @app.get("/boom")
    def boom() -> str:
        flask.session["value"] = "lost"
        raise RuntimeError("boom")

    return app, sessions


def test_values_live_in_the_store_and_changes_inside_them_are_seen(url: str) -> None:
    app, _ = app_of(url)
    client = app.test_client()
    assert client.get("/get").data == b"none"
    answer = client.get("/set/apple-pie")
    cookie = answer.headers["Set-Cookie"]
    assert (
        cookie.startswith("__Host-sid=") and "Secure; HttpOnly; SameSite=Lax" in cookie and "apple-pie" not in cookie
    )
    assert answer.headers["Vary"] == "Cookie" and answer.headers["Cache-Control"] == "no-store"
    assert client.get("/get").data == b"apple-pie"
    assert [client.get("/append").data for _ in range(3)] == [b"1", b"2", b"3"]
    assert "Vary" not in client.get("/nothing").headers
    client.get("/clear")
    assert client.get("/get").data == b"none"
    other, _ = app_of(url)  # another process
    other_client = other.test_client()
    client.get("/set/7")
    other_client.set_cookie("__Host-sid", client.get_cookie("__Host-sid").value, domain="localhost")  # type: ignore[union-attr]
    assert other_client.get("/get").data == b"7"


def test_commands_of_each_request(valkey_url: str) -> None:
    app, _ = app_of(valkey_url)
    client = app.test_client()
    client.get("/append")
    client.get("/append")
    client = app.test_client()
    for path, commands in {
        "/nothing": [],
        "/get": [],
        "/set/1": ["EVALSHA"],
        "/nothing?": [],
        "/get?": ["HGETALL"],
        "/append": ["HGETALL", "EVALSHA"],
    }.items():
        with asked(valkey_url) as found:
            assert client.get(path).status_code == 200
        assert found == commands, path


def test_flashed_messages_keep_their_kind_and_their_markup(sqlite_url: str) -> None:
    app, _ = app_of(sqlite_url)
    client = app.test_client()
    client.get("/flash")
    assert client.get("/flashed").data == b"ok:<b>saved</b>"
    assert client.get("/flashed").data == b""


def test_every_type_that_flasks_own_session_keeps(sqlite_url: str) -> None:
    app, _ = app_of(sqlite_url)
    client = app.test_client()
    kept = {
        "t": (1, 2, 3),
        "b": b"\xff",
        "m": Markup("<html>"),
        "u": uuid.UUID("00000000-0000-0000-0000-000000000001"),
        "d": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        "l": [(1, 2), {"a": b"x"}],
        "di": {" t": "not a tuple", "@tuple": [1]},
    }
    with client.session_transaction() as session:
        session.update(kept)
    with client.session_transaction() as session:
        assert {name: session[name] for name in kept} == kept
        assert isinstance(session["m"], Markup) and isinstance(session["t"], tuple)


def test_modified_tells_of_changes_inside_values_too(sqlite_url: str) -> None:
    app, _ = app_of(sqlite_url)
    client = app.test_client()
    with client:
        client.get("/append")
        assert flask.session.modified
    with client:
        client.get("/get")
        assert not flask.session.modified
    with app.test_request_context():
        assert not flask.session.modified
        flask.session["list"] = []
        flask.session.modified = False
        flask.session["list"].append(1)
        assert flask.session.modified


def test_permanent_makes_the_cookie_outlive_the_browser(sqlite_url: str) -> None:
    app, _ = app_of(sqlite_url)

    @app.get("/permanent")
    def permanent() -> str:
        flask.session.permanent = True
        return str(flask.session.permanent)

    assert "Max-Age=1" in app.test_client().get("/permanent").headers["Set-Cookie"]
    assert "Max-Age" not in app.test_client().get("/set/1").headers["Set-Cookie"]


def test_login_and_logout_through_the_proxy(sqlite_url: str) -> None:
    app, sessions = app_of(sqlite_url)

    @app.get("/login")
    def login() -> str:
        flask.session.login("ann")  # type: ignore[attr-defined]
        return flask.session.user  # type: ignore[attr-defined,no-any-return]

    @app.get("/logout")
    def logout() -> str:
        flask.session.logout()  # type: ignore[attr-defined]
        return "out"

    client = app.test_client()
    client.get("/set/1")
    before = client.get_cookie("__Host-sid").value  # type: ignore[union-attr]
    assert client.get("/login").data == b"ann"
    assert client.get_cookie("__Host-sid").value != before  # type: ignore[union-attr]
    assert client.get("/get").data == b"1" and len(sessions.of("ann")) >= 1
    client.get("/logout")
    assert client.get_cookie("__Host-sid") is None and client.get("/get").data == b"none"


def test_a_view_that_fails_changes_nothing(sqlite_url: str) -> None:
    app, _ = app_of(sqlite_url)
    client = app.test_client()
    client.get("/set/1")
    assert client.get("/boom").status_code == 500
    assert client.get("/get").data == b"1"


def test_what_a_stream_changes_is_kept(sqlite_url: str) -> None:
    app, _ = app_of(sqlite_url)

    @app.get("/stream")
    def stream() -> Any:
        @flask.stream_with_context
        def body() -> Any:
            yield flask.session["value"]
            flask.session["value"] = "streamed"

        return flask.Response(body())

    client = app.test_client()
    client.get("/set/1")
    assert client.get("/stream", buffered=True).data == b"1"
    assert client.get("/get").data == b"streamed"


@pytest.mark.parametrize("catches", [False, True])
def test_s13_a_store_that_is_away_is_503_and_no_cookie_is_touched(catches: bool) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        app, _ = app_of(f"valkey://127.0.0.1:{held.getsockname()[1]}")

        if catches:

            @app.errorhandler(Exception)
            def all_errors(error: Exception) -> Any:
                return "the app's own page", 500

            app.error_handler_spec[None][None].pop(StoreUnavailable, None)
        client = app.test_client()
        assert client.get("/get").status_code == 200  # no cookie, nothing to ask for
        client.set_cookie("__Host-sid", "A" * 43, domain="localhost")
        for path in ("/get", "/append", "/set/1"):
            answer = client.get(path)
            assert answer.status_code == 503 and answer.headers["Retry-After"] == "1"
            assert "Set-Cookie" not in answer.headers
        assert client.get("/nothing").status_code == 200
