"""Starts `fungible` as a user does, as a process of its own, and waits on what it says."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

FUNGIBLE = Path(sys.executable).with_name("fungible")
SERVER = Path(__file__).with_name("server.py")
PATIENCE = 60.0
WEB = "web: python server.py\n"
Event = dict[str, Any]


@dataclass
class Home:
    """A user of their own: private state and runtime folders, and an app's folder."""

    base: Path
    command: tuple[str, ...] = (str(FUNGIBLE),)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def app(self) -> Path:
        return self.base / "app"

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.app / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    @property
    def variables(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
        own = {
            "PATH": path,
            "HOME": str(self.base / "home"),
            "XDG_STATE_HOME": str(self.base / "state"),
            "XDG_RUNTIME_DIR": str(self.base / "run"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LC_ALL": "C.UTF-8",
        }
        return own | self.environment

    def run(
        self, *arguments: str, input: bytes | None = None, timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run a verb to its end, in the app's folder."""
        done = subprocess.run(
            [*self.command, *arguments],
            cwd=self.app,
            env=self.variables,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            timeout=timeout,
        )
        out, err = (said.decode("utf-8", "backslashreplace") for said in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    @contextlib.contextmanager
    def start(self, *arguments: str, as_json: bool = True, up: bool = True) -> Iterator[Formation]:
        """`fungible start` in the app's folder; killed at the end if the test has not stopped it."""
        options = ["--port", "0", *(["--json"] if as_json else [])]
        process = subprocess.Popen(
            [*self.command, "start", *arguments, *options],
            cwd=self.app,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        formation = Formation(process, as_json)
        try:
            if up:
                formation.wait_until_up()
            yield formation
        finally:
            formation.end()

    def one_off(self, *command: str) -> subprocess.Popen[str]:
        """`fungible run -- command`, its input, output and errors in pipes."""
        return subprocess.Popen(
            [*self.command, "run", "--", *command],
            cwd=self.app,
            env=self.variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def pids(self) -> list[int]:
        """Processes of this user's formation that live: those that have its folder in their environment or command
        line, or work in it."""
        mark = os.fsencode(self.base)
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                    if mark in told or mark in os.fsencode(os.readlink(entry / "cwd")):
                        found.append(int(entry.name))
        return found

    def wait_until_gone(self) -> None:
        """Until no process of it lives."""
        wait_until(lambda: not self.pids, lambda: f"still there: {[_command(pid) for pid in self.pids]}")

    @property
    def left(self) -> list[str]:
        """What lies about: private folders of processes, sockets, locks of ports."""
        processes = self.base.glob("state/fungible/*/processes/**/*")
        runtime = (path for path in self.base.glob("run/fungible/**/*") if not path.is_dir())
        return sorted(str(path.relative_to(self.base)) for path in (*processes, *runtime))


class Formation:
    """A running `fungible start`: its events as they come."""

    def __init__(self, process: subprocess.Popen[bytes], as_json: bool) -> None:
        self.process = process
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.events: list[Event] = []
        self._as_json = as_json
        self._change = threading.Condition()
        self._threads = [
            threading.Thread(target=self._read, args=(stream, kept), daemon=True)
            for stream, kept in ((process.stdout, self.lines), (process.stderr, self.errors))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def url(self) -> str:
        """Where it answers; waits until it says so."""
        if self._as_json:
            return str(self.wait("formation.url")["url"])
        return self.wait_for(lambda: self.lines[0] if self.lines else None)

    def wait_until_up(self) -> None:
        """Until it has told its URL, or where it has none, until a process has started."""

        def up() -> bool:
            if not self._as_json:
                return bool(self.lines)
            told = {event["event"] for event in self.events}
            return "formation.url" in told or ("process.ready" in told and "router.started" not in told)

        self.wait_for(up)

    def wait(self, kind: str, process: str | None = None, *, after: int = 0, **data: Any) -> Event:
        """The first event of this kind (of this process, with these data) from the event number `after` on."""

        def found() -> Event | None:
            return next((event for event in self.of(kind, process, after=after, **data)), None)

        return self.wait_for(found)

    def of(self, kind: str, process: str | None = None, *, after: int = 0, **data: Any) -> list[Event]:
        """The events so far of this kind, of this process, with these data."""
        return [
            event
            for event in self.events[after:]
            if event["event"] == kind
            and (process is None or event.get("process") == process)
            and all(event.get(key) == value for key, value in data.items())
        ]

    def wait_for(self, found: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """Wait until `found` gives something true; fails with all that was said if it ends or takes too long."""
        end = time.monotonic() + patience
        with self._change:
            while not (result := found()):
                left = end - time.monotonic()
                over = not any(thread.is_alive() for thread in self._threads)
                if left <= 0 or over:
                    raise AssertionError(
                        "\n".join(["ended" if over else "waited too long", *self.lines, *self.errors])
                    )
                self._change.wait(min(left, 0.5))
            return result

    def say(self) -> str:
        """All it wrote for people."""
        return "\n".join([*self.lines, *self.errors])

    def get(self, path: str = "/", **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, trust_env=False, timeout=PATIENCE, **options)

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Signal it and wait; returns the exit code."""
        self.send(number)
        code = self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        return code

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(5)

    def _read(self, stream: Any, kept: list[str]) -> None:
        for raw in stream:
            line = raw.decode("utf-8", "backslashreplace").rstrip("\n")
            with self._change:
                kept.append(line)
                if self._as_json and kept is self.lines:
                    self.events.append(json.loads(line))
                self._change.notify_all()
        with self._change:
            self._change.notify_all()


def wait_until(true: Callable[[], Any], why: Callable[[], str] = lambda: "", patience: float = PATIENCE) -> None:
    """Look until it is so."""
    end = time.monotonic() + patience
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"waited too long: {why()}")
        time.sleep(0.02)


def new_home() -> Home:
    """A home with a short path (Unix sockets need that), and the test server in its app's folder."""
    home = Home(Path(tempfile.mkdtemp(prefix="fg-")))
    for name in ("app", "home", "state", "run"):
        (home.base / name).mkdir(mode=0o700)
    shutil.copy(SERVER, home.app / "server.py")
    return home


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "(gone)"


def processes_in_turn(url: str, count: int) -> Sequence[str]:
    """Who answered `count` requests on one keep-alive connection."""
    with httpx.Client(trust_env=False, timeout=PATIENCE, limits=httpx.Limits(max_connections=1)) as client:
        return [str(client.get(url).json()["process"]) for _ in range(count)]
