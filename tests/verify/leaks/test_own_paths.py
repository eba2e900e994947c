"""What is a process's own: its folders and its id. To show them is not state; to store under them is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verify.leaks import clean
from tests.verify.leaks.experiments import run, write_app, write_program
from tests.verify.leaks.leak import Leak, get, post

pytestmark = pytest.mark.timeout(600)


def test_the_name_of_a_temporary_folder_is_the_process_s_own(tmp_path: Path) -> None:
    findings = run(write_app(tmp_path / "app", [clean.SPOOL], mended=True), tmp_path / "state", mode="boot")
    assert findings.verdict == "no_difference", (findings.differences, findings.reasons)
    assert {note.text for note in findings.notes} == {"a process's own name, id or address is shown"}


NOTES = """
import sqlite3

from web import route, serve

DB = sqlite3.connect("notes.db", isolation_level=None)
DB.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")


@route("POST", "/notes")
def write(call):
    DB.execute("INSERT INTO notes VALUES (?)", (call.json["text"],))
    return 201, {}


@route("GET", "/notes")
def notes(call):
    return {"notes": [text for text, in DB.execute("SELECT text FROM notes ORDER BY rowid")]}


serve()
"""


def test_a_database_that_is_opened_at_boot_is_named_with_the_line_that_opens_it(tmp_path: Path) -> None:
    app = write_program(tmp_path / "app", NOTES, [post("/notes", {"text": "one"}), get("/notes")])
    (difference,) = run(app, tmp_path / "state", mode="boot").differences
    culprit = difference.culprit
    assert (culprit.file, culprit.written_at, culprit.confirmed) == ("notes.db", "app.py:5", True)


BY_ID = """
import os

@route("POST", "/marks")
def mark(call):
    store().execute("INSERT INTO marks VALUES (?, ?)", (f"by-{os.getpid()}", call.json["text"]))
    return 201, {}

@route("GET", "/marks")
def marks(call):
    found = store().execute("SELECT text FROM marks WHERE by = ?", (f"by-{os.getpid()}",))
    return {"marks": [text for text, in found]}
"""
MARKS = Leak(
    "marks", BY_ID, "", (post("/marks", {"text": "one"}), get("/marks")), (0, 1), "", "CREATE TABLE marks (by, text);"
)


def test_what_is_stored_under_the_process_id_is_found_by_that_process_alone(tmp_path: Path) -> None:
    findings = run(write_app(tmp_path / "app", [MARKS], mended=False), tmp_path / "state")
    (difference,) = findings.differences
    assert difference.requests == ("#0 POST /marks", "#1 GET /marks")
    assert difference.culprit.where == "identity"
