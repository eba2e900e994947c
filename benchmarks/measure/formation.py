"""A `fungible start` as a user would run it, and other ways to run the same app in the same folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from measure.peers import ENVIRONMENT
from measure.processes import descendants, end, fetch, free_port

FUNGIBLE = Path(sys.executable).with_name("fungible")
APP = Path(__file__).resolve().parent.parent / "apps" / "app.py"


class Home:
    """A folder with the app, a ledger, and state and runtime folders of its own."""

    def __init__(self, base: Path) -> None:
        self.base, self.app, self.ledger = base, base / "app", base / "ledger"
        for name in ("app", "home", "state", "run", "ledger"):
            (base / name).mkdir(mode=0o700)
        shutil.copy(APP, self.app / "app.py")

    def environment(self, **more: str) -> dict[str, str]:
        """What every server is started with, ours or a peer's."""
        path = os.pathsep.join([str(ENVIRONMENT), str(FUNGIBLE.parent), os.environ.get("PATH", os.defpath)])
        return {
            "PATH": path,
            "HOME": str(self.base / "home"),
            "XDG_STATE_HOME": str(self.base / "state"),
            "XDG_RUNTIME_DIR": str(self.base / "run"),
            "LC_ALL": "C.UTF-8",
            "LEDGER": str(self.ledger),
            **more,
        }

    def write(self, procfile: str, settings: str = "") -> None:
        """Procfile and settings; the ledger is attached, as every process notes in it."""
        (self.app / "Procfile").write_text(procfile)
        (self.app / "fungible.toml").write_text(f'{settings}\n[services]\nLEDGER = "folder"\n')


@contextlib.contextmanager
def home() -> Iterator[Home]:
    """A home with a short path (Unix sockets need that), gone at the end."""
    with tempfile.TemporaryDirectory(prefix="fb-", dir="/var/tmp", ignore_cleanup_errors=True) as base:
        yield Home(Path(base))


class Formation:
    """A running `fungible start`, as a user has it: without `--json`, so that no request is written out."""

    def __init__(
        self, home: Home, environment: Mapping[str, str], process: subprocess.Popen[bytes], port: int
    ) -> None:
        self.home, self.process, self.port = home, process, port
        self._environment = environment

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def router_pid(self) -> int:
        """The HAProxy in front of the processes."""
        for pid in descendants(self.pid):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "haproxy":
                return pid
        raise SystemExit("fungible start runs no HAProxy")

    def run(self, *words: str) -> str:
        """A verb on the running formation; returns its output."""
        done = subprocess.run(
            [str(FUNGIBLE), *words], cwd=self.home.app, env=dict(self._environment), capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"fungible {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def pids(self, kind: str = "web") -> list[int]:
        """Pids of the commands that are ready."""
        processes = json.loads(self.run("ps", "--json"))["processes"]
        return [p["pid"] for p in processes if p["type"] == kind and p["state"] == "ready"]

    def addresses(self, count: int) -> list[str]:
        """Port or socket of each of the `count` processes: the router gives each its turn."""
        found: set[str] = set()
        for _ in range(50 * count):
            found.add(fetch(self.port, "/where") or "")
            if len(found - {""}) == count:
                return sorted(found - {""})
        raise SystemExit(f"asked in vain where {count} processes listen: {found}")


@contextlib.contextmanager
def formation(
    home: Home, *words: str, wait: bool = True, stderr: int = subprocess.DEVNULL, **more: str
) -> Iterator[Formation]:
    """`fungible start WORDS` in the home's app folder; with `wait`, once every web process is ready."""
    environment, port = home.environment(**more), free_port()
    process = subprocess.Popen(
        [str(FUNGIBLE), "start", *words, "--port", str(port)], cwd=home.app, env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True,
    )  # fmt: skip
    try:
        if wait:
            assert process.stdout
            if not process.stdout.readline():
                raise SystemExit("fungible start ended; run it by hand in an app to see why")
        yield Formation(home, environment, process, port)
    finally:
        end(process, 20)
