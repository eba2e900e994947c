"""What the benchmarks make of what they counted: classes of loss, knees, charts, and a page that cannot drift."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
pytestmark = pytest.mark.pure


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts are run by path, so their folder is where they import from."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_a_lost_request_is_of_the_class_that_the_ledger_says(tmp_path: Path) -> None:
    from measure.clients import Count, Lost, classes

    ledger = tmp_path / "ledger"
    ledger.write_text("started a\nfinished a\nstarted b\nstarted c\nfinished c\nstarted d\nstarted d\nfinished d\n")
    count = Count()
    count.sent.update({"fresh": 3, "kept": 2})
    count.lost = [
        Lost("b", "POST", False, 502, "502 crashed"),
        Lost("c", "GET", False, None, "IncompleteReadError"),
        Lost("x", "GET", True, None, "ConnectionResetError"),
    ]
    found = classes(count, ledger)
    fresh, kept = found["fresh"], found["kept"]
    assert isinstance(fresh, dict) and isinstance(kept, dict)
    assert (fresh["lost"], fresh["never_run"], fresh["started"], fresh["finished"]) == (2, 0, 1, 1)
    assert (fresh["told"], fresh["get"], fresh["post"], fresh["requests"]) == (1, 1, 1, 3)
    assert (kept["lost"], kept["never_run"], kept["told"]) == (1, 1, 0)
    assert found["ran_twice"] == 1
    assert found["lost_how"] == {"502 crashed": 1, "IncompleteReadError": 1, "ConnectionResetError": 1}


@pytest.mark.parametrize(
    ("rates", "knee"),
    [
        ({1: 100.0, 2: 199.0, 4: 380.0, 8: 700.0}, 8),
        ({1: 100.0, 2: 190.0, 4: 310.0, 8: 640.0}, 2),
        ({1: 100.0, 2: 120.0}, 1),
    ],
)
def test_the_knee_is_the_last_count_before_the_first_that_brings_too_little(
    rates: dict[int, float], knee: int
) -> None:
    import bench_scaling

    assert bench_scaling.knee(rates) == knee


def test_a_bar_longer_than_its_axis_ends_there_and_keeps_its_figure() -> None:
    from measure.chart import BLUE, Panel, Row, bars

    drawn = ElementTree.fromstring(
        bars("a < b", [Panel("p", [Row("long", [(900, BLUE), (900, BLUE)], "1800"), Row("none", [], "0")], 100)])
    )
    space = {"svg": "http://www.w3.org/2000/svg"}
    right = [float(r.get("x", "0")) + float(r.get("width", "0")) for r in drawn.findall("svg:rect[@x]", space)]
    assert max(right) < float(drawn.get("width", "0"))
    assert "1800" in [text.text for text in drawn.findall("svg:text", space)]


def test_the_page_says_what_the_results_say() -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "performance_page.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_figure_changed_by_hand_is_found(tmp_path: Path) -> None:
    root = BENCHMARKS.parent
    ignore = shutil.ignore_patterns(".venv", "__pycache__")
    shutil.copytree(BENCHMARKS, tmp_path / "benchmarks", ignore=ignore)
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "performance.md"
    text = (root / "docs" / "performance.md").read_text()
    assert "| fungible" in text
    page.write_text(text.replace("| fungible", "| somebody", 1))
    script = tmp_path / "benchmarks" / "performance_page.py"
    assert subprocess.run([sys.executable, script, "--check"], capture_output=True).returncode == 1
    assert subprocess.run([sys.executable, script], capture_output=True).returncode == 0
    assert page.read_text() == text
