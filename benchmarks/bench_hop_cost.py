"""Where a request's cost in the router is: instructions and system calls of a no-op, by part, beside nginx.

usage: bench_hop_cost.py [--scale X]; writes benchmarks/results/hop-cost.json. Counts do not depend on what else the
machine does: valgrind counts the instructions of HAProxy under the router's own configuration, under the same without
one part at a time, and of nginx; strace counts the system calls, under wrk. Time in the kernel is in neither.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from measure.formation import Home, home
from measure.nginx import nginx
from measure.peers import SERVERS
from measure.processes import descendants, running, wait_for
from measure.result import arguments, machine, say, times, versions, write
from measure.wrk import wrk

from fungible.runtime.router import RouterSettings, Upstream
from fungible.runtime.router.answers import answers_map
from fungible.runtime.router.binary import find
from fungible.runtime.router.configuration import ANSWERS, CAUSE, Descriptors, configuration
from fungible.runtime.router.listener import listen, listen_at_path
from fungible.runtime.router.router import connections_allowed, threads_allowed

REQUESTS = 2000
CONNECTIONS = 8
_COUNTED = re.compile(r"^(?:totals|summary): (\d+)", re.M)

Edit = Callable[[list[str]], list[str]]


def without(*words: str) -> Edit:
    """The configuration without the lines that hold one of these words."""
    return lambda lines: [line for line in lines if not any(word in line for word in words)]


PARTS: dict[str, Edit] = {
    "the log": without("  log fd@"),
    "retries": without("retry-on"),
    "headers to the process": without("http-request add-header", "http-request set-header", "unique-id-header"),
    "headers deleted": without("http-request del-header"),
    "rules on the answer": without("http-response", "http-after-response"),
    "all of these": without("http-", "log", "unique-id", "tcp-request", "retry-on", "acl"),
}


@contextlib.contextmanager
def haproxy(folder: Path, upstream: str, edit: Edit | None, prefix: str = "") -> Iterator[tuple[int, int]]:
    """HAProxy as the router starts it; gives its port and its pid. What it logs goes to a pipe that is not read."""
    folder.mkdir(mode=0o700)
    (folder / ANSWERS).write_text(answers_map())
    (folder / CAUSE).write_text("cause starting\n")
    binary = find()
    with contextlib.ExitStack() as held:
        public = held.enter_context(contextlib.closing(listen("127.0.0.1", 0)))
        admin = held.enter_context(contextlib.closing(listen_at_path(folder / "admin")))
        log = os.open("/dev/null", os.O_WRONLY)
        held.callback(os.close, log)
        port = public.getsockname()[1]
        text = configuration(
            RouterSettings(),
            Descriptors(public.fileno(), admin.fileno(), log, port),
            [("p1", Upstream("web.1", "i1", "v1", f"unix@{upstream}"))],
            version=binary.version,
            connections=connections_allowed(RouterSettings().max_connections),
            threads=threads_allowed(),
        )
        lines = text.splitlines()
        (folder / "router.cfg").write_text("\n".join(edit(lines) if edit else lines) + "\n")
        inherited = (public.fileno(), admin.fileno(), log)
        command = f"{prefix} {binary.path} -db -C {folder} -f router.cfg"
        environment = {"PATH": os.environ.get("PATH", os.defpath), **binary.environment}
        process = subprocess.Popen(
            shlex.split(command), env=environment, pass_fds=inherited,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_for(port)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait()


def ask(port: int, count: int) -> None:
    """`count` requests over kept connections, a batch at a time."""
    connections = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(CONNECTIONS)]
    for _ in range(count // CONNECTIONS):
        for each in connections:
            each.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
        for each in connections:
            each.recv(65536)
    for each in connections:
        each.close()


def instructions(folder: Path, port: int, pid: int, count: int) -> int:
    """Instructions in user space for each of `count` requests, warmed up, by callgrind's counters in `folder`."""
    ask(port, 50 * CONNECTIONS)
    subprocess.run(["callgrind_control", "-z", str(pid)], check=True, capture_output=True)
    ask(port, count)
    subprocess.run(["callgrind_control", "-d", str(pid)], check=True, capture_output=True)
    (counted,) = (int(_COUNTED.findall(path.read_text())[-1]) for path in folder.glob("callgrind.out*.1"))
    return round(counted / count)


