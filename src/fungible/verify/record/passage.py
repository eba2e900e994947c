"""One request on its way to the app, and its answer on the way back."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import h11

from fungible.verify.record.exchange import Exchange
from fungible.verify.record.forward import for_app, for_client, origin_form, websocket
from fungible.verify.record.side import CHUNK, Event, Side, Streams, raw, tunnel
from fungible.verify.transcript import Answer

LONGEST_BODY: Final = 32 * 1024 * 1024
"""The longest request body that is recorded; longer ones pass through."""

_LONGEST_ANSWER = 2 * 1024 * 1024
_OPAQUE = ("image/", "font/", "audio/", "video/")


class Outcome(Enum):
    """How a request ended."""

    UNFINISHED = "unfinished"  # the client left, or the app cut its answer
    COMPLETE = "complete"
    WEBSOCKET = "websocket"
    REFUSED = "refused"  # it was for another host
    UNREACHABLE = "unreachable"  # the app gave no answer


class _ClientGone(Exception):
    """The client's connection ended, or said what is no HTTP, before the answer was complete."""


@dataclass
class _Kept:
    """A body as far as it is kept."""

    most: int
    data: bytearray = field(default_factory=bytearray)
    cut: bool = False

    def add(self, data: bytes) -> None:
        room = self.most - len(self.data)
        self.cut = self.cut or len(data) > room
        if room > 0:
            self.data += data[:room]


