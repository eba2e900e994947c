"""The agent in other interpreters and servers, and how little of it an app can see."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from fungible.verify.blame.agent import AgentServer
from tests.verify.agent.serving import Running, gunicorn, line_of, path_of, serving

SERVER = """
import functools
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HITS = 0
CARTS = {}  # declared: dict
LOCAL = threading.local()


class Base:
    __slots__ = ("rows", "__dict__")

    def __init__(self):
        self.rows = []  # declared: slot


class Store(Base):
    __slots__ = ()

    def clear(self):
        self.rows = []


store = Store()


@functools.lru_cache(maxsize=None)  # writes: cache
def price(name):
    return len(name)


TRAPPED = []


def trap(name):
    def hook(*_):
        TRAPPED.append(name)
        return object.__hash__(_[0]) if name == "__hash__" else NotImplemented if name == "__eq__" else ""
    return hook


HOOKS = {name: trap(name) for name in ("__hash__", "__eq__", "__repr__", "__getattr__", "__len__", "__iter__",
         "__bool__", "__contains__", "__getitem__", "__instancecheck__", "__subclasscheck__", "items", "keys")}


class Meta(type):
    locals().update({name: hook for name, hook in HOOKS.items() if name not in ("items", "keys")})

    def __getattribute__(cls, name):
        TRAPPED.append("type." + name)
        return type.__getattribute__(cls, name)


def watchful(self, name):
    TRAPPED.append("." + name)
    return object.__getattribute__(self, name)


Trap = Meta("Trap", (), {**HOOKS, "__getattribute__": watchful, "__class__": property(trap("__class__"))})
TrapDict = Meta("TrapDict", (dict,), {**HOOKS, "__getattribute__": watchful})
TrapList = Meta("TrapList", (list,), {**HOOKS, "__getattribute__": watchful})
TrapSet = Meta("TrapSet", (set,), {**HOOKS, "__getattribute__": watchful})


class TrapLocal(threading.local):
    def __init__(self):
        TRAPPED.append("local")


TRAPS = [Trap(), TrapDict(a=Trap()), TrapList([Trap()]), TrapSet(), {Trap(): Trap()}, (Trap(), {Trap()}), TrapLocal()]
TRAPS[3].add(Trap())
TRAPPED.clear()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        global HITS
        if self.path != "/nothing":
            HITS += 1  # writes: int
            CARTS[self.path] = {"hits": HITS}  # writes: dict
            store.rows.append(self.path)  # writes: slot
            price(self.path)
        body = str(HITS).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.daemon_threads = True
    server.serve_forever()
"""


def _interpreters() -> list[str]:
    found = [sys.executable]
    versions = Path.home() / ".pyenv" / "versions"
    for minor in ("3.9", "3.10", "3.12", "3.13", "3.14"):
        found += [str(one / "bin/python") for one in sorted(versions.glob(f"{minor}.*"))[-1:]]
    return found


def _write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text))
    return file


@pytest.mark.parametrize("python", _interpreters())
def test_other_interpreters(tmp_path: Path, python: str) -> None:
    file = _write(tmp_path, "server.py", SERVER)
    hits, carts, rows, price = (path_of("__main__", *name) for name in (
        ("HITS",), ("CARTS",), ("store", "rows"), ("price",)))  # fmt: skip

    async def run() -> None:
        async with serving(tmp_path, [python, str(file), "{port}"], tmp_path) as server:
            agent = server.agent
            await server.get("/nothing")
            await server.get("/nothing")
            await agent.snapshot("before")
            assert [change.text() for change in await agent.diff("before") if change.in_app] == []
            await agent.trace([hits, carts, rows, price])
            assert await server.get("/a") == "1"
            writes = {write.path: write for write in await agent.traced()}
            assert {path: writes[path].written_at for path in (hits, carts, rows, price)} == {
                hits: (str(file), line_of(file, "writes: int")),
                carts: (str(file), line_of(file, "writes: dict")),
                rows: (str(file), line_of(file, "writes: slot")),
                price: (str(file), line_of(file, "writes: cache")),
            }
            changes = [change for change in await agent.diff("before") if change.in_app]
            names = {change.text(agent.greetings[0].main) for change in changes}
            assert names == {"server.HITS", "server.CARTS['/a']", "server.store.rows[0]", "server.price"}
            restored = await agent.restore("before", [change.path for change in changes])
            assert (restored.suspects, restored.unknown) == ((), ())
            assert await server.get("/nothing") == "0"
            places = await agent.declared([carts, rows])
            assert places[carts].line == line_of(file, "declared: dict")
            assert places[rows].line == line_of(file, "declared: slot")
            await agent.export(path_of("__main__", "TRAPS"))
            assert (await agent.export(path_of("__main__", "TRAPPED")))[0] == {"t": "list", "v": []}
            assert {"HITS"} <= {atom.path.steps[-1][1] for atom in await agent.boot("salt", "app")}

    asyncio.run(run())


ASYNC = """
import asyncio
from fastapi import FastAPI, Request

