"""What a process keeps for later is lost with it: worlds whose processes are killed show it, in the stores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fungible.verify.report.mend import mend_class
from tests.verify.leaks.experiments import run, write_app
from tests.verify.leaks.leak import Leak, get, matches, post

pytestmark = pytest.mark.timeout(600)

_PAGE = """
    {begin}

    @route("POST", "/visits")
    def visit(call):
        {visit}
        return 202, {{}}
    """
_AT_EXIT = """import os
    import signal
    KEPT = []

    def flush(*_):
        store().executemany("INSERT INTO visits VALUES (?)", [(page,) for page in KEPT])
        os._exit(0)

    signal.signal(signal.SIGTERM, flush)"""
# Not by `sys.exit`: where the signal comes while wsgiref still finishes a request, it swallows that and serves on.
_SOON = """import threading
    import time

    def write(page):
        time.sleep(0.02)
        store().execute("INSERT INTO visits VALUES (?)", (page,))"""
VISITS = Leak(
    "visits",
    _PAGE.format(begin=_AT_EXIT, visit='KEPT.append(call.json["page"])  # <--'),
    _PAGE.format(begin=_SOON, visit='threading.Thread(target=write, args=(call.json["page"],)).start()'),
    (post("/visits", {"page": "home"}), post("/visits", {"page": "about"})),
    (0,),
    r"^visits\.KEPT",
    "CREATE TABLE visits (page TEXT);",
)


def test_what_is_only_written_at_exit_is_lost_with_a_killed_process(tmp_path: Path) -> None:
    findings = run(write_app(tmp_path / "app", [VISITS], mended=False), tmp_path / "state")
    assert findings.verdict == "stateful", findings.reasons
    assert len(findings.differences) == 1
    difference = findings.differences[0]
    assert (difference.deviation.store, difference.case.end) == ("DATABASE_URL", "KILL")
    assert difference.world.startswith("KILL after ")
    assert len(difference.case.kept) == 1 and difference.minimal
    assert mend_class(difference) == "background-work"
    culprit = difference.culprit
    assert culprit.confirmed and culprit.where == "memory"
    assert matches(VISITS.held_by, culprit.object, culprit.file)
    assert culprit.written_at in VISITS.lines


def test_what_is_written_soon_after_the_answer_is_not_lost(tmp_path: Path) -> None:
    findings = run(write_app(tmp_path / "app", [VISITS], mended=True), tmp_path / "state")
    assert findings.verdict == "no_difference", [
        (each.requests, each.deviation, each.culprit) for each in findings.differences
    ]
    assert any(row.world.startswith("KILL after ") for row in findings.grid)


def test_what_a_process_writes_as_it_ends_is_blamed_on_what_kept_it(tmp_path: Path) -> None:
    shown = """
    @route("GET", "/visits")
    def visits(call):
        return {"visits": sorted(page for page, in store().execute("SELECT page FROM visits"))}
    """
    requests = (*VISITS.requests, get("/visits"))
    leaking = replace(VISITS, leaking=VISITS.leaking + shown, requests=requests)
    findings = run(write_app(tmp_path / "app", [leaking], mended=False), tmp_path / "state")
    (difference,) = [each for each in findings.differences if each.deviation.step is not None]
    assert (difference.observer, difference.minimal) == (2, True)
    assert difference.culprit.confirmed, difference.culprit
    assert matches(VISITS.held_by, difference.culprit.object, None)
    assert difference.culprit.written_at in leaking.lines
