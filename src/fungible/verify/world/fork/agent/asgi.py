"""An ASGI server for one app (ASGI 3.0, HTTP and lifespan; no WebSockets), on an event loop of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import traceback
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from . import ending, http1

_BUFFERED_AT_MOST = 262144
_STOP_TIME = 10.0  # seconds that requests in flight get after TERM

Message = dict[str, Any]
Application = Callable[
    [dict[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class StartupFailure(Exception):
    """The app said `lifespan.startup.failed`, or ended while it started."""


class _Lifespan:
    """The app's lifespan task; an app that does not know lifespans serves without."""

    def __init__(self, application: Application) -> None:
        self.state: dict[str, Any] = {}
        self._application = application
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._started: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.ensure_future(self._run())
        await self._to_app.put({"type": "lifespan.startup"})
        failure = await self._started
        if failure is not None:
            raise StartupFailure(failure)

    async def stop(self) -> None:
        if self._task is None or self._task.done():
            return
        await self._to_app.put({"type": "lifespan.shutdown"})
        await asyncio.wait({self._stopped, self._task}, return_when=asyncio.FIRST_COMPLETED)

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._application(scope, self._to_app.get, self._send)
        except Exception:  # the specification: an app that raises here does not support lifespans
            if self._started.done():
                traceback.print_exc()
        finally:
            for future in (self._started, self._stopped):
                if not future.done():
                    future.set_result(None)

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind.startswith("lifespan.startup") and not self._started.done():
            failed = kind.endswith("failed")
            self._started.set_result(str(message.get("message") or "no reason given") if failed else None)
        elif kind.startswith("lifespan.shutdown") and not self._stopped.done():
            self._stopped.set_result(None)


