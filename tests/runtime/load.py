"""A small steady load on a router: every request is answered in full, or counted as lost."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_ANSWER_WITHIN = 30.0
_PAUSE = 0.005
"""Seconds between two requests of a client, so that the machine has time for the rest."""


@dataclass
class Count:
    """What became of the requests: how many were `answered`, by whom, of which `kinds` (`fresh GET`, `kept POST`),
    and each that was `lost`, with the reason."""

    answered: int = 0
    by: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)

    @property
    def bound(self) -> float:
        """With none lost, the share that may be lost all the same (95 %, rule of three)."""
        return 3 / max(1, self.answered)


class Load:
    """Clients, each one request after the other: `fresh` ones with a new connection for each, `kept` ones on one."""

    def __init__(self, url: str, fresh: int = 2, kept: int = 2) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None and parts.port is not None
        self._at = (parts.hostname, parts.port)
        self._clients = [False] * fresh + [True] * kept
        self._done = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._enough = threading.Condition()
        self.count = Count()

    def wait_for_more(self, more: int) -> None:
        """Until `more` further requests have been answered, or one is lost."""
        until = self.count.answered + more
        with self._enough:
            assert self._enough.wait_for(lambda: self.count.answered >= until or self.count.lost, 60)

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        await asyncio.gather(*(self._client(number, kept) for number, kept in enumerate(self._clients)))

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._done.set)

    async def _client(self, number: int, kept: bool) -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        turn = 0
        while not self._done.is_set():
            turn += 1
            method = "POST" if turn % 3 == 0 else "GET"
            kind = f"{'kept' if kept else 'fresh'} {method}"
            try:
                async with asyncio.timeout(_ANSWER_WITHIN):
                    if connection is None:
                        connection = await asyncio.open_connection(*self._at)
                    status, body, closes = await _ask(*connection, method, f"/{number}/{turn}", kept)
                if status != 200 or not body.endswith(f" {method} /{number}/{turn}"):
                    raise OSError(f"{status} {body[:100]!r}")
            except (OSError, EOFError, TimeoutError) as error:
                self._say(kind, None, f"{kind}: {error!r}")
                closes = True
            else:
                self._say(kind, body.split(" ")[0], None)
            await asyncio.sleep(_PAUSE)
            if connection is not None and (closes or not kept):
                connection[1].close()
                connection = None
        if connection is not None:
            connection[1].close()

    def _say(self, kind: str, by: str | None, lost: str | None) -> None:
        with self._enough:
            if by is not None:
                self.count.answered += 1
                self.count.by[by] += 1
                self.count.kinds[kind] += 1
            if lost is not None:
                self.count.lost.append(lost)
            self._enough.notify_all()


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, path: str, keep: bool
) -> tuple[int, str, bool]:
    body = "Content-Length: 4\r\n\r\nbody" if method == "POST" else "\r\n"
    close = "" if keep else "Connection: close\r\n"
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: test\r\n{close}{body}".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "content-length" in headers:
        content = await reader.readexactly(int(headers["content-length"]))
    else:
        content = b""
        while size := int(await reader.readline(), 16):
            content += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    return int(first.split()[1]), content.decode(), headers.get("connection", "").lower() == "close"


@contextlib.contextmanager
def load_on(url: str, **clients: int) -> Iterator[Load]:
    """A load on `url` while the context lasts."""
    load = Load(url, **clients)
    thread = threading.Thread(target=lambda: asyncio.run(load.run()), daemon=True)
    thread.start()
    try:
        load.wait_for_more(10)
        yield load
        load.wait_for_more(10)
    finally:
        load.stop()
        thread.join(_ANSWER_WITHIN)