def callgrind(folder: Path) -> str:
    """What to put before a command so that its instructions are counted into `folder`.

    One instruction may copy a whole buffer, and valgrind counts it by the byte: libc is told to copy in vectors.
    """
    tuned = "env GLIBC_TUNABLES=glibc.cpu.x86_rep_movsb_threshold=1048576"
    return f"{tuned} valgrind --tool=callgrind --callgrind-out-file={folder}/callgrind.out"


def calls(port: int, pids: list[int], trace: Path) -> dict[str, float]:
    """System calls a request, those made at least once in twenty requests, at 16 connections."""
    wrk(port, "/", 1, 16)
    attach = [word for pid in pids for word in ("-p", str(pid))]
    strace = subprocess.Popen(["strace", "-c", "-f", "-o", str(trace), *attach], stderr=subprocess.DEVNULL)
    time.sleep(1)  # it says nowhere that it has attached
    started = time.monotonic()
    measured = wrk(port, "/", 2, 16)
    asked = measured.rate * (time.monotonic() - started)
    strace.terminate()
    strace.wait()
    rows = [line.split() for line in trace.read_text().splitlines()]
    counted = {row[-1]: int(row[3]) / asked for row in rows if len(row) >= 5 and row[3].isdigit()}
    return {name: round(count, 2) for name, count in counted.items() if count >= 0.05 and name != "total"}


def main() -> None:
    """Measure and write the result file."""
    options = arguments(__doc__ or "")
    load = os.getloadavg()[0]
    for tool in ("valgrind", "strace", "wrk", "nginx"):
        if shutil.which(tool, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") is None:
            say(f"{tool} is missing: apt-get install {tool}")
            return
    count = times(REQUESTS, options.scale, CONNECTIONS) // CONNECTIONS * CONNECTIONS
    with home() as folder:
        result = measure(folder, count)
    write("hop-cost", {**result, "versions": versions(["granian", "nginx"]), "machine": machine(load)}, options.dry)


def measure(folder: Home, count: int) -> dict[str, Any]:
    """Instructions by part and system calls, of the router and of nginx in front of the same process."""
    upstream = folder.base / "server.sock"
    with running(SERVERS["granian"].unix_line(str(upstream)), folder.app, folder.environment()):
        while not upstream.is_socket():
            time.sleep(0.05)
        counted: dict[str, int] = {}
        for number, (name, edit) in enumerate({"": None, **PARTS}.items()):
            say(f"instructions of the router, without {name or 'nothing'}")
            place = folder.base / f"h{number}"
            with haproxy(place, str(upstream), edit, callgrind(place)) as (port, pid):
                counted[name] = instructions(place, port, pid, count)
        say("instructions of nginx")
        place = folder.base / "n"
        with nginx(place, [str(upstream)], around=callgrind(place)) as (port, pids):
            theirs = instructions(place, port, pids[0], count)
        say("system calls")
        with haproxy(folder.base / "s", str(upstream), None) as (port, pid):
            made = {"router": calls(port, [pid], folder.base / "ours")}
        with nginx(folder.base / "t", [str(upstream)]) as (port, pids):
            made["nginx"] = calls(port, [*pids, *descendants(pids[0])], folder.base / "theirs")
    return {
        "question": "Where is a request's cost in the router?",
        "requests": count,
        "instructions": {
            "router": counted[""],
            "of them": {name: counted[""] - counted[name] for name in PARTS},
            "nginx": theirs,
        },
        "system_calls": made,
    }


if __name__ == "__main__":
    main()
