"""The kit's conformance cases run through the storage of other session libraries, by thin adapters
(session_peers/stores.py), on one Valkey; Django's db and cached_db have SQLite beside it.

usage: compare_sessions.py; about a minute. Writes benchmarks/results/sessions-conformance.json, and
docs/sessions-compared.md is drawn of it. `make benchmarks/.venv/ready` installs the peers.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench_sessions import HERE, MEMORY, PYTHON, server, versions
from measure.result import RESULTS, say

KIT = "kit"
NAMES = (KIT, "Flask-Session", "starsessions", "Litestar", "Django cache", "Django cached_db", "Django db")


def run(name: str, url: str, folder: Path) -> list[dict[str, Any]]:
    """The rows of one library."""
    folder.mkdir()
    command = [str(PYTHON), str(HERE / "session_peers" / "stores.py"), name, url, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent / "kit" / "src")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr}")
    return [
        {"case": case, "answer": answer, "why": why}
        for case, answer, why in map(json.loads, done.stdout.splitlines())
    ]


def main() -> None:
    """Run the cases and write the result file and the page."""
    if not PYTHON.exists():
        raise SystemExit("the peers are not installed: make benchmarks/.venv/ready")
    found: dict[str, list[dict[str, Any]]] = {}
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as home,
        asyncio.Runner() as runner,
        server(Path(home) / "valkey", runner) as store,
    ):
        for name in NAMES:
            found[name] = run(name, store.url, Path(home) / name.replace(" ", "-"))
            counts = {word: sum(row["answer"] == word for row in found[name]) for word in ("yes", "no")}
            say(f"{name}: {counts['yes']} of {len(found[name])} hold, {counts['no']} do not")
    cases = [row["case"] for row in found[KIT]]
    result = {
        "question": "Which of the points that the kit's sessions rely on does a session library keep?",
        "cases": cases,
        "answers": {name: {row["case"]: row["answer"] for row in rows} for name, rows in found.items()},
        "why": {
            name: {row["case"]: row["why"] for row in rows if row["answer"] == "not offered"}
            for name, rows in found.items()
        },
        "versions": versions(),
    }
    (RESULTS / "sessions-conformance.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    subprocess.run([sys.executable, str(HERE / "sessions_page.py")], check=True)


if __name__ == "__main__":
    main()
