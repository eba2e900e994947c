"""A small HTTP/1.1 server for one socket: one request a connection, everything bounded (RFC 9112, by h11)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h11

from fungible.app.problem import Exit, Problem

_LARGEST_HEAD = 16 * 1024
_LARGEST_BODY = 1024 * 1024
_SEND_WITHIN = 10.0
"""Seconds in which a request must have arrived."""
_LAST_WORDS = 1.0
"""Seconds that answers under way have when the server ends."""
_AT_ONCE = 64
"""Connections that are served at the same time."""


@dataclass(frozen=True)
class Request:
    """A request: its `query` by name, its `body` as the JSON in it, {} where there is none, its `headers` by name in
    small letters."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """A status and a body: bytes, or pieces that come one after the other."""

    status: int
    body: bytes | AsyncGenerator[bytes, None]
    type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def json_answer(document: object, status: int = 200) -> Answer:
    """`document` as JSON."""
    return Answer(status, json.dumps(document, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")


Respond = Callable[[Request], Awaitable[Answer]]


class Server:
    """Answers requests at the socket `listener`, which it closes, by `respond` while it is used as a context.

    A client that takes nothing of an answer for `patience` seconds is cut; None: it is waited for.
    """

    def __init__(self, listener: socket.socket, respond: Respond, *, patience: float | None = None) -> None:
        self._listener = listener
        self._respond = respond
        self._patience = patience
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._connected, sock=self._listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LAST_WORDS)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, h11.RemoteProtocolError, TimeoutError):
                await self._serve(reader, writer)
        except asyncio.CancelledError:
            # The server ends, and whoever takes nothing is not waited for. A task that ended as cancelled would be
            # reported as an error: in 3.11, asyncio asks it for its exception.
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST_HEAD)
        try:
            if len(self._tasks) > _AT_ONCE:
                raise _Refused(503, f"more than {_AT_ONCE} connections at once")
            async with asyncio.timeout(_SEND_WITHIN):
                request = await _receive(wire, reader)
            answer = await self._attend(request)
        except _Refused as refused:
            answer = json_answer({"error": refused.message, "exit": int(Exit.BAD_INPUT)}, refused.status)
        except h11.RemoteProtocolError:
            answer = json_answer({"error": "this is not HTTP/1.1", "exit": int(Exit.BAD_INPUT)}, 400)
        await _send(wire, writer, answer, self._patience)

    async def _attend(self, request: Request) -> Answer:
        try:
            return await self._respond(request)
        except Problem as problem:
            document = {"error": problem.message, "exit": int(problem.exit), "log": getattr(problem, "log", ())}
            status = 400 if problem.exit is Exit.BAD_INPUT else 409
            return json_answer(document, status)


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


async def _receive(wire: h11.Connection, reader: asyncio.StreamReader) -> Request:
    head: h11.Request | None = None
    body = b""
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(_LARGEST_HEAD // 4))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
            if len(body) > _LARGEST_BODY:
                raise _Refused(413, f"the body is larger than {_LARGEST_BODY} bytes")
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            raise h11.RemoteProtocolError("closed before the request was complete")
    assert head is not None
    url = urlsplit(head.target.decode("ascii", "replace"))
    try:
        document = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        raise _Refused(400, "the body is not JSON") from None
    headers = {name.decode("ascii", "replace"): value.decode("latin-1") for name, value in head.headers}
    return Request(head.method.decode("ascii", "replace"), url.path, dict(parse_qsl(url.query)), document, headers)


async def _send(wire: h11.Connection, writer: asyncio.StreamWriter, answer: Answer, patience: float | None) -> None:
    if wire.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return
    headers = [("Content-Type", answer.type), ("Connection", "close"), ("Cache-Control", "no-store"), *answer.headers]
    if isinstance(answer.body, bytes):
        headers.append(("Content-Length", str(len(answer.body))))
        pieces = _one(answer.body)
    else:
        headers.append(("Transfer-Encoding", "chunked"))
        pieces = answer.body
    writer.write(wire.send(h11.Response(status_code=answer.status, headers=headers)) or b"")
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            writer.write(wire.send(h11.Data(data=piece)) or b"")
            await _taken(writer, patience)
    writer.write(wire.send(h11.EndOfMessage()) or b"")
    await _taken(writer, patience)


async def _taken(writer: asyncio.StreamWriter, patience: float | None) -> None:
    """Wait until there is room for more."""
    try:
        async with asyncio.timeout(patience):
            await writer.drain()
    except TimeoutError:
        writer.transport.abort()
        raise


async def _one(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