class _Connection(asyncio.Protocol):
    """One client: its requests in order, what it sent ahead kept back."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._received = b""
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.ended = False
        self.serving = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._server.begin(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > _BUFFERED_AT_MOST:
            self.transport.pause_reading()
        self._changed.set()

    def eof_received(self) -> bool:
        self.ended = True
        self._changed.set()
        return True  # it may still read the answer

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self._changed.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def receive(self) -> bytes:
        """What came since; empty at the end."""
        while not self._received and not self.ended:
            await self.changed()
        data, self._received = self._received, b""
        if not self.transport.is_closing():
            self.transport.resume_reading()
        return data

    async def changed(self) -> None:
        """Wait until something came or the client has gone."""
        if not self.ended:
            self._changed.clear()
            await self._changed.wait()

    def put_back(self, data: bytes) -> None:
        """What was read too far."""
        self._received = data + self._received

    async def send(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)
        await self._writable.wait()

    async def read_head(self) -> http1.Head | None:
        waiting = b""
        while True:
            end = http1.end_of_head(waiting)
            if end >= 0:
                self.put_back(waiting[end:])
                return http1.parse_head(waiting[:end])
            data = await self.receive()
            if not data:
                return None
            waiting = (waiting + data).lstrip(b"\r\n") if not waiting else waiting + data


class _Exchange:
    """One request and its answer: the `receive` and `send` of the app."""

    def __init__(self, connection: _Connection, head: http1.Head) -> None:
        self._connection = connection
        self._head = head
        self._decoder = http1.BodyDecoder(head)
        self._asks = head.expects_continue
        self._told = False
        self._start: Message | None = None
        self._framing: http1.Framing | None = None
        self._done = asyncio.Event()
        self.complete = False

    async def receive(self) -> Message:
        if self._told:
            while not self._done.is_set() and not self._connection.ended:
                await _first(self._done.wait(), self._connection.changed())
            return {"type": "http.disconnect"}
        if self._asks and not self._decoder.finished:
            self._asks = False
            await self._connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = b""
        while not body and not self._decoder.finished:
            data = await self._connection.receive()
            if not data:
                self._told = True
                return {"type": "http.disconnect"}
            body = self._decoder.feed(data)
        if self._decoder.finished:
            self._told = True
            self._put_back()
        return {"type": "http.request", "body": body, "more_body": not self._decoder.finished}

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self._start = message
            return
        if kind != "http.response.body" or self.complete:
            return
        data = bytes(message.get("body", b""))
        more = bool(message.get("more_body", False))
        head = b"" if self._framing is not None else self._frame()
        assert self._framing is not None
        out = head
        if self._framing.has_body:
            if data:
                out += http1.chunk(data) if self._framing.chunked else data
            if not more and self._framing.chunked:
                out += http1.chunk(b"")
        if not more:
            self.complete = True
            self._done.set()
        if out:
            await self._connection.send(out)

    async def fail(self) -> bool:
        """Answer 500 where nothing was sent; the connection ends."""
        if self._framing is None:
            await self._connection.send(http1.plain_answer("500 Internal Server Error"))
        self._done.set()
        return False

    async def finish(self) -> bool:
        """Whether the connection can be used again."""
        self._done.set()
        if not self.complete:
            return await self.fail()
        assert self._framing is not None
        read = 0
        while not self._decoder.finished and not self._asks and read < _BUFFERED_AT_MOST:
            data = await self._connection.receive()
            if not data:
                return False
            read += len(data)
            self._decoder.feed(data)
        if not self._told:
            self._put_back()
        return self._decoder.finished and self._head.keep_alive and not self._framing.closes

    def _put_back(self) -> None:
        self._connection.put_back(self._decoder.unused)
        self._decoder.unused = b""

    def _frame(self) -> bytes:
        if self._start is None:
            raise RuntimeError("the app sent a body before http.response.start")
        status = int(self._start["status"])
        headers = [(bytes(name), bytes(value)) for name, value in self._start.get("headers", ())]
        reason = _reason(status)
        self._framing = http1.frame(self._head, f"{status} {reason}", headers, self._head.keep_alive)
        return self._framing.head


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


async def _first(*waits: Any) -> None:
    tasks = {asyncio.ensure_future(wait) for wait in waits}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


class _Server:
    def __init__(self, application: Application, lifespan: _Lifespan) -> None:
        self._application = application
        self._lifespan = lifespan
        self._tasks: dict[asyncio.Task[None], _Connection] = {}
        self._port = int(os.environ.get("PORT", "80"))

    def begin(self, connection: _Connection) -> None:
        task = asyncio.ensure_future(self._serve(connection))
        self._tasks[task] = connection
        task.add_done_callback(lambda done: self._tasks.pop(done))

    async def stop(self) -> None:
        """Let requests in flight end."""
        busy: list[asyncio.Task[None]] = []
        for task, connection in list(self._tasks.items()):
            if connection.serving:
                busy.append(task)
            else:
                task.cancel()
        if busy:
            await asyncio.wait(busy, timeout=_STOP_TIME)

    async def _serve(self, connection: _Connection) -> None:
        keep = True
        try:
            while keep:
                head = await connection.read_head()
                if head is None:
                    return
                connection.serving = True
                keep = await self._answer(connection, head)
                connection.serving = False
        except http1.BadRequest as error:
            await connection.send(http1.plain_answer(f"{error.status} {http1.REASONS[error.status]}"))
        finally:
            connection.transport.close()

    async def _answer(self, connection: _Connection, head: http1.Head) -> bool:
        exchange = _Exchange(connection, head)
        try:
            await self._application(self._scope(head), exchange.receive, exchange.send)
        except Exception:
            traceback.print_exc()
            return await exchange.fail() if not exchange.complete else await exchange.finish()
        return await exchange.finish()

    def _scope(self, head: http1.Head) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": f"1.{head.minor}",
            "method": head.method.decode("latin-1"),
            "scheme": head.scheme,
            "path": unquote(head.path.decode("latin-1")),
            "raw_path": head.path,
            "query_string": head.query,
            "root_path": "",
            "headers": list(head.headers),
            "server": ("127.0.0.1", self._port),
            "client": ("127.0.0.1", 0),
            "state": self._lifespan.state.copy(),
        }


async def _serve(application: Application, listener: socket.socket, ready: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    heard = ending.own_handler()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    lifespan = _Lifespan(application)
    await lifespan.start()
    server = _Server(application, lifespan)
    if listener.family == socket.AF_UNIX:
        listening = await loop.create_unix_server(lambda: _Connection(server), sock=listener)
    else:
        listening = await loop.create_server(lambda: _Connection(server), sock=listener)
    ready()
    await stop.wait()
    listening.close()
    await server.stop()
    await lifespan.stop()
    if heard is not None:  # as uvicorn hands the signal on
        heard(signal.SIGTERM, None)


def serve(application: Application, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until TERM on a new event loop; `ready` is called after the app's startup. Raises StartupFailure."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(_serve(application, listener, ready))
    finally:
        try:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left, timeout=2.0))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            loop.close()
