"""The first process of a container, run as it is: signals, codes, what the command gets, when it may be chosen."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from fungible.engines.image import entry

_TELLS = "import json, os; print(json.dumps(dict(os.environ)))"
_WAITS = """
import signal, sys
signal.signal(signal.{0}, lambda *_: sys.exit(7))
print("up", flush=True)
while True: signal.pause()
"""


class Container:
    """The entry point beside a formation of these types, with a folder of its own to write to."""

    def __init__(self, folder: Path, **types: Mapping[str, object]) -> None:
        self.folder = folder
        self.path = folder / "entry.py"
        self.path.write_text(Path(entry.__file__).read_text())
        usual: dict[str, object] = {"stop_signal": "TERM", "lame_duck": 0, "port": None}
        made = {name: {**usual, **declared} for name, declared in types.items()}
        (folder / "formation.json").write_text(json.dumps({"types": made}))

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-I", "-S", str(self.path), *words]

    def environment(self, **more: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "TMPDIR": str(self.folder / "tmp"), **more}

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment(**more)
        return subprocess.run(self.command(*words), env=environment, capture_output=True, text=True, timeout=60)

    @contextmanager
    def running(self, *words: str, **more: str) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            self.command(*words), env=self.environment(**more), stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def _python(code: str) -> dict[str, object]:
    return {"argv": [sys.executable, "-c", code]}


def test_a_type_is_run_and_its_code_is_ours(tmp_path: Path) -> None:
    container = Container(
        tmp_path, web={"argv": ["sh", "-c", "exit 3"]}, clock=_python("import os; os.kill(os.getpid(), 9)")
    )
    assert container.run("web").returncode == 3
    assert container.run("clock").returncode == 128 + 9
    assert container.run("sh", "-c", "exit 5").returncode == 5
    missing = container.run("nothing-like-it")
    assert missing.returncode == 127
    assert missing.stderr == "fungible: nothing-like-it: No such file or directory (process types: web, clock)\n"
    nothing = container.run()
    assert nothing.returncode == 1
    assert "web, clock" in nothing.stderr


def test_what_a_process_gets(tmp_path: Path) -> None:
    container = Container(tmp_path, web={**_python(_TELLS), "port": 8000}, worker=_python(_TELLS))
    first, second = (json.loads(container.run("web", FUNGIBLE_LAME_DUCK="1", PLAN="gold").stdout) for _ in range(2))
    assert first["PORT"] == "8000"
    assert first["PLAN"] == "gold"
    assert first["FUNGIBLE_PROCESS"] == f"web.{socket.gethostname()}"
    assert first["FUNGIBLE_INSTANCE"] != second["FUNGIBLE_INSTANCE"]
    assert "FUNGIBLE_LAME_DUCK" not in first
    for name in ("HOME", "FUNGIBLE_SCRATCH", "XDG_RUNTIME_DIR"):
        assert Path(first[name]).is_relative_to(tmp_path / "tmp")
        assert Path(first[name]).stat().st_mode & 0o777 == 0o700
    worker = json.loads(container.run("worker", FUNGIBLE_PROCESS="worker.3").stdout)
    assert "PORT" not in worker
    assert worker["FUNGIBLE_PROCESS"] == "worker.3"


def test_secrets_that_are_files_are_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "KEY").write_text("one\ntwo")
    (tmp_path / "BAD").write_bytes(b"\xff")
    assert list(entry.secrets_in(str(tmp_path))) == [("KEY", "one\ntwo")]
    assert list(entry.secrets_in(str(tmp_path / "none"))) == []
    monkeypatch.setattr(entry, "SECRETS", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("KEY", "set already")
    assert entry.environment_of("web", {"port": None})["KEY"] == "set already"


@pytest.mark.parametrize("name", ["TERM", "INT", "QUIT"])
def test_it_is_asked_to_stop_by_the_signal_of_its_type(tmp_path: Path, name: str) -> None:
    container = Container(tmp_path, worker={**_python(_WAITS.format(f"SIG{name}")), "stop_signal": name})
    with container.running("worker") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 7


def test_a_web_process_serves_on_until_those_who_route_know(tmp_path: Path) -> None:
    container = Container(tmp_path, web={**_python(_WAITS.format("SIGTERM")), "lame_duck": 1.5})
    with container.running("web") as process:
        assert process.stdout is not None
        process.stdout.readline()
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)  # a second one does not shorten it
        assert process.wait(30) == 7
        assert time.monotonic() - begun >= 1.5


def test_other_signals_are_handed_on_at_once(tmp_path: Path) -> None:
    container = Container(tmp_path, web={**_python(_WAITS.format("SIGHUP")), "lame_duck": 600})
    with container.running("web") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 7


@contextmanager
def _answering(host: str, answer: bytes) -> Iterator[int]:
    """A server at `host` that gives this answer to everybody."""
    code = (
        "import socket, sys\n"
        f"s = socket.create_server(({host!r}, 0)); print(s.getsockname()[1], flush=True)\n"
        f"while True:\n c, _ = s.accept(); c.recv(4096); c.sendall({answer!r}); c.close()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def test_ready_is_a_complete_answer_where_others_reach_it(tmp_path: Path) -> None:
    container = Container(tmp_path)
    with _answering("0.0.0.0", b"HTTP/1.1 404 Not Found\r\n\r\n") as port:
        assert container.run("ready", PORT=str(port)).returncode == 0
        refused = container.run("ready", PORT=str(port), FUNGIBLE_READY_PATH="/healthz")
        assert (refused.returncode, refused.stderr) == (
            1,
            "fungible: GET /healthz is answered 404, and only 2xx and 3xx are ready\n",
        )
    with _answering("0.0.0.0", b"HTTP/1.0 302 Found\r\n\r\n") as port:
        assert container.run("ready", PORT=str(port), FUNGIBLE_READY_PATH="/healthz").returncode == 0
    with _answering("0.0.0.0", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") as port:
        assert "the answer was cut" in container.run("ready", PORT=str(port)).stderr
    with _answering("0.0.0.0", b"hello\r\n") as port:
        assert "not HTTP" in container.run("ready", PORT=str(port)).stderr


def test_a_process_that_only_loopback_reaches_is_not_ready_and_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    # This machine's own name may be loopback's: so it is given another address of loopback, where nobody listens.
    monkeypatch.setattr(entry, "_own_address", lambda: "127.0.0.9")
    said: list[str] = []
    monkeypatch.setattr(entry, "complain", lambda sentence: said.append(sentence) or 1)
    with _answering("127.0.0.1", b"HTTP/1.1 200 OK\r\n\r\n") as port:
        assert entry.ready(port, None) == 1
    assert said == [f"the process listens on 127.0.0.1:{port}, which nobody else reaches: let it use 0.0.0.0"]
