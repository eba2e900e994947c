"""Folders of one user, made and removed by several processes at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fungible.app.problem import Problem
from fungible.services.place import private_folder

pytestmark = pytest.mark.pure


def test_a_folder_that_another_one_removes_meanwhile_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there for mkdir(2), and gone when pathlib looks whether it is a folder."""
    make, left = Path.mkdir, [FileExistsError(17, "File exists")]

    def mkdir(path: Path, *given: Any, **named: Any) -> None:
        if left:
            raise left.pop()
        make(path, *given, **named)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    made = private_folder(tmp_path / "run" / "fungible")
    assert made.is_dir() and made.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("dangling", [False, True])
def test_what_is_no_folder_is_told_and_left(tmp_path: Path, dangling: bool) -> None:
    there = tmp_path / "run"
    if dangling:
        there.symlink_to(tmp_path / "nowhere")
    else:
        there.write_text("kept")
    with pytest.raises(Problem, match="is not a folder of this user"):
        private_folder(there)
    assert there.is_symlink() or there.read_text() == "kept"
