"""What only the clock changes is no difference, though processes that boot take longer than a warm one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verify.leaks.experiments import run, write_program
from tests.verify.leaks.leak import get, post

pytestmark = pytest.mark.timeout(600)

SQLITE = '[services]\nDATABASE_URL = "sqlite"\n'
NOTES = """
    import time

    from web import route, serve, store

    time.sleep(1.2)


    @route("GET", "/")
    def home(call):
        return {"home": True}


    @route("POST", "/note")
    def write(call):
        store().execute("CREATE TABLE note (at REAL)")
        store().execute("INSERT INTO note VALUES (?)", (time.time(),))
        return {"noted": True}


    @route("GET", "/note")
    def read(call):
        ((at,),) = store().execute("SELECT at FROM note").fetchall()
        seconds = int(time.time() - at)
        return f"<p>noted <b>{f'{seconds} s ago' if seconds else 'just now'}</b></p>"


    serve()
    """


def test_an_age_that_grows_while_processes_boot_is_no_difference(tmp_path: Path) -> None:
    # The slow warm run pauses before the steps at a third and two thirds of all, rounded down: not between these two.
    requests = [get("/"), get("/"), post("/note"), get("/note")]
    app = write_program(tmp_path / "app", NOTES, requests, settings=SQLITE)
    findings = run(app, tmp_path / "state", mode="boot")
    assert findings.verdict == "no_difference", (findings.differences, findings.reasons)


KEPT = """
    import time

    from web import route, serve, store

    HEAP = [[number] for number in range(250_000)]
    ASKED = {}
    SHOWN = {}


    def is_fresh():
        # Of the process's own time, so that a busy machine makes nothing old.
        return time.process_time() - SHOWN.get("tea", (-9, 0))[0] < 0.3


    @route("GET", "/price")
    def read(call):
        ASKED["price"] = ASKED.get("price", 0) + 1
        if not is_fresh():
            ((value,),) = store().execute("SELECT value FROM price").fetchall()
            SHOWN["tea"] = (time.process_time(), value)
        return {"price": SHOWN["tea"][1]}


    @route("POST", "/price")
    def write(call):
        store().execute("CREATE TABLE IF NOT EXISTS price (value INTEGER)")
        store().execute("DELETE FROM price")
        store().execute("INSERT INTO price VALUES (?)", (call.json["price"],))
        return {"written": True}


    serve()
    """


def test_what_is_kept_for_less_time_than_it_takes_to_look_is_blamed_or_nothing_is(tmp_path: Path) -> None:
    requests = [post("/price", {"price": 1}), get("/price"), post("/price", {"price": 2}), get("/price")]
    app = write_program(tmp_path / "app", KEPT, requests, settings=SQLITE)
    (difference,) = run(app, tmp_path / "state", mode="boot").differences
    assert difference.culprit.confirmed
    assert (difference.culprit.object or "").startswith("app.SHOWN"), difference.culprit


def test_what_there_was_no_time_to_examine_is_not_called_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = 'from web import route, serve\nNAMES = []\n@route("GET", "/")\ndef add(call):\n    NAMES.append(1)\n'
    app = write_program(
        tmp_path / "app", f"{kept}    return {{'names': len(NAMES)}}\nserve()\n", [get("/"), get("/")]
    )
    monkeypatch.setattr("fungible.verify.experiment.EXAMINE_LATEST", -1e9)
    findings = run(app, tmp_path / "state", mode="boot")
    assert findings.verdict == "not_judged"
    assert "1 step is answered otherwise" in findings.reasons[0]
    assert "#1 GET /" in findings.reasons[0]
