"""An app for gunicorn: says which process answered, and whom it knows."""

from __future__ import annotations

import os

import flask
from flask import Flask

from fungible_kit import Sessions

app = Sessions(deadline="5s").flask(Flask(__name__))


@app.get("/login/<user>")
def login(user: str) -> str:
    flask.session.login(user)  # type: ignore[attr-defined]
    flask.session["served"] = [os.getpid()]
    return str(os.getpid())


@app.get("/who")
def who() -> flask.Response:
    flask.session["served"].append(os.getpid())
    return flask.jsonify(pid=os.getpid(), user=flask.session.user, served=flask.session["served"])  # type: ignore[attr-defined]
