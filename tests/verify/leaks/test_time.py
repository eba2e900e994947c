"""What only the clock changes is no difference, though processes that boot take longer than a warm one."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

import pytest

from tests.verify.leaks.experiments import run, write_workload
from tests.verify.leaks.leak import get, post

pytestmark = pytest.mark.timeout(600)

NOTES = textwrap.dedent("""
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
    """).lstrip()


def test_an_age_that_grows_while_processes_boot_is_no_difference(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_text(NOTES)
    (app / "Procfile").write_text("web: python app.py\n")
    (app / "fungible.toml").write_text('[services]\nDATABASE_URL = "sqlite"\n')
    shutil.copy(Path(__file__).with_name("web.py"), app)
    # The slow warm run pauses at a third and two thirds of the steps: not between these two.
    home = get("/")
    write_workload(app, [home, home, home, post("/note"), get("/note"), home, home, home, home])
    findings = run(app, tmp_path / "state", mode="boot")
    assert findings.verdict == "no_difference", (findings.differences, findings.reasons)
