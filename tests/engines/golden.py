"""Files that an export gave, kept beside the tests: whoever changes an export sees in the diff what users get."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def hold(folder: Path, files: Mapping[str, str]) -> None:
    """The files of `folder` are exactly these. REWRITE_GOLDEN=1 writes them anew."""
    if os.environ.get("REWRITE_GOLDEN"):
        for path in _kept(folder):
            (folder / path).unlink()
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, newline="")
    assert {path: (folder / path).read_text() for path in _kept(folder)} == dict(files)


def _kept(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
