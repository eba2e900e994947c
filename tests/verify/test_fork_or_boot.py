"""Which apps are forked, and what is said of those that are not."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from fungible.verify.findings import Findings
from tests.verify.leaks.experiments import run, write_workload
from tests.verify.leaks.leak import get, post

pytestmark = pytest.mark.timeout(300)

TABLES_AT_IMPORT = """
import os

from flask import Flask, jsonify, request
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = Flask(__name__)
engine = create_engine(os.environ["DATABASE_URL"])


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


Base.metadata.create_all(engine)


@app.post("/items")
def add():
    with Session(engine) as session, session.begin():
        session.add(Item(title=request.json["title"]))
    return {}, 201


@app.get("/items")
def show():
    with Session(engine) as session:
        return jsonify(session.scalars(select(Item.title)).all())
"""
OPEN_AT_IMPORT = """
import os
import sqlite3

from flask import Flask, jsonify, request

app = Flask(__name__)
database = sqlite3.connect(os.environ["DATABASE_URL"].partition("://")[2][1:], isolation_level=None)
database.execute("CREATE TABLE IF NOT EXISTS items (title TEXT)")


@app.post("/items")
def add():
    database.execute("INSERT INTO items VALUES (?)", (request.json["title"],))
    return {}, 201


@app.get("/items")
def show():
    return jsonify(database.execute("SELECT title FROM items").fetchall())
"""
OTHER_WHEN_FORKED = """
import sys

from flask import Flask

app = Flask(__name__)


@app.get("/items")
def show():
    if "gunicorn" not in sys.modules:
        raise LookupError("who am I?")
    return []


@app.post("/items")
def add():
    return {}, 201
"""


def verify(folder: Path, source: str) -> Findings:
    app = folder / "app"
    app.mkdir()
    (app / "app.py").write_text(textwrap.dedent(source).lstrip())
    (app / "Procfile").write_text("web: gunicorn -b 127.0.0.1:$PORT app:app\n")
    (app / "fungible.toml").write_text('[services]\nDATABASE_URL = "sqlite"\n')
    write_workload(app, [get("/items"), post("/items", {"title": "one"}), get("/items")])
    return run(app, folder / "state")


def test_an_app_that_makes_its_tables_at_import_is_forked(tmp_path: Path) -> None:
    findings = verify(tmp_path, TABLES_AT_IMPORT)
    assert (findings.verdict, findings.mode) == ("no_difference", "fork"), (findings.warnings, findings.differences)


def test_an_open_database_is_named_with_the_line_that_opened_it(tmp_path: Path) -> None:
    findings = verify(tmp_path, OPEN_AT_IMPORT)
    assert (findings.verdict, findings.mode) == ("no_difference", "boot"), findings.differences
    (told,) = [each for each in findings.warnings if "fork" in each]
    assert "an SQLite database ($DATABASE_URL), opened at app.py:7, is open for writing after import" in told


def test_what_a_forked_process_answers_otherwise_is_told(tmp_path: Path) -> None:
    findings = verify(tmp_path, OTHER_WHEN_FORKED)
    assert (findings.verdict, findings.mode) == ("no_difference", "boot"), findings.differences
    (told,) = [each for each in findings.warnings if "fork" in each]
    assert "a forked process answers #0 GET /items with 500 where a booted one answers 200" in told
    assert "LookupError: who am I?" in told
