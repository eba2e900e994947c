"""What a supervisor takes of memory with 2, 50 and 200 processes, beside honcho's.

usage: bench_supervisor.py; writes benchmarks/results/supervisor.json. The processes are `sleep`, so that they weigh
nothing; counted is everything else, as proportional set size (what is shared is divided among who shares it): the
supervisor, the router, and what is kept for each process (an init of its own, a namespace).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure.formation import Home, formation, home
from measure.peers import program
from measure.processes import PATIENCE, descendants, memory_kib, running
from measure.result import arguments, machine, say, versions, write

COUNTS = (2, 50, 200)
PROCFILE = "web: exec sleep 1000\nworker: exec sleep 1000\n"


def command_of(pid: int) -> bytes:
    """The command line of a process; empty where it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def settled(pid: int, count: int) -> list[int]:
    """All processes below `pid` once `count` of them sleep."""
    until = time.monotonic() + 2 * PATIENCE
    while time.monotonic() < until:
        below = descendants(pid)
        if sum(command_of(each).startswith(b"sleep\0") for each in below) == count:
            time.sleep(1.0)
            return descendants(pid)
        time.sleep(0.1)
    raise SystemExit(f"{count} processes did not start")


def weigh(pid: int, count: int) -> dict[str, Any]:
    """MiB of the supervisor, of its router, and of what it keeps for its processes."""
    below = [each for each in settled(pid, count) if not command_of(each).startswith(b"sleep\0")]
    routers = [each for each in below if Path(f"/proc/{each}/comm").read_text().strip() == "haproxy"]
    rest = [each for each in below if each not in routers]
    parts = {"supervisor": memory_kib([pid]), "router": memory_kib(routers), "kept_for_processes": memory_kib(rest)}
    return {
        **{f"{name}_mib": round(kib / 1024, 1) for name, kib in parts.items()},
        "all_mib": round(sum(parts.values()) / 1024, 1),
        "helpers": len(rest),
    }


def ours(folder: Home, count: int) -> dict[str, Any]:
    """`fungible start`, with its router: no web process runs, but one could."""
    folder.write(PROCFILE)
    with formation(folder, "web=0", f"worker={count}") as run:
        return weigh(run.pid, count)


def honcho(folder: Home, count: int) -> dict[str, Any]:
    """honcho with the same Procfile."""
    folder.write(PROCFILE)
    with running(f"honcho start -c web=0,worker={count}", folder.app, folder.environment()) as process:
        return weigh(process.pid, count)


def main() -> None:
    """Measure and write the result file."""
    options = arguments(__doc__ or "")
    load = os.getloadavg()[0]
    ways: dict[str, Callable[[Home, int], dict[str, Any]]] = {"fungible": ours}
    if program("honcho"):
        ways["honcho"] = honcho
    rows: dict[str, Any] = {}
    for name, way in ways.items():
        rows[name] = {}
        for count in COUNTS:
            say(f"{name}: {count} processes")
            with home() as folder:
                rows[name][str(count)] = way(folder, count)
        few, many = (rows[name][str(count)] for count in (COUNTS[0], COUNTS[-1]))
        each = (many["all_mib"] - few["all_mib"]) / (COUNTS[-1] - COUNTS[0])
        rows[name]["mib_for_one_more_process"] = round(each, 2)
    result = {
        "question": "What does a supervisor take of memory?",
        "rows": rows,
        "versions": versions(["honcho"]),
        "machine": machine(load),
    }
    write("supervisor", result, options.dry)


if __name__ == "__main__":
    main()
