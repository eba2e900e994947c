"""A recording reverse proxy: everything passes through as it comes, in both directions, and is noted."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import zlib
from dataclasses import dataclass, field
from typing import Final

import h11

from fungible.verify.record.exchange import Exchange, Losses
from fungible.verify.record.forward import RawPairs, end_to_end, for_app, origin_form, websocket
from fungible.verify.record.upstream import Upstream
from fungible.verify.steps import MAX_STEPS
from fungible.verify.transcript import Answer

LONGEST_BODY: Final = 32 * 1024 * 1024
"""The longest request body that is recorded; longer ones pass through."""

_LONGEST_ANSWER = 2 * 1024 * 1024
_ALL_BODIES = 256 * 1024 * 1024
_HEAD = 256 * 1024
_CHUNK = 64 * 1024
_OPAQUE = ("image/", "font/", "audio/", "video/")


class Proxy:
    """Listens on a loopback port and passes requests on to `upstream`; `exchanges` are in order of completion."""

    def __init__(self, upstream: Upstream) -> None:
        self.exchanges: list[Exchange] = []
        self.losses = Losses()
        self.url = ""
        self._upstream = upstream
        self._numbers = itertools.count()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._room = _ALL_BODIES

    async def start(self, port: int = 0) -> str:
        """Listen; returns the URL. Raises OSError where the port is taken."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port, limit=_CHUNK)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self.url

    async def stop(self) -> None:
        """Stop listening and cut what is under way; what was not complete is counted, not recorded."""
        if self._server is None:
            return
        self._server.close()
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        client = _Side(h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD), reader, writer)
        with contextlib.suppress(asyncio.CancelledError):  # only `stop` cancels, and waits for nothing more
            try:
                await self._serve(client, next(self._numbers))
            except h11.RemoteProtocolError as error:
                await _refuse(client, error.error_status_hint, "the request is not HTTP/1.1")
            except OSError:
                pass
            finally:
                client.close()

    async def _serve(self, client: _Side, connection: int) -> None:
        while True:
            event = await client.next()
            if not isinstance(event, h11.Request):
                return
            passage = _Passage(self, client, event, connection)
            if not await passage.run():
                return
            client.http.start_next_cycle()

    def note(self, exchange: Exchange) -> None:
        """Keep a complete exchange, as far as there is room."""
        if len(self.exchanges) >= MAX_STEPS:
            self.losses.beyond += 1
        elif len(exchange.body) > self._room:
            self.losses.large += 1
        else:
            self._room -= len(exchange.body)
            self.exchanges.append(exchange)

    async def connect(self) -> _Side:
        """A connection to the app, for one request. Raises OSError."""
        reader, writer = await self._upstream.connect()
        return _Side(h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD), reader, writer)


class _Side:
    """One connection: what h11 says, read from and written to a socket."""

    def __init__(
        self, http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.http = http
        self.reader = reader
        self.writer = writer

    async def next(self) -> h11.Event | type[h11.PAUSED]:
        """The next event; reads as far as needed. Raises h11.RemoteProtocolError and OSError."""
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]
            self.http.receive_data(await self.reader.read(_CHUNK))

    async def send(self, event: h11.Event) -> None:
        """Write an event, as fast as the other side takes it. Raises OSError."""
        data = self.http.send(event)
        if data:
            self.writer.write(data)
            await self.writer.drain()

    def close(self) -> None:
        self.writer.close()


class _ClientGone(Exception):
    """The client closed its connection before the answer was complete."""


@dataclass
class _Kept:
    """A body as far as it is kept."""

    most: int
    data: bytearray = field(default_factory=bytearray)
    cut: bool = False

    def add(self, data: bytes) -> None:
        room = self.most - len(self.data)
        self.cut = self.cut or len(data) > room
        self.data += data[: max(0, room)]


