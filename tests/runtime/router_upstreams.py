"""Small real servers to put behind the router, and a place to wait for its events."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from fungible.runtime.events import Event
from fungible.runtime.router import Requests, Router, RouterSettings, Upstream
from fungible.runtime.router.binary import Binary

PATIENCE = 20.0
HAPROXY: Binary | None = None  # the one that is found; set it to try another


@dataclass
class Request:
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


@dataclass
class App:
    """One process: says its name, misbehaves by path."""

    name: str
    seen: list[Request] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    server: asyncio.Server | None = None
    address: str = ""

    async def start(self, path: Path | None = None) -> App:
        if path:
            self.server = await asyncio.start_unix_server(self.connection, path)
            self.address = f"unix@{path}"
        else:
            self.server = await asyncio.start_server(self.connection, "127.0.0.1", 0)
            self.address = f"127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    def die(self) -> None:
        """As after kill -9: no listener, every connection cut."""
        if self.server:
            self.server.close()
        for writer in list(self.writers):
            writer.transport.abort()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await self.serve(reader, writer):
                pass
        self.writers.discard(writer)
        writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = [(k.lower(), v.strip()) for k, _, v in (line.partition(":") for line in head[1:] if line)]
        length = int(dict(headers).get("content-length", 0))
        request = Request(method, path, headers, await reader.readexactly(length))
        self.seen.append(request)
        self.entered.release()
        path = path.partition("?")[0]
        if path == "/close":
            return False
        if path == "/garbage":
            writer.write(b"this is not HTTP\r\n\r\n")
        elif path == "/503":
            answer(writer, b"mine", status="503 Busy", extra="Fungible-Cause: forged\r\n")
        elif path == "/401":
            answer(writer, b"", status="401 Who", extra="WWW-Authenticate: Negotiate\r\nWWW-Authenticate: Basic\r\n")
        elif path == "/cut":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            await writer.drain()
            return False
        elif path == "/events":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
            await writer.drain()
            await self.gate.wait()
            writer.write(b"data: 2\n\n")
            await writer.drain()
            return False
        elif path == "/socket":
            await self.websocket(reader, writer, dict(headers))
            return False
        else:
            if path == "/wait":
                await self.gate.wait()
            answer(writer, self.name.encode())
        await writer.drain()
        return True

    async def websocket(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: dict[str, str]
    ) -> None:
        digest = hashlib.sha1((headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode())
        accept = base64.b64encode(digest.digest()).decode()
        upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(f"{upgrade}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()


def answer(writer: asyncio.StreamWriter, body: bytes, status: str = "200 OK", extra: str = "") -> None:
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body)


class Events:
    """What the router published, to read and to wait for."""

    def __init__(self) -> None:
        self.all: list[Event] = []
        self._new = asyncio.Event()

    def publish(self, event: Event) -> None:
        self.all.append(event)
        self._new.set()

    def report(self, requests: Requests) -> None:
        for event in requests.events():
            self.publish(event)

    async def wait(self, kind: str, count: int = 1, **data: Any) -> list[Event]:
        """The events of `kind` with these data, once there are `count`."""
        async with asyncio.timeout(PATIENCE):
            while True:
                found = [e for e in self.all if e.kind == kind and data.items() <= e.as_dict().items()]
                if len(found) >= count:
                    return found
                self._new.clear()
                await self._new.wait()


@dataclass
class Stage:
    """A started router with its apps."""

    router: Router
    url: str
    events: Events
    folder: Path
    apps: list[App]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, connections: int = 1, **options: Any) -> httpx.AsyncClient:
        """A keep-alive client with that many connections at most."""
        options.setdefault("verify", False)  # no trust store to load
        limits = httpx.Limits(max_connections=connections)
        return httpx.AsyncClient(base_url=self.url, limits=limits, timeout=PATIENCE, trust_env=False, **options)

    async def raw(self, data: bytes) -> bytes:
        """Send bytes on a connection of their own; all that comes back until it is closed."""
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(data)
            received = await reader.read()
            writer.close()
            return received

    async def add(self, app: App, **options: Any) -> None:
        self.apps.append(app)
        await self.router.add(Upstream(f"web.{len(self.apps)}", app.name, "v1", app.address, **options))


@contextlib.asynccontextmanager
async def stage(*names: str, unix: bool = False, max_in_flight: int = 0, **settings: Any) -> AsyncIterator[Stage]:
    """A router on a free port with an `App` for each of `names` behind it."""
    folder = Path(tempfile.mkdtemp(prefix="fr-"))
    events = Events()
    limits = RouterSettings(**settings)
    router = Router(
        settings=limits, folder=folder / "r", publish=events.publish, report=events.report, haproxy=HAPROXY
    )
    made = Stage(router, "", events, folder / "r", [])
    try:
        made.url = await router.start("127.0.0.1", 0)
        for name in names:
            app = await App(name).start(folder / f"{name}.sock" if unix else None)
            await made.add(app, max_in_flight=max_in_flight)
        yield made
    finally:
        await router.stop(0)
        for app in made.apps:
            app.die()
        shutil.rmtree(folder)


async def until(condition: Callable[[], Any]) -> None:
    """Wait until `condition` holds, asking it again and again."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


def quiet(_: object) -> None:
    """Takes what a router tells."""


async def bodies(client: httpx.AsyncClient, count: int, path: str = "/", method: str = "GET") -> list[str]:
    return [(await client.request(method, path)).text for _ in range(count)]


def alternates(names: list[str]) -> bool:
    return all(one != other for one, other in itertools.pairwise(names))
