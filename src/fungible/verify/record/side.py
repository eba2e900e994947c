"""One end of a connection that speaks HTTP/1.1."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TypeAlias

import h11

from fungible.verify.record.forward import RawPairs

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Event: TypeAlias = h11.Event | type[h11.PAUSED]

CHUNK = 64 * 1024
_LONGEST_HEAD = 256 * 1024
_LINGER = 1.0


class Side:
    """What h11 says, read from and written to a socket."""

    def __init__(
        self, role: type[h11.SERVER] | type[h11.CLIENT], streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> None:
        self.http = h11.Connection(role, max_incomplete_event_size=_LONGEST_HEAD)
        self.reader, self.writer = streams

    async def next(self) -> Event:
        """The next event; reads as far as needed. Raises h11.RemoteProtocolError and OSError."""
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]
            self.http.receive_data(await self.reader.read(CHUNK))

    async def send(self, event: h11.Event) -> None:
        """Write an event, as fast as the other end takes it. Raises OSError."""
        data = self.http.send(event)
        if data:
            self.writer.write(data)
            await self.writer.drain()

    async def refuse(self, status: int, text: str) -> None:
        """Answer in place of the app, if nothing was answered yet, and end the connection."""
        if self.http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = f"fungible record: {text}\n".encode()
            headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("Connection", "close")]
            with contextlib.suppress(OSError, h11.LocalProtocolError):
                await self.send(h11.Response(status_code=status, headers=headers))
                await self.send(h11.Data(data=body))
                await self.send(h11.EndOfMessage())
        await self.linger()

    async def linger(self) -> None:
        """Let the other end read the answer before the connection is closed under what it still sends
        (RFC 9112, 9.6)."""
        with contextlib.suppress(OSError, TimeoutError):
            if self.writer.can_write_eof():
                self.writer.write_eof()
            async with asyncio.timeout(_LINGER):
                while await self.reader.read(CHUNK):
                    pass

    def close(self) -> None:
        """Close the connection."""
        self.writer.close()


def raw(event: h11.Request | h11.Response | h11.InformationalResponse | h11.EndOfMessage) -> RawPairs:
    """An event's headers, names as they were sent."""
    return [(bytes(name), bytes(value)) for name, value in event.headers.raw_items()]


async def tunnel(one: Side, other: Side) -> None:
    """Pass bytes both ways until both ends have said all (RFC 9110, 7.8)."""

    async def copy(source: Side, goal: Side) -> None:
        data = bytes(source.http.trailing_data[0])
        with contextlib.suppress(OSError):
            while data or (data := await source.reader.read(CHUNK)):
                goal.writer.write(data)
                await goal.writer.drain()
                data = b""
            if goal.writer.can_write_eof():
                goal.writer.write_eof()

    await asyncio.gather(copy(one, other), copy(other, one))
