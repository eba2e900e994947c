"""What a memcached server holds: taken, put back, and read out, in its text protocol.

Rules of the protocol: https://github.com/memcached/memcached/blob/master/doc/protocol.txt
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from fungible.app.problem import Exit, Problem
from fungible.services.external import hosts_of
from fungible.services.store import Dump, Row
from fungible.services.value import text_or_bytes

_THIRTY_DAYS = 60 * 60 * 24 * 30  # a longer time to live is read as a point in time


@dataclass(frozen=True)
class Item:
    """One item: its key, the client's flags, seconds to live (None: for ever), and its value."""

    key: bytes
    flags: int
    seconds: int | None
    value: bytes


class Wire:
    """One connection: lines out, lines and counted blocks in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, command: bytes) -> bytes:
        self.writer.write(command + b"\r\n")
        await self.writer.drain()
        return await self.line()

    async def line(self) -> bytes:
        async with asyncio.timeout(30):
            # The list of keys ends its lines without the \r of all others.
            return (await self.reader.readuntil(b"\n")).rstrip(b"\r\n")

    async def block(self, size: int) -> bytes:
        async with asyncio.timeout(30):
            return (await self.reader.readexactly(size + 2))[:-2]


_CRAWLER_ASKED, _CRAWLER_PAUSE = 200, 0.05
"""How often a busy crawler is asked, and the seconds between."""


def address_of(name: str, url: str) -> tuple[str, int]:
    """Host and port of `memcached://HOST:PORT` or `HOST:PORT`; raises `Problem` for more than one server."""
    address = url.split("://", 1)[-1].split("/", 1)[0]
    host, _, port = address.rpartition(":") if ":" in address else (address, "", "11211")
    if len(hosts_of(url)) != 1 or not port.isdigit():
        raise Problem(f"{name}: {url} is not one memcached server; name one as memcached://HOST:PORT")
    return host.strip("[]"), int(port)


@contextlib.asynccontextmanager
async def connected(host: str, port: int) -> AsyncIterator[Wire]:
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(host, port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def take(wire: Wire) -> list[Item]:
    """Every item, by the list of keys that the crawler makes.

    It walks the hash table: where it walks the queues (`metadump all`), it passes over items that the
    background thread moves at that moment. There is one crawler: while it works for somebody else, or for the server
    itself, it is asked again.
    """
    lines = [await wire.ask(b"lru_crawler metadump hash")]
    for _ in range(_CRAWLER_ASKED):
        if not lines[-1].startswith(b"BUSY"):
            break
        await asyncio.sleep(_CRAWLER_PAUSE)
        lines = [await wire.ask(b"lru_crawler metadump hash")]
    while lines[-1] != b"END":
        if not lines[-1].startswith(b"key="):
            raise ValueError(f"the server cannot list its keys: {lines[-1].decode('latin-1')[:100]}")
        lines.append(await wire.line())
    now = int(time.time())
    items: list[Item] = []
    for line in lines[:-1]:
        told: dict[bytes, Any] = dict(part.split(b"=", 1) for part in line.split() if b"=" in part)
        key = unquote_to_bytes(told[b"key"])
        expires = int(told[b"exp"])
        answer = await wire.ask(b"get " + key)
        if answer == b"END":
            continue  # it expired meanwhile
        _, _, flags, size = answer.split()[:4]
        value = await wire.block(int(size))
        await wire.line()
        items.append(Item(key, int(flags), None if expires == -1 else max(expires - now, 1), value))
    return items


async def dump(wire: Wire) -> Dump:
    """`key NAME` -> one row with `flags`, `expires` (whether a time to live is set) and `value`."""
    content: dict[str, Sequence[Row]] = {}
    for item in sorted(await take(wire), key=lambda item: item.key):
        row = {"flags": item.flags, "expires": item.seconds is not None, "value": text_or_bytes(item.value)}
        content[f"key {item.key.decode('utf-8', 'backslashreplace')}"] = [row]
    return content


async def put_back(wire: Wire, items: Sequence[Item]) -> None:
    """Make the server hold `items` and nothing else."""
    await wire.ask(b"flush_all")
    for item in items:
        seconds = item.seconds or 0
        until = seconds if seconds <= _THIRTY_DAYS else int(time.time()) + seconds
        head = b"set %b %d %d %d\r\n" % (item.key, item.flags, until, len(item.value))
        answer = await wire.ask(head + item.value)
        if answer != b"STORED":
            raise Problem(f"memcached did not take an item back: {answer.decode('latin-1')[:100]}", Exit.NOT_ALLOWED)
