"""`fungible verify --explain`: the pages that reports name are where the package is."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from fungible.verify.report import CLASSES
from tests.runtime.harness import Home

CHECKOUT = Path(__file__).parents[2]
PAGES = CHECKOUT / "docs" / "mend"


def test_a_page_is_printed_without_an_app(home: Home) -> None:
    done = home.run("verify", "--explain", "session-in-memory")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (PAGES / "session-in-memory.md").read_text()


def test_a_name_that_is_none_is_told_with_the_nearest(home: Home) -> None:
    done = home.run("verify", "--explain", "sesion-in-memory")
    assert (done.returncode, done.stdout) == (2, "")
    assert 'Did you mean "session-in-memory"?' in done.stderr
    assert "counter-or-limiter" in home.run("verify", "--explain", "?").stderr


def test_the_pages_are_in_the_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True, timeout=120)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "installed")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from fungible.verify.report import CLASSES, explanation\n"
        "print(explanation.__code__.co_filename, *(len(explanation(name)) for name in sorted(CLASSES)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "installed")],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    where, *lengths = done.stdout.split()
    assert where.startswith(str(tmp_path))
    assert lengths == [str(len((PAGES / f"{name}.md").read_text())) for name in sorted(CLASSES)]
