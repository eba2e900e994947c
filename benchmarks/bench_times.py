"""Start to the first answer, a crash to a successor that answers, an edit to new code serving.

usage: bench_times.py [--scale X]; writes benchmarks/results/times.json. The app has no import of its own to speak of,
so that what is around it shows. Asked is every two milliseconds, over a new connection. Every round measures every
row once; seconds depend on what else the machine does, ratios of a round less.

start: from the command to the first 200. crash: two processes, one is killed with `kill -9`; until a process that was
not there before answers. edit: the app's file is written; until the new code answers.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from measure.formation import Home, formation, home
from measure.peers import SERVERS, Server, program
from measure.processes import descendants, fetch, free_port, running, wait_for
from measure.result import arguments, machine, ratios, say, spread, times, versions, write

ROUNDS = 3
PATIENCE = 30.0
UNTIL = 0.002

Run = Callable[[Home], float]


def since(begin: float, port: int, true: Callable[[str], bool], path: str = "/boot") -> float:
    """Seconds from `begin` until an answer is `true`; raises `TimeoutError` where none is."""
    while time.monotonic() - begin < PATIENCE:
        body = fetch(port, path)
        if body is not None and true(body):
            return time.monotonic() - begin
        time.sleep(UNTIL)
    raise TimeoutError


def start_ours(server: Server) -> Run:
    """`fungible start`, one process."""

    def run(folder: Home) -> float:
        folder.write(f"web: {server.line('$PORT', 1)}\n")
        begin = time.monotonic()
        with formation(folder, "web=1", wait=False) as ours:
            return since(begin, ours.port, bool)

    return run


def start_theirs(server: Server) -> Run:
    """The server's own command, one worker."""

    def run(folder: Home) -> float:
        port = free_port()
        begin = time.monotonic()
        with running(server.line(str(port), 1), folder.app, folder.environment()):
            return since(begin, port, bool)

    return run


def start_honcho(server: Server) -> Run:
    """honcho with the same Procfile."""

    def run(folder: Home) -> float:
        folder.write(f"web: {server.line('$PORT', 1)}\n")
        port = free_port()
        begin = time.monotonic()
        with running(f"honcho start -p {port}", folder.app, folder.environment()):
            return since(begin, port, bool)

    return run


def known(port: int, count: int) -> set[str]:
    """What `count` processes answer to `/boot`: asked until that many were met, as a server may not take turns."""
    found: set[str] = set()
    until = time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < until:
        found.add(fetch(port, "/boot") or "")
        found -= {""}
    return found


def crash_ours(server: Server) -> Run:
    """One of two processes of a formation is killed, with all below it."""

    def run(folder: Home) -> float:
        folder.write(f"web: {server.line('$PORT', 1)}\n")
        with formation(folder, "web=2") as ours:
            before = known(ours.port, 2)
            (pid, *_) = ours.pids()
            below = descendants(pid)
            begin = time.monotonic()
            for each in (pid, *below):
                os.kill(each, signal.SIGKILL)
            return since(begin, ours.port, lambda body: body not in before)

    return run


def crash_theirs(server: Server) -> Run:
    """One of two workers is killed."""

    def run(folder: Home) -> float:
        port = free_port()
        with running(server.line(str(port), 2), folder.app, folder.environment()) as process:
            wait_for(port)
            before = known(port, 2)
            (pid, *_) = descendants(process.pid)
            begin = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            return since(begin, port, lambda body: body not in before)

    return run


def edit(folder: Home, port: int) -> float:
    """Seconds from the edit to the new code."""
    wait_for(port)
    time.sleep(1.0)  # a watcher may start after the first answer
    file = folder.app / "app.py"
    text = file.read_text().replace('MARK = "mark-0"', 'MARK = "mark-1"')
    begin = time.monotonic()
    file.write_text(text)
    return since(begin, port, lambda body: body.endswith("mark-1"))


def edit_ours(server: Server) -> Run:
    """`fungible start --watch`."""

    def run(folder: Home) -> float:
        folder.write(f"web: {server.line('$PORT', 1)}\n")
        with formation(folder, "--watch", "web=1") as ours:
            return edit(folder, ours.port)

    return run


def edit_theirs(server: Server) -> Run:
    """The server's own reload."""

    def run(folder: Home) -> float:
        port = free_port()
        with running(server.watch_line(str(port)), folder.app, folder.environment()):
            return edit(folder, port)

    return run


def questions() -> dict[str, dict[str, Run]]:
    """Question -> row -> how it is measured, for what is installed."""
    here = {name: server for name, server in SERVERS.items() if program(name)}
    ours = [name for name in ("gunicorn", "uvicorn", "granian") if name in here]
    start = {f"fungible, {name}": start_ours(here[name]) for name in ours}
    start |= {name: start_theirs(server) for name, server in here.items()}
    if program("honcho") and "gunicorn" in here:
        start["honcho, gunicorn"] = start_honcho(here["gunicorn"])
    crash = {f"fungible, {name}": crash_ours(here[name]) for name in ours}
    # hypercorn ends as a whole when a worker dies
    crash |= {name: crash_theirs(server) for name, server in here.items() if name != "hypercorn"}
    watch = {f"fungible, {name}": edit_ours(here[name]) for name in ours}
    watch |= {name: edit_theirs(server) for name, server in here.items()}
    return {"start": start, "crash": crash, "edit": watch}


def main() -> None:
    """Measure and write the result file."""
    options = arguments(__doc__ or "", ("--only", {"default": "", "choices": ["", "start", "crash", "edit"]}))
    load = os.getloadavg()[0]
    rounds = times(ROUNDS, options.scale)
    found: dict[str, Any] = {}
    for question, rows in questions().items():
        if options.only not in ("", question):
            continue
        took: dict[str, list[float]] = {name: [] for name in rows}
        for number in range(rounds):
            say(f"{question}: round {number + 1} of {rounds}")
            for name, run in rows.items():
                with home() as folder:
                    try:
                        took[name].append(run(folder))
                    except TimeoutError:
                        say(f"  {name}: nothing within {PATIENCE:g} s")
                        took[name].append(float("nan"))
        found[question] = {}
        for name, each in took.items():
            good = [x for x in each if x == x]
            row: dict[str, Any] = {
                "seconds": spread(good) if good else None,
                "without_an_answer": len(each) - len(good),
            }
            other = name.removeprefix("fungible, ")
            if other != name and other in took:
                both = [(a, b) for a, b in zip(each, took[other], strict=True) if a == a and b == b]
                row["over_it_alone"] = ratios([a for a, _ in both], [b for _, b in both], 2) if both else None
            found[question][name] = row
    result = {
        "question": "How long from start, from a crash, from an edit to an answer?",
        "rounds": rounds,
        "rows": found,
        "versions": versions([*SERVERS, "honcho"]),
        "machine": machine(load),
    }
    write("times", result, options.dry or bool(options.only))


if __name__ == "__main__":
    main()
