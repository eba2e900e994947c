"""Sessions side by side in one run: the kit's, Flask-Session, starsessions, Litestar's server-side sessions and
Django's engines, on one Valkey. Commands at the store, CPU, throughput, lost updates, and what becomes of users while
the store is away.

usage: bench_sessions.py [--scale X] [--dry] [--only NAME]; writes benchmarks/results/sessions.json, and
docs/sessions-compared.md is drawn of it (sessions_page.py). `make benchmarks/.venv/ready` installs the peers.

Every app is a process of its own that is called without a server, as set up by its library's documentation. A round
measures every app once, so that a bad moment meets them all; the least of the rounds is what to compare, and how far
the median lies above tells the noise. CPU is that of the app's process over the same app without sessions; the floor
is valkey-py's client alone, without a limit of time, sending the commands that the kit sends. The kit itself uses its
connections and not the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import valkey
from measure.result import arguments, machine, say, times, write

from fungible.services.valkey import ValkeyServer

HERE = Path(__file__).resolve().parent
PYTHON = HERE / ".venv" / "bin" / "python"
NAMES = (
    "kit, plain WSGI", "kit in Flask", "Flask-Session", "kit in Django", "Django cache", "Django cached_db",
    "Django db", "kit, plain ASGI", "kit in Starlette", "starsessions", "kit in Litestar", "Litestar",
)  # fmt: skip
FLOORS = ("floor valkey-py", "floor valkey-py asyncio")
DISTRIBUTIONS = (
    "flask", "flask-session", "django", "starlette", "starsessions", "litestar", "valkey", "libvalkey", "redis",
)  # fmt: skip
REQUESTS = {
    "anonymous": ("/untouched", False),
    "untouched": ("/untouched", True),
    "read": ("/read", True),
    "read and write": ("/write", True),
    "first write": ("/first", False),
}
ROUNDS, CALLS = 20, 60
THROUGHPUT_ROUNDS, THROUGHPUT_CALLS = 5, 400
PAIRS = 1000
IMPORTS = 20
# A disk in memory, for Django's SQLite as well: no figure here is about disks.
MEMORY = Path("/dev/shm")


class Worker:
    """A process of `session_peers/worker.py`; one order at a time."""

    def __init__(self, name: str, url: str, folder: Path) -> None:
        self.name = name
        folder.mkdir(parents=True, exist_ok=True)
        kit = HERE.parent / "kit" / "src"
        self._process = subprocess.Popen(
            [str(PYTHON), str(HERE / "session_peers" / "worker.py"), name, url, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(kit)},
        )  # fmt: skip

    def ready(self) -> None:
        """Wait until it has imported its library."""
        self._answer()

    def do(self, order: str, **options: Any) -> Any:
        """The answer to one order."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": order, **options}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        """Kill it: a request may hang in it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name}: the process has ended; what it said is above")
        return json.loads(line)


@contextlib.contextmanager
def server(folder: Path, runner: asyncio.Runner) -> Iterator[ValkeyServer]:
    """A Valkey server that keeps its port and its data over a restart."""
    started = ValkeyServer("SESSIONS", folder)
    runner.run(started.start())
    try:
        yield started
    finally:
        runner.run(started.stop())


@contextlib.contextmanager
def workers(names: Sequence[str], url: str, folder: Path) -> Iterator[dict[str, Worker]]:
    """A process for each, signed in."""
    made = {name: Worker(name, url, folder / name.replace(" ", "-").replace(",", "")) for name in names}
    try:
        for name, worker in made.items():
            worker.ready()
            if name not in FLOORS:
                filled = worker.do("fill")
                assert filled == {"status": 200, "cookies": 1}, (name, filled)
        yield made
    finally:
        for worker in made.values():
            worker.end()


def commands(url: str, made: dict[str, Worker]) -> dict[str, Any]:
    """What each kind of request asks of the store, in order, as MONITOR tells it, and of SQL."""
    found: dict[str, Any] = {}
    client, other = valkey.Valkey.from_url(url), valkey.Valkey.from_url(url)
    other.ping()  # its own greeting is over
    for name, worker in made.items():
        rows = found[name] = {}
        for request, (path, cookie) in REQUESTS.items():
            worker.do("once", path=path, cookie=cookie)  # connections, and scripts that the server has not seen
            marker = secrets.token_hex(8)
            with client.monitor() as monitor:
                answer = worker.do("once", path=path, cookie=cookie)
                other.echo(marker)
                asked: list[str] = []
                while True:
                    said: Any = monitor.next_command()
                    if marker in said["command"]:
                        break
                    if said["client_type"] != "lua":
                        asked.append(said["command"].split(" ", 1)[0].strip('"').upper())
            rows[request] = {"commands": asked, "sql": answer["sql"], "cookies": answer["cookies"]}
    client.close()
    other.close()
    return found


def cpu(made: dict[str, Worker], rounds: int) -> dict[str, Any]:
    """Microseconds of CPU for each kind of request: the app, over the bare app, and the client's floors."""
    figures: dict[tuple[str, str], list[float]] = {}
    bare: dict[tuple[str, str], list[float]] = {}
    for turn in range(-1, rounds):  # the first is to warm up
        for name, worker in made.items():
            for request, (path, cookie) in REQUESTS.items():
                if name in FLOORS and path not in ("/read", "/write"):
                    continue
                options = {"path": path, "cookie": cookie, "calls": CALLS if turn >= 0 else 5}
                found = worker.do("cpu", bare=False, **options)["us"]
                if turn < 0:
                    continue
                figures.setdefault((name, request), []).append(found)
                if name not in FLOORS:
                    options["path"] = "/untouched"  # there is no session to read
                    bare.setdefault((name, request), []).append(worker.do("cpu", bare=True, **options)["us"])
        if turn % 6 == 5:
            say(f"  round {turn + 1} of {rounds}")
    result: dict[str, Any] = {}
    for (name, request), of in figures.items():
        without = bare.get((name, request), [0.0])
        result.setdefault(name, {})[request] = {
            "least": round(min(of), 1),
            "median": round(statistics.median(of), 1),
            "bare_least": round(min(without), 1),
            "over_bare": round(min(of) - min(without), 1),
            "over_bare_median": round(statistics.median(of) - statistics.median(without), 1),
        }
    return result