class Passage:
    """Passes one request through; `outcome` says how that ended, `exchange` what was seen.

    It is COMPLETE before the client can know that the answer has ended, so that nothing is missed by haste.
    """

    def __init__(self, client: Side, head: h11.Request, connection: int) -> None:
        loop = asyncio.get_running_loop()
        self._client = client
        self._head = head
        self._connection = connection
        self._clock = loop.time
        self._began = self._answered = self._ended = loop.time()
        self._body = _Kept(LONGEST_BODY)
        self._kept = _Kept(_LONGEST_ANSWER)
        self._response: h11.Response | None = None
        self._target, self._host = origin_form(bytes(head.target))
        self._upgrade = websocket(raw(head))
        self.outcome = Outcome.UNFINISHED

    async def run(self, connect: Callable[[], Awaitable[Streams]]) -> bool:
        """Both ways at the same time, over a connection of its own; can the client's be used again?

        `connect` makes it, or raises OSError.
        """
        stated = next((value for name, value in raw(self._head) if name.lower() == b"host"), None)
        if self._head.method == b"CONNECT" or (self._host is not None and self._host != stated):
            return await self._refuse(Outcome.REFUSED, 421, "this proxy serves one app alone")
        try:
            app = Side(h11.CLIENT, await connect())
        except OSError:
            return await self._refuse(Outcome.UNREACHABLE, 502, "the app cannot be reached")
        try:
            return await self._pass(app)
        finally:
            app.close()

    async def _refuse(self, outcome: Outcome, status: int, text: str) -> bool:
        self.outcome = outcome
        await self._client.refuse(status, text)
        return False

    async def _pass(self, app: Side) -> bool:
        try:
            headers = for_app(raw(self._head), upgrade=self._upgrade)
            await app.send(h11.Request(method=self._head.method, target=self._target, headers=headers))
            switched = await self._both_ways(app)
            if switched is None:
                return True
            self.outcome = Outcome.WEBSOCKET
            await self._to_client(switched)
            await tunnel(self._client, app)
        except _ClientGone:
            pass
        except (OSError, h11.RemoteProtocolError, h11.LocalProtocolError):
            if self._response is None:
                return await self._refuse(Outcome.UNREACHABLE, 502, "the app ended the connection without an answer")
            self._client.writer.transport.abort()  # a cut answer is passed on as a cut answer
        return False

    async def _both_ways(self, app: Side) -> h11.InformationalResponse | None:
        """Returns when the answer is complete, or with the answer that turns both connections into a tunnel."""
        up = asyncio.ensure_future(self._upload(app))
        down = asyncio.ensure_future(self._download(app))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            if up.done() and not down.done():
                up.result()
            return await down
        finally:
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _upload(self, app: Side) -> None:
        """Pass the body on, then listen for the client's leaving. Ends only with `_ClientGone`."""
        client, deaf = self._client, False
        chunked = any(name.lower() == b"transfer-encoding" for name, _ in raw(self._head))
        try:
            while client.http.their_state is h11.SEND_BODY:
                event = await client.next()
                if isinstance(event, h11.Data):
                    self._body.add(bytes(event.data))
                    passed: h11.Event = h11.Data(data=event.data)
                elif isinstance(event, h11.EndOfMessage):
                    passed = h11.EndOfMessage(headers=raw(event) if chunked else [])
                else:
                    raise _ClientGone
                if not deaf:
                    deaf = not await _sent(app, passed)  # an app may answer without having read all
            if not deaf and app.http.our_state is h11.SEND_BODY:
                await _sent(app, h11.EndOfMessage())
            while len(client.http.trailing_data[0]) < CHUNK:
                data = await client.reader.read(CHUNK)
                if not data:
                    raise _ClientGone
                client.http.receive_data(data)
        except (OSError, h11.RemoteProtocolError) as error:
            raise _ClientGone from error
        await asyncio.Event().wait()

    async def _download(self, app: Side) -> h11.InformationalResponse | None:
        trailers = False
        waiting: list[Event] = []
        while True:
            event = waiting.pop() if waiting else await app.next()
            if isinstance(event, h11.Response | h11.Data):
                # The client may take these bytes for the end and leave: whether they are is known before it is.
                following = app.http.next_event()
                if following is not h11.NEED_DATA:
                    waiting.append(following)  # type: ignore[arg-type]
            if isinstance(event, h11.EndOfMessage) or any(isinstance(each, h11.EndOfMessage) for each in waiting):
                self.outcome, self._ended = Outcome.COMPLETE, self._clock()
            if isinstance(event, h11.InformationalResponse):
                headers = for_client(raw(event), upgrade=self._upgrade if event.status_code == 101 else None)
                passed = h11.InformationalResponse(
                    status_code=event.status_code, headers=headers, reason=event.reason
                )
                if event.status_code == 101:
                    return passed
                if self._head.http_version != b"1.0":
                    await self._to_client(passed)
            elif isinstance(event, h11.Response):
                self._answered, self._response = self._clock(), event
                kind = next((value for name, value in raw(event) if name.lower() == b"content-type"), b"")
                if kind.lower().decode("latin-1").startswith(_OPAQUE):
                    self._kept.most = 0
                trailers = any(name.lower() == b"transfer-encoding" for name, _ in raw(event))
                trailers = trailers and self._head.http_version != b"1.0"
                await self._to_client(
                    h11.Response(status_code=event.status_code, headers=for_client(raw(event)), reason=event.reason)
                )
            elif isinstance(event, h11.Data):
                self._kept.add(bytes(event.data))
                await self._to_client(h11.Data(data=event.data))
            elif isinstance(event, h11.EndOfMessage):
                await self._to_client(h11.EndOfMessage(headers=raw(event) if trailers else []))
                return None
            else:
                raise ConnectionResetError

    async def _to_client(self, event: h11.Event) -> None:
        try:
            await self._client.send(event)
        except OSError as error:
            raise _ClientGone from error

    def exchange(self) -> Exchange | None:
        """What was seen, once that is COMPLETE; None where the request's body is too long to keep."""
        if self._response is None or self.outcome is not Outcome.COMPLETE or self._body.cut:
            return None
        headers = tuple((_text(name).lower(), _text(value)) for name, value in raw(self._response))
        coding = next((value for name, value in headers if name == "content-encoding"), "")
        body = decoded(bytes(self._kept.data), coding.strip().lower())
        return Exchange(
            connection=self._connection,
            method=_text(bytes(self._head.method)),
            target=_text(self._target),
            headers=tuple((_text(name), _text(value)) for name, value in raw(self._head)),
            body=bytes(self._body.data),
            answer=Answer(self._response.status_code, headers, body, seconds=round(self._ended - self._began, 4)),
            began=self._began,
            answered=self._answered,
            ended=self._ended,
        )


async def _sent(app: Side, event: h11.Event) -> bool:
    try:
        await app.send(event)
    except OSError:
        return False
    return True


def decoded(body: bytes, coding: str) -> bytes:
    """A body without its content coding, as far as it goes (RFC 9110, 8.4.1); empty where it cannot be undone."""
    if coding in ("", "identity"):
        return body
    windows = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}.get(coding, ())
    for window in windows:
        try:
            return zlib.decompressobj(window).decompress(body, _LONGEST_ANSWER)
        except zlib.error:
            continue
    return b""


def _text(value: bytes) -> str:
    """Header values are bytes (RFC 9110, 5.5): most are ASCII, of the others most are UTF-8."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
