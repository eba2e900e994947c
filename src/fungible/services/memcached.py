"""The kind `memcached`: an embedded memcached server, spoken to in its text protocol.

Rules of the protocol: https://github.com/memcached/memcached/blob/master/doc/protocol.txt
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from fungible.app.problem import Exit, Problem
from fungible.services import binaries
from fungible.services.external import hosts_of
from fungible.services.server import EmbeddedServer, unprivileged
from fungible.services.spawn import Spawn
from fungible.services.store import Dump, Row, Snapshot
from fungible.services.value import text_or_bytes

_THIRTY_DAYS = 60 * 60 * 24 * 30  # a longer time to live is read as a point in time


@dataclass(frozen=True)
class Item:
    """One item: its key, the client's flags, seconds to live (None: for ever), and its value."""

    key: bytes
    flags: int
    seconds: int | None
    value: bytes


class MemcachedServer(EmbeddedServer):
    """A memcached server on a loopback port; what it holds ends with it, as it does anywhere.

    The URL is `memcached://127.0.0.1:PORT` for a config var named `..._URL` or `..._URI`, else `HOST:PORT`,
    which is what clients and frameworks take as a server's name. The protocol that clients share knows no
    password: any process of this machine can reach it.
    """

    kind = "memcached"
    stop_signal = signal.SIGKILL  # it has nothing to keep, and takes a second over an orderly end

    _mark = 0

    @property
    def url(self) -> str:
        address = f"127.0.0.1:{self.port}"
        return f"memcached://{address}" if self.name.upper().endswith(("_URL", "_URI")) else address

    async def command(self, port: int) -> Sequence[str]:
        program = binaries.require("memcached", binaries.memcached_server(), self.name)
        # -U 0: no UDP. -b: the length of the queue of connections, which also tells our server from another.
        self._mark = secrets.randbelow(40_000) + 1024
        options = ["-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "64", "-t", "2", "-b", str(self._mark)]
        return [str(program), *options]

    def user(self) -> tuple[int, int] | None:
        """It refuses to run as root, and its own -u would clear the request for the death signal."""
        return unprivileged("nobody")

    async def answers(self) -> bool:
        try:
            async with _connected("127.0.0.1", self.port) as wire:
                lines = [await wire.ask(b"stats settings")]
                while lines[-1].startswith(b"STAT "):
                    lines.append(await wire.line())
                return b"STAT tcp_backlog %d" % self._mark in lines
        except (TimeoutError, OSError, EOFError):
            return False

    async def snapshot(self) -> Snapshot:
        async with _connected("127.0.0.1", self.port) as wire:
            return Snapshot(self.name, tuple(await _items(wire)))

    async def restore(self, snapshot: Snapshot) -> None:
        if snapshot.store != self.name or not isinstance(snapshot.content, tuple):
            raise Problem(f"{self.name}: this snapshot is of another store", Exit.NOT_ALLOWED)
        async with _connected("127.0.0.1", self.port) as wire:
            await _fill(wire, snapshot.content)

    async def dump(self) -> Dump:
        """`key NAME` -> one row with `flags`, `expires` (whether a time to live is set) and `value`."""
        async with _connected("127.0.0.1", self.port) as wire:
            items = await _items(wire)
        content: dict[str, Sequence[Row]] = {}
        for item in sorted(items, key=lambda item: item.key):
            row = {"flags": item.flags, "expires": item.seconds is not None, "value": text_or_bytes(item.value)}
            content[f"key {item.key.decode('utf-8', 'backslashreplace')}"] = [row]
        return content

    @classmethod
    async def clone_of(cls, name: str, url: str, folder: Path, *, spawn: Spawn | None = None) -> MemcachedServer:
        """A started server with a copy of what the server at `url` holds; that one is only read.

        Raises `Problem` where the source is more than one server, or does not answer.
        """
        address = url.split("://", 1)[-1].split("/", 1)[0]
        host, _, port = address.rpartition(":") if ":" in address else (address, "", "11211")
        if len(hosts_of(url)) != 1 or not port.isdigit():
            raise Problem(f"{name}: {url} is not one memcached server; name one as memcached://HOST:PORT")
        try:
            async with _connected(host, int(port)) as wire:
                items = await _items(wire)
        except (TimeoutError, OSError, EOFError, ValueError) as error:
            raise Problem(f"{name}: the store it names cannot be read: {error}", Exit.NOT_ALLOWED) from None
        clone = cls(name, folder, spawn=spawn, durable=False)
        await clone.start()
        async with _connected("127.0.0.1", clone.port) as wire:
            await _fill(wire, items)
        return clone


class _Wire:
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


@contextlib.asynccontextmanager
async def _connected(host: str, port: int) -> AsyncIterator[_Wire]:
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(host, port)
    try:
        yield _Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _items(wire: _Wire) -> list[Item]:
    """Every item, by the list of keys that the crawler makes.

    It walks the hash table: where it walks the queues (`metadump all`), it passes over items that the
    background thread moves at that moment.
    """
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


async def _fill(wire: _Wire, items: Sequence[Item]) -> None:
    """Make the server hold `items` and nothing else."""
    await wire.ask(b"flush_all")
    for item in items:
        seconds = item.seconds or 0
        until = seconds if seconds <= _THIRTY_DAYS else int(time.time()) + seconds
        head = b"set %b %d %d %d\r\n" % (item.key, item.flags, until, len(item.value))
        answer = await wire.ask(head + item.value)
        if answer != b"STORED":
            raise Problem(f"memcached did not take an item back: {answer.decode('latin-1')[:100]}", Exit.NOT_ALLOWED)
