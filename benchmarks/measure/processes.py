"""Processes that a benchmark starts: ended with all that they started, and what they used."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

PATIENCE = 30.0


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def descendants(pid: int) -> list[int]:
    """Living processes below `pid`, parents first; helpers of Python's multiprocessing left out."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                with contextlib.suppress(OSError):
                    command = Path(f"/proc/{child}/cmdline").read_bytes()
                    if command and b"resource_tracker" not in command:
                        found += [child, *descendants(child)]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time that these processes have used, all threads (schedstat of proc(5), in nanoseconds)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(OSError):
                    total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory_kib(pids: Iterable[int]) -> int:
    """Proportional set size of these processes: what they share is divided among who shares it."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total


@contextlib.contextmanager
def running(
    command: str, folder: Path, environment: Mapping[str, str], output: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """`command` in `folder`, in a session of its own; ended at the end with all that it started."""
    process = subprocess.Popen(
        shlex.split(command), cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL,
        stdout=output, stderr=output if output == subprocess.DEVNULL else subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes], patience: float = 5.0) -> None:
    """TERM, then KILL, to the process and all below it."""
    below = descendants(process.pid)
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    for pid in {process.pid, *below, *descendants(process.pid)}:
        with contextlib.suppress(OSError):
            if pid != process.pid or process.poll() is None:
                os.kill(pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()


def fetch(port: int, path: str, timeout: float = 5.0) -> str | None:
    """Body of `GET path` over a new connection, or None where no complete 200 came. As quick as can be."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
            said = b""
            while chunk := connection.recv(65536):
                said += chunk
    except OSError:
        return None
    head, _, body = said.partition(b"\r\n\r\n")
    return body.decode() if head.split(b" ")[1:2] == [b"200"] else None


def wait_for(port: int, path: str = "/", patience: float = PATIENCE) -> str:
    """Body of the first 200; raises `TimeoutError` where none comes."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if (body := fetch(port, path)) is not None:
            return body
        time.sleep(0.002)
    raise TimeoutError(f"no answer from port {port}")
