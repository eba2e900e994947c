"""An answer that shows a path of the process's own folders says where it ran; that is not state."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verify.leaks import clean
from tests.verify.leaks.experiments import run, write_app

pytestmark = pytest.mark.timeout(600)


def test_the_name_of_a_temporary_folder_is_the_process_s_own(tmp_path: Path) -> None:
    findings = run(write_app(tmp_path / "app", [clean.SPOOL], mended=True), tmp_path / "state", mode="boot")
    assert findings.verdict == "no_difference", (findings.differences, findings.reasons)
    assert {note.text for note in findings.notes} == {"a process's own name, id or address is shown"}
