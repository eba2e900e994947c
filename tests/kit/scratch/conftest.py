from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

Child = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder below which scratch makes its own."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("FUNGIBLE_SCRATCH", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return folder


@pytest.fixture
def child(base: Path) -> Iterator[Child]:
    """A function that starts a Python process with the text of a script; its stdout and stdin are pipes."""
    with ExitStack() as stack:

        def start(script: str, *prefix: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [*prefix, sys.executable, "-c", script],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env={**os.environ, "FUNGIBLE_SCRATCH": str(base)},
                    start_new_session=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield start


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that it prints."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"the process ended with {process.wait()}"
    return line.strip()