app = FastAPI()
app.state.carts = {}
JOBS = {}


async def work(name):
    await asyncio.sleep(0)
    JOBS[name] = "done"  # writes: job


@app.get("/cart")
async def cart(request: Request):
    request.app.state.carts["ann"] = 1  # writes: cart
    return len(request.app.state.carts)


@app.get("/job")
async def job():
    JOBS["one"] = "queued"  # writes: queued
    task = asyncio.create_task(work("one"))
    await task
    return JOBS


@app.get("/sync")
def sync():
    JOBS["two"] = "done"  # writes: thread
    return JOBS
"""


def test_uvicorn(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    file = _write(tmp_path, "asgi.py", ASYNC)
    command = [sys.executable, "-m", "uvicorn", "asgi:app", "--port", "{port}", "--log-level", "error"]

    async def run() -> None:
        async with serving(tmp_path, command, tmp_path) as server:
            await server.missing("/warm")
            await server.missing("/warm")
            await server.agent.snapshot("before")
            assert [change.text() for change in await server.agent.diff("before") if change.in_app] == []
            assert await server.get("/cart") == "1"
            cart = await server.change("before", "asgi.app.state._state['carts']['ann']")
            await server.get("/job")
            job = await server.change("before", "asgi.JOBS['one']")
            await server.agent.restore("before", [cart.path, job.path])
            assert await server.agent.trace([cart.path, job.path]) == (cart.path, job.path)
            for path in ("/cart", "/job", "/sync"):
                await server.get(path)
            written = [write.written_at for write in await server.agent.traced()]
            marks = ("cart", "queued", "job", "thread")
            assert written == [(str(file), line_of(file, f"writes: {mark}")) for mark in marks]

    asyncio.run(run())


LAZY = """
from flask import Flask, session
from sqlalchemy import create_engine, select, String
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = create_engine("sqlite:///shop.db")
app = Flask(__name__)


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(30))


Base.metadata.create_all(engine)


@app.get("/items")
def items():
    with Session(engine) as db:
        db.add(Item(title="one"))
        db.commit()
        return str(len(db.scalars(select(Item)).all()))
