"""Throughput with 1, 2, 4 and 8 web processes, of an endpoint that waits 20 ms for a store; and where the knee is.

usage: bench_scaling.py [--scale X]; writes benchmarks/results/scaling.json. The wait is a sleep, so that it is the
same for all; a process has eight threads. The knee is the last number of processes that brings at least four fifths
of what so many times one process would: beyond it, it is the machine that is full, and not the processes.
"""

from __future__ import annotations

import os
import statistics
from contextlib import ExitStack
from typing import Any

from measure.formation import formation, home
from measure.peers import SERVERS, program
from measure.processes import free_port, running, wait_for
from measure.result import arguments, machine, say, spread, times, versions, write
from measure.wrk import Measured, wrk

COUNTS = (1, 2, 4, 8)
PATH = "/wait?ms=20"
THREADS = 8
CONNECTIONS = 2 * THREADS * max(COUNTS)
ROUNDS = 2
SECONDS = 3.0
LEAST_SHARE = 0.8


def knee(rates: dict[int, float]) -> int:
    """The last count up to which every count brings at least `LEAST_SHARE` of its multiple of one process."""
    reached = min(rates)
    for count in sorted(rates):
        if rates[count] < LEAST_SHARE * count * rates[min(rates)]:
            break
        reached = count
    return reached


def measure(count: int, rounds: int, seconds: float) -> dict[str, list[Measured]]:
    """Row -> measurements, in turn, with `count` processes of each."""
    server = SERVERS["gunicorn"]
    found: dict[str, list[Measured]] = {}
    with ExitStack() as stack:
        ours, theirs = stack.enter_context(home()), stack.enter_context(home())
        ours.write(f"web: {server.line('$PORT', 1)}\n")
        port = free_port()
        run = stack.enter_context(formation(ours, f"web={count}"))
        stack.enter_context(running(server.line(str(port), count), theirs.app, theirs.environment()))
        wait_for(port)
        ports = {"fungible, gunicorn": run.port, "gunicorn": port}
        for each in ports.values():
            wrk(each, PATH, 1, CONNECTIONS)
        for number in range(rounds):
            say(f"{count} processes: round {number + 1} of {rounds}")
            for name, each in ports.items():
                found.setdefault(name, []).append(wrk(each, PATH, seconds, CONNECTIONS))
    return found


def main() -> None:
    """Measure and write the result file."""
    options = arguments(__doc__ or "")
    load = os.getloadavg()[0]
    if not all(map(program, ("wrk", "gunicorn"))):
        return  # it has been said what is missing; the other benchmarks go on
    rows: dict[str, dict[str, Any]] = {}
    rates: dict[str, dict[int, float]] = {}
    for count in COUNTS:
        for name, all_of in measure(count, times(ROUNDS, options.scale), max(1.0, SECONDS * options.scale)).items():
            rates.setdefault(name, {})[count] = statistics.median(m.rate for m in all_of)
            rows.setdefault(name, {})[str(count)] = {
                "requests_per_second": spread([m.rate for m in all_of], 0),
                "p50_ms": spread([m.p50 for m in all_of]),
                "p99_ms": spread([m.p99 for m in all_of]),
                "failed": sum(m.failed for m in all_of),
                "times_one_process": round(rates[name][count] / rates[name][min(COUNTS)], 2),
            }
    result = {
        "question": "How does throughput grow with the number of processes?",
        "rows": rows,
        "knee": {name: knee(each) for name, each in rates.items()},
        "knee_is": f"the last count that brings {LEAST_SHARE} of its multiple of one process",
        "threads_of_a_process": THREADS,
        "connections": CONNECTIONS,
        "versions": versions(["gunicorn", "wrk"]),
        "machine": machine(load),
    }
    write("scaling", result, options.dry)


if __name__ == "__main__":
    main()
