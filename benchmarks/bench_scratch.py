"""A large file in a worker with flat memory; and what @transaction_cache and scratch cost beside what they replace.

usage: bench_scratch.py [ROUNDS]; writes benchmarks/results/scratch.json.

Memory: this process sends a CSV of 3, 30 and 300 MB; a new worker process fetches it and adds up a column, in one of
three ways. Measured is the worker's peak of resident memory (VmHWM of proc(5)) above what it had before the fetch,
and its CPU time.

Calls: CPU nanoseconds of one call in a loop, every row once a round, so that a bad moment meets them all. The least
of a row is what to compare, and how far its median lies above says how noisy the machine was.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fungible_kit import Transactions, scratch, transaction, transaction_cache
from fungible_kit.transactions.scope import entered

RESULT = Path(__file__).parent / "results" / "scratch.json"
SIZES = (3_000_000, 30_000_000, 300_000_000)
LINE = b"2026-11-28,river,12.5," + b"0123456789," * 15 + b"end\n"

SUM_UP = """
import csv, io, os, resource, sys
def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))
def total(lines):
    return sum(float(row[2]) for row in csv.reader(lines))
url = sys.argv[1]
{imports}
before, cpu = status("VmHWM"), sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
{work}
print(status("VmHWM") - before, sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - cpu, found)
"""

WAYS = {
    "scratch: fetch, then read line by line": (
        "from fungible_kit import scratch\nimport fungible_kit.scratch_space.fetch",
        "with scratch(limit='1GiB') as tmp:\n"
        "    tmp.fetch(url, networks=['127.0.0.0/8'], timeout=600, name='in.csv')\n"
        "    with tmp.open('in.csv', newline='') as lines: found = total(lines)",
    ),
    "tempfile: urlopen, copyfileobj, then read line by line": (
        "import shutil, tempfile, urllib.request",
        "with tempfile.TemporaryFile('w+b') as file:\n"
        "    with urllib.request.urlopen(url) as answer: shutil.copyfileobj(answer, file)\n"
        "    file.seek(0)\n"
        "    found = total(io.TextIOWrapper(file, newline=''))",
    ),
    "in memory: httpx.get(url).text": (
        "import httpx",
        "found = total(io.StringIO(httpx.get(url, timeout=600).text, newline=''))",
    ),
}


class Sending(BaseHTTPRequestHandler):
    """A CSV of as many bytes as its path says."""

    def do_GET(self) -> None:
        size = int(self.path.strip("/"))
        self.send_response(200)
        self.send_header("Content-Length", str(size // len(LINE) * len(LINE)))
        self.end_headers()
        block = LINE * 1000
        whole, rest = divmod(size // len(LINE), 1000)
        for _ in range(whole):
            self.wfile.write(block)
        self.wfile.write(LINE * rest)

    def log_message(self, *_: Any) -> None:
        pass


def memory(size: int) -> dict[str, dict[str, float]]:
    """Peak MiB above the start, and CPU seconds, of a worker on a file of `size` bytes, by way."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sending)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found = {}
    try:
        for name, (imports, work) in WAYS.items():
            script = SUM_UP.format(imports=imports, work=work)
            url = f"http://127.0.0.1:{server.server_port}/{size}"
            with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
                done = subprocess.run(
                    [sys.executable, "-c", script, url],
                    capture_output=True, text=True, check=True, env={**os.environ, "TMPDIR": folder},
                )  # fmt: skip
            peak, cpu, total = done.stdout.split()
            if float(total) != size // len(LINE) * 12.5:
                raise SystemExit(f"{name}: a wrong sum, {total}")
            found[name] = {"peak MiB": round(int(peak) / 1024, 1), "CPU s": round(float(cpu), 2)}
    finally:
        server.shutdown()
        server.server_close()
    return found


def plain(key: int) -> int:
    return key


_held: ContextVar[dict[int, int] | None] = ContextVar("held", default=None)


def by_hand(key: int) -> int:
    """The least that a cache of one request can be in Python: a dict in a ContextVar."""
    held = _held.get()
    if held is None:
        return plain(key)
    if key not in held:
        held[key] = plain(key)
    return held[key]


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [])
    return [b"ok"]


def respond(app: Any) -> None:
    body = app({}, lambda *_: None)
    for _ in body:
        pass
    if hasattr(body, "close"):
        body.close()


def hits(function: Callable[[int], int], count: int) -> None:
    for _ in range(count):
        function(1)


def misses(function: Callable[[int], int], count: int) -> None:
    for key in range(count):
        function(key)