"""


def test_looking_changes_nothing_of_lazy_libraries(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    _write(tmp_path, "lazy.py", LAZY)

    async def run() -> None:
        async with serving(tmp_path, gunicorn("lazy:app"), tmp_path, processes=2, lines=False) as server:
            await server.get("/items")
            await server.get("/items")
            for name in ("one", "two"):
                await server.agent.snapshot(name)
            assert [(change.text(), change.what) for change in await server.agent.diff("one")] == []
            await server.get("/items")
            changes = [change.text() for change in await server.agent.diff("two")]
            assert len(changes) <= 12, changes

    asyncio.run(run())


def test_greenlets(tmp_path: Path) -> None:
    pytest.importorskip("gevent")
    _write(tmp_path, "green.py", """
        from flask import Flask

        app = Flask(__name__)
        CARTS = {}


        @app.get("/cart")
        def cart():
            CARTS["ann"] = 1  # writes: cart
            return str(len(CARTS))
    """)  # fmt: skip
    carts = path_of("green", "CARTS")

    async def run() -> None:
        command = gunicorn("-k", "gevent", "green:app")
        async with serving(tmp_path, command, tmp_path, processes=2) as server:
            await server.missing("/warm")
            await server.agent.snapshot("before")
            await server.agent.trace([carts])
            await server.get("/cart")
            cart = await server.change("before", "green.CARTS['ann']")
            (write,) = await server.agent.traced()
            assert write.written_at == (str(tmp_path / "green.py"), line_of(tmp_path / "green.py", "writes: cart"))
            assert (await server.agent.restore("before", [cart.path])).restored == (carts,)

    asyncio.run(run())


def test_what_an_app_can_see_of_it(tmp_path: Path) -> None:
    _write(tmp_path, "own/sitecustomize.py", "LOADED = True\n")
    _write(tmp_path, "own/mine.py", "VALUE = 7\n")
    program = """
        import json, os, subprocess, sys, sitecustomize, mine, threading
        child = subprocess.run([sys.executable, "-c", "import os; print(os.environ.get('PYTHONPATH'))"],
                               capture_output=True, text=True, env=dict(os.environ)).stdout.strip()
        print(json.dumps({"path": sys.path, "environment": dict(os.environ), "loaded": sitecustomize.LOADED,
                          "child": child, "threads": threading.active_count(), "mine": mine.VALUE}))
    """

    async def run() -> None:
        async with AgentServer(tmp_path / "agent.sock") as agent:
            own = str(tmp_path / "own")
            environment = {**os.environ, **agent.environment(str(tmp_path), own, lines=True)}
            said = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            seen = json.loads(said.stdout)
            assert (seen["loaded"], seen["mine"], seen["threads"], seen["child"]) == (True, 7, 1, own)
            assert seen["environment"]["PYTHONPATH"] == own
            assert not [name for name in seen["environment"] if name.startswith("FUNGIBLE")]
            assert str(agent.inside) not in seen["path"] and own in seen["path"]
            assert said.stderr == ""

    asyncio.run(run())


@pytest.mark.parametrize("python", _interpreters())
def test_a_fork_has_its_own_connection_and_no_warning(tmp_path: Path, python: str) -> None:
    program = _write(
        tmp_path,
        "forks.py",
        """
        import os, sys
        VALUE = 1
        for _ in range(20):
            child = os.fork()
            if not child:
                os._exit(0)
            os.waitpid(child, 0)
        child = os.fork()
        if not child:
            VALUE = 2
            sys.stdin.read()
            os._exit(0)
        print(child, flush=True)
        sys.stdin.read()
        os.waitpid(child, 0)
        """,
    )

    async def run() -> None:
        async with AgentServer(tmp_path / "agent.sock") as agent:
            process = await asyncio.create_subprocess_exec(
                python,
                "-W",
                "error",
                str(program),
                env={**os.environ, **agent.environment(str(tmp_path))},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert process.stdout is not None
            child = int(await asyncio.wait_for(process.stdout.readline(), 30))
            async with asyncio.timeout(20):
                while {one.pid for one in agent.greetings} != {process.pid, child}:
                    await asyncio.sleep(0.02)
            assert [one.parent for one in agent.greetings if one.pid == child] == [process.pid]
            atoms = await agent.boot("salt", "app")
            digests = {atom.pid: atom.digest for atom in atoms if atom.path.steps[-1] == ["a", "VALUE"]}
            assert set(digests) == {process.pid, child} and digests[child] != digests[process.pid]
            _, stderr = await asyncio.wait_for(process.communicate(b""), 20)
            assert stderr == b""

    asyncio.run(run())


def test_a_launcher_passes_it_on(tmp_path: Path) -> None:
    file = _write(tmp_path, "server.py", SERVER)
    launch = "import os, sys; os.execvpe(sys.argv[1], sys.argv[1:], os.environ)"
    command = [sys.executable, "-c", launch, sys.executable, str(file), "{port}"]

    async def run() -> Running:
        async with serving(tmp_path, command, tmp_path) as server:
            async with asyncio.timeout(20):
                while [one.main for one in server.agent.greetings] != ["server"]:
                    await asyncio.sleep(0.02)
            await server.agent.snapshot("before")
            await server.get("/a")
            await server.change("before", "server.HITS")
            return server

    asyncio.run(run())