def over_floor(cpu_of: dict[str, Any]) -> dict[str, Any]:
    """What the kit adds to the bare client and to the bare app, of the least figures."""
    found: dict[str, Any] = {}
    for name, floor in (("kit, plain WSGI", FLOORS[0]), ("kit, plain ASGI", FLOORS[1])):
        if name in cpu_of and floor in cpu_of:
            found[name] = {
                request: round(cpu_of[name][request]["over_bare"] - cpu_of[floor][request]["least"], 1)
                for request in ("read", "read and write")
            }
    return found


def throughput(made: dict[str, Worker], rounds: int, calls: int) -> dict[str, Any]:
    """Requests a second of one process, eight at a time: most and median of the rounds."""
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(rounds):
        for name, worker in made.items():
            for request in ("read", "read and write"):
                rate = worker.do("throughput", path=REQUESTS[request][0], calls=calls)["per_second"]
                found.setdefault(name, {}).setdefault(request, []).append(rate)
    return {
        name: {k: {"most": round(max(v)), "median": round(statistics.median(v))} for k, v in rows.items()}
        for name, rows in found.items()
    }


def outage(names: Sequence[str], folder: Path, frozen: bool) -> dict[str, Any]:
    """The store stopped (connections refused), or frozen (connections accepted, no answer), and back again."""
    found: dict[str, Any] = {}
    with (
        asyncio.Runner() as runner,
        server(folder / "valkey", runner) as store,
        workers(names, store.url, folder) as made,
        ThreadPoolExecutor(len(names)) as pool,
    ):
        pid = store.pid
        assert pid is not None
        if frozen:
            os.kill(pid, signal.SIGSTOP)
        else:
            runner.run(store.stop())

        def ask(name: str) -> tuple[str, dict[str, Any]]:
            worker, rows = made[name], {}
            for request in ("untouched", "read", "read and write", "first write"):
                path, cookie = REQUESTS[request]
                rows[request] = worker.do("outage", path=path, cookie=cookie)
            rows["the fifth"] = worker.do("outage", path="/read", cookie=True)
            return name, rows

        try:
            found = dict(pool.map(ask, names))
        finally:
            if frozen:
                os.kill(pid, signal.SIGCONT)
            else:
                runner.run(store.start())
        for rows in found.values():
            asked = ("untouched", "read", "read and write")
            logged_out = any(rows[request]["cookie"] in ("cleared", "replaced") for request in asked)
            rows["users logged out"] = logged_out
    return found


