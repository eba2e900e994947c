"""A Docker engine of a test's own, in a network of its own: what it does to addresses and filters stays there."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_ADDRESS, _CLIENT = "10.77.0.1", "10.77.0.2"
_BOOT = 60.0


class Node:
    """A running one, manager of a swarm of one; at `url` it publishes port 8080 for clients inside `network`."""

    url = f"http://{_ADDRESS}:8080"

    def __init__(self, socket: Path, network: str) -> None:
        self.host = f"unix://{socket}"
        self.network = network

    def docker(self, *words: str) -> str:
        """What Docker's command line prints."""
        done = subprocess.run(["docker", "-H", self.host, *words], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def inside(self, *command: str) -> list[str]:
        """The command, run where the published port can be reached."""
        return ["ip", "netns", "exec", self.network, *command]


@contextmanager
def node(folder: Path) -> Iterator[Node]:
    """A new one, ended afterwards with all that it runs; skips where there can be none."""
    if os.geteuid() != 0:
        pytest.skip("only root can run a Docker engine in a network of its own")
    for program in ("dockerd", "docker", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not here")
    name = f"fungible{secrets.token_hex(3)}"
    socket = Path("/run") / f"{name}.sock"
    with contextlib.ExitStack() as undo:
        try:
            _run("ip", "netns", "add", name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network of its own: {error.stderr.strip()}")
        undo.callback(_run, "ip", "netns", "delete", name)
        # The engine and the client are two addresses of one network: so no route leads out, and no name is asked for.
        _run("ip", "-n", name, "link", "set", "lo", "up")
        _run("ip", "-n", name, "link", "add", "node", "type", "bridge")
        for address in (_ADDRESS, _CLIENT):
            _run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "node")
        _run("ip", "-n", name, "link", "set", "node", "up")
        log = undo.enter_context((folder / "dockerd.log").open("w"))
        # Not `ip netns exec`: that mounts /sys anew, without the control groups.
        words = [
            "nsenter",
            f"--net=/run/netns/{name}",
            "dockerd",
            "--data-root",
            str(folder / "data"),
            "-H",
            f"unix://{socket}",
        ]
        words += ["--exec-root", f"/run/{name}", "--pidfile", str(folder / "pid"), "--bip", "172.31.77.1/24"]
        words += ["--cgroup-parent", f"/{name}"]
        process = undo.enter_context(subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True))
        undo.callback(_end, process, socket, Path(f"/run/{name}"))
        made = Node(socket, name)
        _await(made, process, folder / "dockerd.log")
        made.docker("swarm", "init", "--advertise-addr", _ADDRESS, "--listen-addr", _ADDRESS)
        undo.callback(made.docker, "swarm", "leave", "--force")
        yield made


def _await(made: Node, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _BOOT
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(AssertionError):
            made.docker("version")
            return
        time.sleep(0.1)
    last = (log.read_text().strip().splitlines() or ["it says nothing"])[-1]
    pytest.skip(f"no Docker engine runs here: {last}")


def _end(process: subprocess.Popen[bytes], socket: Path, run: Path) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    socket.unlink(missing_ok=True)
    shutil.rmtree(run, ignore_errors=True)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def client() -> list[str]:
    """The program that keeps up a load on a URL, to be run inside (see `client.py`)."""
    return [sys.executable, "-m", "tests.engines.swarm.client"]
