"""An app in a folder, its two imports, and an HTTP client for slots."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fungible.runtime.ground.confinement import Confinement
from fungible.sandbox.launch import wipe
from fungible.sandbox.spec import Mount
from fungible.verify.world.fork.birth import ForkBirth
from fungible.verify.world.slot import Site

FLASK = """
import atexit, os, socket, sys, tempfile
from flask import Flask, request
app = Flask(__name__)
SEEN = []
print("imported", flush=True)

@app.post("/seen/<name>")
def add(name):
    SEEN.append(name)
    with open("seen.txt", "a") as file:
        file.write(name)
    return {"seen": SEEN, "file": open("seen.txt").read()}

@app.get("/place")
def place():
    print("asked", file=sys.stderr, flush=True)
    return {"hash": hash("x"), "host": socket.gethostname(), "home": os.environ["HOME"], "tmp": tempfile.gettempdir(),
            "cwd": os.getcwd(), "seed": os.environ["PYTHONHASHSEED"], "threads": os.environ.get("OMP_NUM_THREADS"),
            "port": os.environ["PORT"]}

@app.post("/attached")
def attached():
    with open(os.environ["STORE"] + "/x", "a") as file:
        file.write("y")
    return open(os.environ["STORE"] + "/x").read()

atexit.register(lambda: (print("at exit"), open(os.environ.get("STORE", ".") + "/exit", "w").close()))
"""


@dataclass(frozen=True)
class Reply:
    """What a slot answered on one connection."""

    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes


@dataclass
class Bench:
    """`files` of an app; `site(n)` is the place of slot n."""

    base: Path
    layer: str = "disk"
    command: str = "gunicorn web:app"
    environment: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()

    @property
    def app(self) -> Path:
        return self.base / "app"

    def write(self, **files: str) -> Bench:
        for name, text in files.items():
            path = self.app / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self

    def site(self, number: int, **changes: Any) -> Site:
        private = self.base / "private" / str(number)
        path = f"{Path(sys.prefix) / 'bin'}:/usr/bin:/bin"
        own = {"PATH": path, "HOME": f"{private}/own/home", "TMPDIR": f"{private}/own/tmp"}
        fields = {
            "number": number,
            "folder": self.app,
            "content": self.app,
            "private": private,
            "host_name": f"host-{number}",
            "hash_seed": number % 2 + 1,
            "environment": {**own, **self.environment},
            "mounts": self.mounts,
        }
        return Site(**{**fields, **changes})

    async def open(self, **options: Any) -> ForkBirth:
        given = {"lazy": True, **self.options, **options}
        level = given.pop("level", "full")
        outbound = given.pop("outbound", "free")

        def confine(site: Site) -> Confinement:
            return Confinement(level, self.layer, site.content, site.folder, (), site.mounts, outbound)

        sites = given.pop("sites", (self.site(1000), self.site(1001)))
        return await ForkBirth.open(self.command, confine, sites, self.base / "s", **given)

    def run(self, scenario: Callable[[ForkBirth], Awaitable[None]], **options: Any) -> None:
        """Open, run, close; nothing may be left."""

        async def whole() -> None:
            birth = await self.open(**options)
            try:
                await scenario(birth)
            finally:
                await birth.close()

        asyncio.run(whole())
        left = [*(self.base / "s").iterdir(), *(self.base / "private").iterdir()]
        assert not left, f"left behind: {left}"


async def talk(address: str, sent: bytes) -> bytes:
    """Send raw bytes to a slot; all that it answers until it ends."""
    loop = asyncio.get_running_loop()
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)
    with client:
        await loop.sock_connect(client, address.removeprefix("unix@"))
        await loop.sock_sendall(client, sent)
        got = b""
        while data := await asyncio.wait_for(loop.sock_recv(client, 65536), 20):
            got += data
    return got


async def ask(address: str, path: str = "/", method: str = "GET", body: bytes = b"") -> Reply:
    """One request on a connection of its own."""
    head = f"{method} {path} HTTP/1.1\r\nHost: slot\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return parse(await talk(address, head.encode() + body))


def parse(raw: bytes) -> Reply:
    """The first answer in what was received."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        chunks, rest = [], body
        while rest and (size := int(rest.partition(b"\r\n")[0], 16)):
            rest = rest.partition(b"\r\n")[2]
            chunks.append(rest[:size])
            rest = rest[size + 2 :]
        body = b"".join(chunks)
    return Reply(int(lines[0].split(" ")[1]), headers, body, raw)


def make_bench() -> Bench:
    base = Path(tempfile.mkdtemp(prefix="fk-"))
    for name in ("app", "s", "private"):
        (base / name).mkdir(mode=0o700)
    return Bench(base)


def drop(bench: Bench) -> None:
    wipe(str(bench.base))
    if os.path.isdir(bench.base):
        shutil.rmtree(bench.base)
