"""Parts of the run stage against the real system: ports, listeners, sessions, the console, pipes."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fungible.app.problem import Problem
from fungible.runtime.events import Event
from fungible.runtime.ground.session import Session, reap_sessions
from fungible.runtime.logs.console import Console
from fungible.runtime.logs.logs import Line, Pipe
from fungible.runtime.logs.repeats import HELD
from fungible.runtime.process.listeners import count_servers, is_foreign, is_listening, listening_at
from fungible.runtime.process.memory import memory_of
from fungible.runtime.process.port import LOWEST, Ports, ephemeral_start
from fungible.runtime.router.access_log import LogPipe
from tests.runtime.harness import wait_until


def test_a_port_is_below_the_ephemeral_range_and_reused_last() -> None:
    ports = Ports(start=0)
    first = ports.take()
    assert LOWEST <= first < max(LOWEST + 100, ephemeral_start())
    ports.give_back(first)
    assert ports.take() != first
    ports.close()


TAKING = f"""
import os, sys
from fungible.runtime.process.port import Ports
if os.geteuid() == 0:
    os.setuid(65534)
ports = Ports(start=int(sys.argv[1]) - {LOWEST})
print(ports.take(), flush=True)
sys.stdin.read()
"""


def test_two_supervisors_never_get_the_same_port_whoever_and_wherever_they_are(tmp_path: Path) -> None:
    """Between taking a port and listening there, a process boots: with a lock that another supervisor does not see,
    two processes would be told the same port, and the one that came second would answer for the other."""
    first = Ports(start=7)
    taken = first.take()
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", TAKING, str(taken)],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout
        said = int(other.stdout.readline())
        assert said != taken
        third = Ports(start=said - LOWEST)
        assert third.take() not in (said, taken)
        third.close()
        other.kill()
    again = Ports(start=said - LOWEST)
    assert again.take() == said, "the lock of a supervisor that was killed is gone with it"
    again.close()
    first.close()


def test_a_port_on_which_someone_listens_is_passed_over() -> None:
    probe = Ports(start=500)
    port = probe.take()
    probe.close()
    with socket.create_server(("127.0.0.1", port)):
        assert Ports(start=port - LOWEST).take() != port


def test_without_a_free_port_there_is_one_sentence() -> None:
    ports = Ports()
    ports._queue.clear()
    with pytest.raises(Problem, match="no free port"):
        ports.take()


def test_a_full_pipe_of_log_lines_is_read_at_once() -> None:
    """What is left in it for the next time would add up under load, until HAProxy drops lines."""
    taken: list[bytes] = []
    pipe, written = LogPipe(taken.extend), 0
    os.set_blocking(pipe.write_end, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe.write_end, b"%0120d\n" % written)
            written += 1
    pipe.drain()
    assert taken == [b"%0120d" % number for number in range(written)]
    pipe.close()


def test_an_answer_from_a_port_where_nobody_listens_any_more_was_somebody_elses(tmp_path: Path) -> None:
    """Another program may answer there and go before it is looked at who did."""
    with socket.create_server(("127.0.0.1", 0)) as own, socket.create_server(("127.0.0.1", 0)) as gone:
        port, left = own.getsockname()[1], gone.getsockname()[1]
        gone.close()
        assert not is_foreign(os.getpid(), port)
        assert is_foreign(os.getpid(), left)
        assert not is_foreign(os.getpid(), None, str(tmp_path / "s")), "a socket may be bound by another name"


SERVERS = """
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX) if "/" in sys.argv[1] else socket.socket()
s.bind(sys.argv[1] if "/" in sys.argv[1] else ("127.0.0.1", 0)); s.listen()
for _ in range(int(sys.argv[2])):
    if os.fork() == 0: time.sleep(600)
