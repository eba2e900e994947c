"""What `fungible check` reads out of source that verify proves by experiment, beside ruff's nearest rules.

usage: bench_check.py; writes benchmarks/results/check.json. The leaks are those of tests/verify/leaks: each a small
program that keeps state, and its mended twin, which does not. Found: something is told of the leaking program. Line:
what is told is on a line that holds the state. Cried: something is told of the twin. Time is that of the command over
Fungible's own source and the dependencies that it imports, from a warm disk, the least of three.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure.result import arguments, machine, versions, write

from fungible.check.finding import Level
from fungible.check.python import rules
from fungible.check.tree import Tree

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

RUFF = ("PLW0603", "PLW0602", "B006", "B008", "B019", "RUF012", "S108", "PLW1508")
"""Ruff's rules that touch state: global statements, mutable defaults and class attributes, caches on methods."""

Told = Callable[[str, str], set[int]]


def ours(name: str, source: str) -> set[int]:
    """The lines that are told at the usual level."""
    tree = Tree.of([(f"{name}.py", source), ("web.py", "import http.server\n")])
    return {each.line for each in rules.find(tree) if each.level >= Level.LIKELY}


def ruff(name: str, source: str) -> set[int]:
    """The lines that ruff tells, with these rules alone."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"{name}.py").write_text(source)
        command = [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--isolated",
            "--no-cache",
            "--output-format=json",
            f"--select={','.join(RUFF)}",
        ]
        done = subprocess.run([*command, folder], capture_output=True, text=True)
    return {each["location"]["row"] for each in json.loads(done.stdout)}


def counted(told: Told) -> dict[str, Any]:
    """Found, line and cried, of how many, and which were not found."""
    from tests.verify.leaks import boots, caches, files, memory, places

    leaks = [leak for part in (boots, caches, files, memory, places) for leak in part.ALL]
    found = {leak.name: told(leak.name, leak.source) for leak in leaks}
    lines = {leak.name: {int(each.rpartition(":")[2]) for each in leak.lines} for leak in leaks}
    return {
        "of": len(leaks),
        "found": sum(map(bool, found.values())),
        "line": sum(bool(found[name] & lines[name]) for name in found),
        "cried": sum(bool(told(leak.name, leak.twin)) for leak in leaks),
        "not_found": sorted(name for name, told_lines in found.items() if not told_lines),
    }


def speed() -> dict[str, Any]:
    """How long the command takes over our own source."""
    texts = [path.read_text() for path in (ROOT / "src").rglob("*.py")]
    command = [str(Path(sys.executable).with_name("fungible")), "check", "--json", str(ROOT / "src")]
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        took.append(time.perf_counter() - begun)
    return {
        "files": len(texts),
        "lines": sum(text.count("\n") for text in texts),
        "seconds": round(min(took), 2),
    }


def main() -> None:
    """Count and write the result file."""
    options = arguments(__doc__ or "")
    load = os.getloadavg()[0]
    result = {
        "question": "What does check read that verify proves?",
        "check": counted(ours),
        "ruff": {**counted(ruff), "rules": list(RUFF)},
        "speed": speed(),
        "versions": versions(["ruff"]),
        "machine": machine(load),
    }
    write("check", result, options.dry)


if __name__ == "__main__":
    main()