def import_milliseconds(times_: int) -> dict[str, float]:
    """Of `import fungible_kit` in a process of its own, over one that imports nothing else."""
    program = (
        "import time; begin = time.perf_counter(); import fungible_kit; print((time.perf_counter() - begin) * 1e3)"
    )
    everything = program.replace("import fungible_kit;", "from fungible_kit import Sessions, Tokens, scratch;")
    found = {}
    for name, code in (("import fungible_kit", program), ("with Sessions, Tokens and scratch", everything)):
        command = [sys.executable, "-c", code]
        each = [
            float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(times_)
        ]
        found[name] = round(min(each), 2)
    return found


def versions() -> dict[str, str]:
    """Of the peers' environment."""
    code = (
        "import json, sys; from importlib.metadata import version as v; "
        "print(json.dumps({name: v(name) for name in sys.argv[1:]}))"
    )
    out = subprocess.run([str(PYTHON), "-c", code, *DISTRIBUTIONS], capture_output=True, text=True, check=True).stdout
    return dict(json.loads(out))


def main() -> None:
    """Measure and write the result file."""
    options = arguments(__doc__ or "", ("--only", {"default": "", "help": "names that contain this, and the floors"}))
    if not PYTHON.exists():
        say("the peers are not installed: make benchmarks/.venv/ready")
        return
    load = os.getloadavg()[0]
    names = [name for name in NAMES if options.only in name]
    rounds = times(ROUNDS, options.scale, 3)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as home, asyncio.Runner() as runner:
        folder = Path(home)
        with server(folder / "valkey", runner) as store, workers([*names, *FLOORS], store.url, folder) as made:
            apps = {name: made[name] for name in names}
            say("commands")
            asked = commands(store.url, apps)
            say("CPU")
            cpu_of = cpu(made, rounds)
            say("throughput")
            rates = throughput(
                apps, times(THROUGHPUT_ROUNDS, options.scale), times(THROUGHPUT_CALLS, options.scale, 40)
            )
            say("lost updates")
            lost = {name: worker.do("pairs", pairs=times(PAIRS, options.scale, 20)) for name, worker in apps.items()}
            with valkey.Valkey.from_url(store.url) as client:
                server_version = client.info("server").get("valkey_version", "")
        say("the store stopped, and frozen")
        with ThreadPoolExecutor(2) as pool:
            away = pool.map(lambda frozen: outage(names, folder / f"away{frozen}", frozen), (False, True))
            stopped, frozen = away
    result = {
        "question": "What do sessions cost, what do they lose, and what becomes of users while the store is away?",
        "rounds": rounds,
        "calls_each": CALLS,
        "commands": asked,
        "cpu_us": cpu_of,
        "kit_over_its_client_us": over_floor(cpu_of),
        "throughput": rates,
        "lost_updates": lost,
        "stopped": stopped,
        "frozen": frozen,
        "import_ms": import_milliseconds(times(IMPORTS, options.scale, 5)),
        "versions": {"valkey-server": server_version, **versions()},
        "machine": machine(load),
    }
    write("sessions", result, options.dry)
    if not options.dry:
        subprocess.run([sys.executable, str(HERE / "sessions_page.py")], check=True)


if __name__ == "__main__":
    main()