class _Passage:
    """One request on its way to the app, and its answer on the way back."""

    def __init__(self, proxy: Proxy, client: _Side, head: h11.Request, connection: int) -> None:
        self._proxy = proxy
        self._client = client
        self._head = head
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._answered = 0.0
        self._body = _Kept(LONGEST_BODY)
        self._answer = _Kept(_LONGEST_ANSWER)
        self._response: h11.Response | None = None
        self._given_up = False

    async def run(self) -> bool:
        """Pass it through; is the client's connection good for another request?"""
        client, losses = self._client, self._proxy.losses
        target, host = origin_form(self._head.target)
        if self._head.method == b"CONNECT" or (host is not None and host != _host(self._head)):
            await _refuse(client, 421, "this proxy serves one app alone")
            return False
        try:
            app = await self._proxy.connect()
        except OSError:
            losses.unreachable += 1
            await _refuse(client, 502, "the app cannot be reached")
            return False
        upgrade = websocket(_raw(self._head))
        complete = False
        try:
            headers = for_app(_raw(self._head), upgrade=upgrade)
            await app.send(h11.Request(method=self._head.method, target=target, headers=headers))
            complete = await self._both_ways(app)
        except (OSError, h11.RemoteProtocolError, h11.LocalProtocolError, _ClientGone):
            if self._response is None and not self._given_up:
                losses.unreachable += 1
                await _refuse(client, 502, "the app closed the connection without an answer")
                return False
            client.writer.transport.abort()  # a cut answer is passed on as a cut answer
        finally:
            app.close()
            if not complete and self._response is not None:
                losses.unfinished += 1
        if not complete:
            return False
        self._note(target)
        return await self._settle()

    async def _both_ways(self, app: _Side) -> bool:
        """Up and down at the same time; True once the answer is complete, False after a tunnel."""
        up = asyncio.ensure_future(self._upload(app))
        down = asyncio.ensure_future(self._download(app))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            if not down.done():
                self._given_up = True
                if self._response is None:
                    self._proxy.losses.unfinished += 1
                up.result()
            return await down
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _upload(self, app: _Side) -> None:
        """Pass the body on, then listen for the client's leaving. Ends only with an exception."""
        client, deaf = self._client, False
        while client.http.their_state is h11.SEND_BODY:
            event = await client.next()
            if isinstance(event, h11.Data):
                self._body.add(bytes(event.data))
                event = h11.Data(data=event.data)
            elif isinstance(event, h11.EndOfMessage):
                event = h11.EndOfMessage(headers=_raw(event) if _chunked(self._head) else [])
            else:
                raise _ClientGone
            if not deaf:
                try:
                    await app.send(event)
                except OSError:
                    deaf = True  # it may have answered without reading all of the body
        if not deaf and app.http.our_state is h11.SEND_BODY:
            await app.send(h11.EndOfMessage())
        while len(client.http.trailing_data[0]) < _CHUNK:
            data = await client.reader.read(_CHUNK)
            if not data:
                raise _ClientGone
            client.http.receive_data(data)
        await asyncio.Event().wait()

    async def _download(self, app: _Side) -> bool:
        client = self._client
        while True:
            event = await app.next()
            if isinstance(event, h11.InformationalResponse):
                if event.status_code == 101:
                    await self._tunnel(app, event)
                    return False
                if self._head.http_version != b"1.0":
                    await client.send(h11.InformationalResponse(
                        status_code=event.status_code, headers=end_to_end(_raw(event)), reason=event.reason))  # fmt: skip
            elif isinstance(event, h11.Response):
                self._answered = self._loop.time()
                self._response = event
                self._answer.most *= not _is_opaque(event)
                await client.send(h11.Response(
                    status_code=event.status_code, headers=end_to_end(_raw(event)), reason=event.reason))  # fmt: skip
            elif isinstance(event, h11.Data):
                self._answer.add(bytes(event.data))
                await client.send(h11.Data(data=event.data))
            elif isinstance(event, h11.EndOfMessage):
                await client.send(h11.EndOfMessage())
                return True
            else:
                raise ConnectionResetError

    async def _tunnel(self, app: _Side, event: h11.InformationalResponse) -> None:
        """From here on bytes, not messages (RFC 9110, 7.8)."""
        self._proxy.losses.websockets += 1
        self._given_up = True
        headers = [*end_to_end(_raw(event)), (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
        await self._client.send(h11.InformationalResponse(status_code=101, headers=headers, reason=event.reason))
        raise _Tunnel

    def _note(self, target: bytes) -> None:
        response = self._response
        if response is None:
            return
        if self._body.cut:
            self._proxy.losses.large += 1
            return
        headers = tuple((_text(name).lower(), _text(value)) for name, value in _raw(response))
        coding = next((value for name, value in headers if name == "content-encoding"), "")
        body = _decoded(bytes(self._answer.data), coding)
        ended = self._loop.time()
        self._proxy.note(
            Exchange(
                connection=self._connection,
                method=_text(self._head.method),
                target=_text(target),
                headers=tuple((_text(name), _text(value)) for name, value in _raw(self._head)),
                body=bytes(self._body.data),
                answer=Answer(response.status_code, headers, body, seconds=round(ended - self._began, 4)),
                began=self._began,
                answered=self._answered,
                ended=ended,
            )
        )

    async def _settle(self) -> bool:
        """After the answer: is the client's connection at the start of the next request?"""
        http = self._client.http
        if http.our_state is h11.DONE and http.their_state is h11.DONE:
            return True
        await _linger(self._client)
        return False
