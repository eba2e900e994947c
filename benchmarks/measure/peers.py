"""What a user would pick instead: servers with workers of their own, honcho, nginx. Says which is missing."""

from __future__ import annotations

import functools
import importlib.metadata
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = Path(__file__).resolve().parent.parent / ".venv" / "bin"
_SYSTEM = {"nginx": "apt-get install nginx-light", "wrk": "apt-get install wrk"}


@dataclass(frozen=True)
class Server:
    """A Python server: its command with `{n}` workers on `{port}`, what reloads it, whether it waits for restarts."""

    name: str
    command: str
    reload: signal.Signals | None
    watch: str = ""
    unix: str = ""

    def line(self, port: str, workers: int) -> str:
        """The command, as a line for a shell."""
        return self.command.format(port=port, n=workers)

    def watch_line(self, port: str) -> str:
        """The command that reloads on an edit."""
        return self.watch.format(port=port)

    def unix_line(self, path: str) -> str:
        """The command with one worker on a Unix socket."""
        return self.unix.format(path=path)


_GUNICORN = "gunicorn -k gthread --threads 8 --log-level warning --no-control-socket"
_UVICORN = "uvicorn --log-level warning --no-access-log"
_GRANIAN = "granian --interface asgi --log-level warning"
_HYPERCORN = "hypercorn --log-level warning"

SERVERS = {
    server.name: server
    for server in (
        Server(
            "gunicorn",
            _GUNICORN + " -b 127.0.0.1:{port} -w {n} app:wsgi",
            signal.SIGHUP,
            _GUNICORN + " -b 127.0.0.1:{port} --reload app:wsgi",
            _GUNICORN + " -b unix:{path} app:wsgi",
        ),
        Server(
            "uvicorn",
            _UVICORN + " --port {port} --workers {n} app:asgi",
            signal.SIGHUP,
            _UVICORN + " --port {port} --reload app:asgi",
            _UVICORN + " --uds {path} app:asgi",
        ),
        Server(
            "granian",
            _GRANIAN + " --respawn-failed-workers --port {port} --workers {n} app:asgi",
            signal.SIGHUP,
            _GRANIAN + " --port {port} --reload app:asgi",
            _GRANIAN + " --uds {path} app:asgi",
        ),
        Server(
            "hypercorn",
            _HYPERCORN + " -b 127.0.0.1:{port} -w {n} app:asgi",
            signal.SIGHUP,
            _HYPERCORN + " -b 127.0.0.1:{port} --reload app:asgi",
            _HYPERCORN + " -b unix:{path} app:asgi",
        ),
    )
}


@functools.cache
def program(name: str) -> str | None:
    """Path of a peer, or None where it is not installed, which is said once with what to do."""
    for folder in (ENVIRONMENT, Path(sys.executable).parent):
        if (folder / name).exists():
            return str(folder / name)
    # nginx is in a folder of the administrator's, which a user's PATH may not have
    if found := shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin"):
        return found
    how = _SYSTEM.get(name, "make benchmarks/.venv/ready")
    print(f"{name} is not installed here, goes on without it; to have it: {how}", file=sys.stderr)
    return None


def version_of(name: str) -> str:
    """Version of a peer, as it tells it, or of a distribution of this environment; empty where there is none."""
    if name not in (*SERVERS, "honcho", "nginx", "wrk"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return ""
    path = program(name)
    if path is None:
        return ""
    if Path(path).parent == ENVIRONMENT:
        path, flag = str(ENVIRONMENT / "python"), f"from importlib.metadata import version as v; print(v('{name}'))"
        return subprocess.run([path, "-c", flag], capture_output=True, text=True, timeout=20).stdout.strip()
    flag = {"nginx": "-v", "wrk": "-v"}.get(name, "--version")
    done = subprocess.run([path, flag], capture_output=True, text=True, timeout=20)
    found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
    return found.group() if found else "?"
