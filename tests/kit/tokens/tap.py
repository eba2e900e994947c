"""Counts what a store is asked, from outside: on the wire of PostgreSQL, by Valkey's own statistics, in SQLite's
trace."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import valkey

from tests.kit.tokens.conftest import Loop


class PostgresTap:
    """A proxy before PostgreSQL that counts the messages which run a statement: Query and Execute.

    https://www.postgresql.org/docs/current/protocol-message-formats.html
    """

    def __init__(self) -> None:
        self.count = 0
        self.answers = asyncio.Event()
        """Cleared, the server's answers are held back, while its packets are acknowledged: it is frozen."""
        self.answers.set()

    async def serve(self, url: str, bound: socket.socket | None = None) -> str:
        parts = urlsplit(url)

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            upstream_reader, upstream_writer = await asyncio.open_connection(parts.hostname, parts.port)
            back = asyncio.create_task(self._copy(upstream_reader, writer))
            try:
                await self._read(reader, upstream_writer)
            except (asyncio.IncompleteReadError, OSError):
                pass
            finally:
                upstream_writer.close()
                await back

        if bound is None:
            bound = socket.create_server(("127.0.0.1", 0))
        server = await asyncio.start_server(connected, sock=bound)
        port = server.sockets[0].getsockname()[1]
        words = "?sslmode=disable&gssencmode=disable"
        return f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{port}{parts.path}{words}"

    async def _read(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        kind = b""  # the first message has no type
        while True:
            size = await reader.readexactly(4)
            upstream.write(kind + size + await reader.readexactly(int.from_bytes(size) - 4))
            self.count += kind in (b"Q", b"E")
            kind = await reader.readexactly(1)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self.answers.wait()
            writer.write(data)
        writer.close()


@contextmanager
def counting(
    kind: str, url: str, background: Loop, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Callable[[], int]]]:
    """A URL of the store, and a function that gives how many statements or commands it got since the last call."""
    seen = 0

    def since(total: Callable[[], int]) -> Callable[[], int]:
        def count() -> int:
            nonlocal seen
            before, seen = seen, total()
            return seen - before

        return count

    if kind == "postgres":
        tap = PostgresTap()
        yield background.run(tap.serve(url)), since(lambda: tap.count)
    elif kind == "sqlite":
        traced: list[str] = []

        class Traced(sqlite3.Connection):
            def __init__(self, *arguments: Any, **words: Any) -> None:
                super().__init__(*arguments, **words)
                self.set_trace_callback(traced.append)

        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", lambda *a, **w: connect(*a, **w, factory=Traced))
        yield url, since(lambda: len(traced))
    else:
        with valkey.Valkey.from_url(url) as client:

            def total() -> int:
                stats = client.info("commandstats")
                # What a script does inside the server is no trip; `info` is ours.
                ours = {"cmdstat_info", "cmdstat_client|setinfo", "cmdstat_hello", "cmdstat_select"}
                inside = {
                    "hset",
                    "hmget",
                    "hget",
                    "zadd",
                    "zrange",
                    "zremrangebyscore",
                    "expireat",
                    "ttl",
                    "zrevrange",
                }
                ours |= {f"cmdstat_{name}" for name in inside}
                return sum(each["calls"] for name, each in stats.items() if name not in ours)

            yield url, since(total)
