"""How many log lines a second pass from a process to the output of what runs it; and whether all of them do.

usage: bench_logs.py [--scale X]; writes benchmarks/results/logs.json. A process writes lines of 80 characters as fast
as it is let; read is what `fungible start`, `fungible start --json` and honcho print, from the first line to the
last. The floor is a pipe without anything between. Processor time is that of the supervisor alone.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from measure.formation import FUNGIBLE, Home, home
from measure.peers import program
from measure.processes import cpu_seconds, end
from measure.result import arguments, machine, ratios, say, spread, times, versions, write

LINES = 100_000
ROUNDS = 3
SPEW = Path(__file__).resolve().parent / "apps" / "spew.py"
LAST = b"the-last-line"


def measure(folder: Home, command: list[str], lines: int) -> dict[str, float]:
    """Lines a second, of how many; and microseconds of the supervisor a line."""
    shutil.copy(SPEW, folder.app / "spew.py")
    (folder.app / "Procfile").write_text(f"worker: {shlex.quote(sys.executable)} spew.py\n")
    process = subprocess.Popen(
        command, cwd=folder.app, env=folder.environment(LINES=str(lines), PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert process.stdout
    count, begin, before = 0, 0.0, 0.0
    try:
        for line in process.stdout:
            if b"xxxxxxxx" in line:
                if not count:
                    begin, before = time.monotonic(), cpu_seconds([process.pid])
                count += 1
            elif LAST in line:
                break
        took, used = time.monotonic() - begin, cpu_seconds([process.pid]) - before
    finally:
        end(process, 10)
    return {"rate": count / took, "missing": lines - count, "cpu_us": used / max(1, count) * 1e6}


def main() -> None:
    """Measure and write the result file."""
    options = arguments(__doc__ or "")
    load = os.getloadavg()[0]
    lines, rounds = times(LINES, options.scale), times(ROUNDS, options.scale)
    commands = {
        "fungible": [str(FUNGIBLE), "start", "worker=1"],
        "fungible --json": [str(FUNGIBLE), "start", "worker=1", "--json"],
        "a pipe alone": [sys.executable, "spew.py"],
    }
    if path := program("honcho"):
        commands["honcho"] = [path, "start"]
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for name, command in commands.items():
            with home() as folder:
                rows[name].append(measure(folder, command, lines))
    found: dict[str, Any] = {}
    for name, all_of in rows.items():
        found[name] = {
            "lines_per_second": spread([row["rate"] for row in all_of], 0),
            "supervisor_us_per_line": None
            if name == "a pipe alone"
            else spread([row["cpu_us"] for row in all_of], 1),
            "missing": sum(row["missing"] for row in all_of),
        }
        if "honcho" in rows and name != "honcho":
            found[name]["over_honcho"] = ratios(
                [row["rate"] for row in all_of], [row["rate"] for row in rows["honcho"]], 2
            )
    result = {
        "question": "How many log lines a second pass?",
        "lines": lines,
        "rounds": rounds,
        "rows": found,
        "versions": versions(["honcho"]),
        "machine": machine(load),
    }
    write("logs", result, options.dry)


if __name__ == "__main__":
    main()