print(s.getsockname()[1] if s.family == socket.AF_INET else 0, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(("forks", "servers"), [(0, 1), (1, 1), (3, 3)])
@pytest.mark.parametrize("unix", [False, True])
def test_servers_are_counted(tmp_path: Path, forks: int, servers: int, unix: bool) -> None:
    path = str(tmp_path / "s") if unix else None
    command = [sys.executable, "-c", SERVERS, path or "-", str(forks)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline()) or None
            assert count_servers(process.pid, port, path) == servers
            assert is_listening(process.pid, port, path)
            assert not is_listening(os.getpid() if port is None else 1 << 22, port, None)
            assert listening_at(process.pid) == [path if unix else f"port {port}"]
            assert memory_of(process.pid) > 1_000_000
        finally:
            os.killpg(process.pid, 9)
    assert count_servers(process.pid, port, path) == 0
    assert memory_of(process.pid) == 0


def test_a_session_is_wiped_by_its_holder_or_after_it(tmp_path: Path) -> None:
    alive = Session(tmp_path)
    (alive.folder / "abc").mkdir()
    script = (
        "import sys, pathlib; from fungible.runtime.ground.session import Session\n"
        "s = Session(pathlib.Path(sys.argv[1])); (s.folder / 'x').mkdir(); print(s.folder, flush=True)\n"
        "sys.stdin.read(); import os; os._exit(1)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        folder = Path(other.stdout.readline().strip())
        assert reap_sessions(tmp_path) == 0, "both live"
        assert (folder / "x").exists()
        other.communicate("")
    assert reap_sessions(tmp_path) == 1
    assert not folder.exists()
    assert (alive.folder / "abc").exists()
    alive.end()
    assert list(tmp_path.iterdir()) == []


def test_the_console_writes_in_order_and_counts_what_it_drops() -> None:
    class Slow(io.StringIO):
        encoding = "utf-8"

        def write(self, text: str) -> int:
            gate.wait(30)
            return super().write(text)

    gate = threading.Event()
    stream = Slow()
    console = Console(stream, as_json=True, mask=lambda text: text, waiting=10_000)
    for number in range(1000):
        console(Event("log.line", "web.1", data={"text": str(number)}))
    gate.set()
    console.close()
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    numbers = [int(event["text"]) for event in events if event["event"] == "log.line"]
    assert numbers == sorted(numbers)
    dropped = sum(event["lines"] for event in events if event["event"] == "log.dropped")
    assert dropped > 0
    assert dropped + len(numbers) == 1000


def test_the_console_writes_what_its_stream_cannot_encode() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    console = Console(stream, as_json=False, mask=lambda text: text)
    console(Event("log.line", "web.1", data={"text": "é \ud800"}))
    console.close()
    assert raw.getvalue().endswith(b"\\xe9 \\ud800\n")


def test_what_the_console_holds_back_comes_without_another_event() -> None:
    stream = io.StringIO()
    console = Console(stream, as_json=False, mask=lambda text: text)
    failed = {"status": 127, "crashed": True, "cannot_start": "there is no such program"}
    console(Event("process.ended", "web.1", "one", "v1", failed))
    wait_until(lambda: "no such program" in stream.getvalue())
    console(Event("process.started", "web.1", "two", "v1", {"pid": 7}, at=time.time() - HELD))
    wait_until(lambda: "started (pid 7, v1)" in stream.getvalue())
    console.close()


def test_a_pipe_tells_lines_as_they_come_and_the_rest_at_its_end() -> None:
    async def main() -> list[Line]:
        lines: list[Line] = []
        pipe = Pipe(lines.append)
        process = subprocess.Popen(["sh", "-c", "echo one; printf two"], stdout=pipe.write_end)
        pipe.started()
        await asyncio.wait_for(pipe.ended, 30)
        process.wait()
        return lines

    assert asyncio.run(main()) == [Line("one"), Line("two")]


def test_waiting_gives_up() -> None:
    with pytest.raises(AssertionError, match="because"):
        wait_until(lambda: False, lambda: "because", patience=0.0)