def repeated(action: Callable[[], object], count: int) -> None:
    for _ in range(count):
        action()


def with_space() -> None:
    with scratch() as tmp, tmp.open("a", "wb") as file:
        file.write(b"x" * 1000)


def with_tempfile() -> None:
    with tempfile.TemporaryDirectory() as folder, open(os.path.join(folder, "a"), "wb") as file:
        file.write(b"x" * 1000)


Row = tuple[Callable[[], AbstractContextManager[object]], Callable[[], None], int]


def rows() -> dict[str, Row]:
    """Name -> what it runs in, the loop, and how often that calls."""
    ours = transaction_cache(plain)
    bounded = transaction_cache(maxsize=128)(plain)
    cached = functools.cache(plain)
    lru = functools.lru_cache(maxsize=128)(plain)
    watched = Transactions()
    wrapped, unwatched = watched.wsgi(application), Transactions(temporary="ignore").wsgi(application)
    many, few = 100_000, 2_000

    class Held(AbstractContextManager[None]):
        def __enter__(self) -> None:
            self.token = _held.set({})

        def __exit__(self, *_: object) -> None:
            _held.reset(self.token)

    class Watched(AbstractContextManager[None]):
        def __enter__(self) -> None:
            self.begun = watched.begin()
            self.before = entered(self.begun)

        def __exit__(self, *_: object) -> None:
            entered(self.before)
            watched.end(self.begun)

    def clear() -> AbstractContextManager[object]:
        cached.cache_clear()
        lru.cache_clear()
        return nullcontext()

    return {
        "hit: functools.cache": (nullcontext, lambda: hits(cached, many), many),
        "hit: functools.lru_cache(128)": (nullcontext, lambda: hits(lru, many), many),
        "hit: a dict in a ContextVar, by hand": (Held, lambda: hits(by_hand, many), many),
        "hit: transaction_cache": (transaction, lambda: hits(ours, many), many),
        "hit: transaction_cache(128)": (transaction, lambda: hits(bounded, many), many),
        "outside of a transaction": (nullcontext, lambda: hits(ours, many), many),
        "miss: functools.cache": (clear, lambda: misses(cached, many), many),
        "miss: a dict in a ContextVar, by hand": (Held, lambda: misses(by_hand, many), many),
        "miss: transaction_cache": (transaction, lambda: misses(ours, many), many),
        "request: WSGI, bare": (nullcontext, lambda: repeated(lambda: respond(application), few), few),
        "request: WSGI, a transaction": (nullcontext, lambda: repeated(lambda: respond(wrapped), few), few),
        'request: WSGI, a transaction, temporary="ignore"': (
            nullcontext, lambda: repeated(lambda: respond(unwatched), few), few,
        ),
        "space: tempfile.TemporaryDirectory and a file": (nullcontext, lambda: repeated(with_tempfile, few), few),
        "space: the same in a watched transaction": (Watched, lambda: repeated(with_tempfile, 100), 100),
        "space: scratch and a file": (nullcontext, lambda: repeated(with_space, few), few),
    }  # fmt: skip


def calls(rounds: int) -> dict[str, list[float]]:
    """CPU nanoseconds of one call, by row, one figure for each round."""
    measured: dict[str, list[float]] = {}
    table = rows()
    for _ in range(rounds):
        for name, (inside, loop, count) in table.items():
            with inside():
                begin = time.process_time_ns()
                loop()
                measured.setdefault(name, []).append((time.process_time_ns() - begin) / count)
    return measured


def main() -> None:
    """Measure and write the result file."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    load = os.getloadavg()[0]
    by_size = {f"{size // 1_000_000} MB": memory(size) for size in SIZES}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        by_row = calls(rounds)
    base = min(by_row["hit: functools.cache"])
    result = {
        "a worker on a file: peak of memory above its start, CPU": by_size,
        "CPU nanoseconds of one call (min, median, max)": {
            name: [round(x) for x in (min(each), statistics.median(each), max(each))] for name, each in by_row.items()
        },
        "hits, times functools.cache (of the minima)": {
            name: round(min(each) / base, 1) for name, each in by_row.items() if name.startswith("hit")
        },
        "noise (median over minimum)": {
            name: round(statistics.median(each) / min(each), 2) for name, each in by_row.items()
        },
        "rounds": rounds,
        "load before": round(load, 1),
        "machine": f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}",
    }
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    print(text, end="")
    try:
        RESULT.write_text(text)
    except PermissionError:  # somebody else's checkout
        print(f"{RESULT} is not written: no permission", file=sys.stderr)


if __name__ == "__main__":
    main()
