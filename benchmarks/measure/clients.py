"""Clients that remember every request: answered, refused, or cut, and what the app's ledger says of the lost ones."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

_WITHIN = 10.0
_PAUSE = 0.02
_ENDS = {
    "IncompleteReadError": "closed",
    "ConnectionResetError": "reset",
    "BrokenPipeError": "reset",
    "ConnectionRefusedError": "connection refused",
    "TimeoutError": "no answer in time",
}


@dataclass(frozen=True)
class Lost:
    """A request without an answer of the app: its id, and the `status` of a complete refusal, else None.

    `how`: that status, with the cause if the answer names one, or the error that ended the connection.
    """

    id: str
    method: str
    kept: bool
    status: int | None
    how: str


@dataclass
class Count:
    """All requests of a run: how many were sent, how many over kept connections, and the lost ones."""

    sent: Counter[str] = field(default_factory=Counter)
    lost: list[Lost] = field(default_factory=list)


class Clients:
    """`fresh` clients with a new connection for each request, `kept` ones with one each; every third request a POST.

    As any client library does, a kept connection that the server has closed, or said that it will, is not used
    again. After a lost request a client waits 20 ms, so that an outage is not counted in refused connections alone.
    """

    def __init__(self, port: int, path: str, fresh: int, kept: int) -> None:
        self._port, self._path = port, path
        self._kinds = [False] * fresh + [True] * kept
        self._done = asyncio.Event()
        self.count = Count()

    async def run(self) -> None:
        """Until `stop`."""
        await asyncio.gather(*(self._client(number, kept) for number, kept in enumerate(self._kinds)))

    def stop(self) -> None:
        """Each client ends with the request that it has."""
        self._done.set()

    async def _client(self, number: int, kept: bool) -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        turn = 0
        while not self._done.is_set():
            turn += 1
            method, name = ("POST" if turn % 3 == 0 else "GET"), f"{number}-{turn}"
            self.count.sent["kept" if kept else "fresh"] += 1
            status, closes, how = None, True, ""
            if connection is not None and connection[0].at_eof():
                connection[1].close()
                connection = None
            try:
                async with asyncio.timeout(_WITHIN):
                    if connection is None:
                        connection = await asyncio.open_connection("127.0.0.1", self._port)
                    status, body, closes, how = await self._ask(*connection, method, name, kept)
                lost = status != 200 or body != f"ok {name}"
            except (OSError, EOFError, ValueError, TimeoutError) as error:
                lost, status, closes = True, None, True
                how = _ENDS.get(type(error).__name__, type(error).__name__)
            if lost:
                self.count.lost.append(Lost(name, method, kept, status, how))
            if connection is not None and (closes or not kept):
                connection[1].close()
                connection = None
            if lost:
                await asyncio.sleep(_PAUSE)
        if connection is not None:
            connection[1].close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, name: str, keep: bool
    ) -> tuple[int, str, bool, str]:
        body = "Content-Length: 4\r\n\r\nbody" if method == "POST" else "\r\n"
        close = "" if keep else "Connection: close\r\n"
        writer.write(f"{method} {self._path}&id={name} HTTP/1.1\r\nHost: bench\r\n{close}{body}".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        if "content-length" in headers:
            content = await reader.readexactly(int(headers["content-length"]))
        elif "chunked" in headers.get("transfer-encoding", ""):
            content = b""
            while size := int(await reader.readline(), 16):
                content += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
        else:
            content = await reader.read()
        closes = headers.get("connection", "").lower() == "close" or first.startswith("HTTP/1.0")
        status = first.split()[1]
        how = f"{status} {headers.get('fungible-cause', '')}".strip()
        return int(status), content.decode(errors="replace"), closes, how


@contextlib.asynccontextmanager
async def clients(port: int, path: str, fresh: int, kept: int):  # type: ignore[no-untyped-def]
    """Clients under way for as long as the context lasts; gives their count, complete afterwards."""
    load = Clients(port, path, fresh, kept)
    task = asyncio.create_task(load.run())
    try:
        yield load.count
    finally:
        load.stop()
        await task


def classes(count: Count, ledger: Path) -> dict[str, object]:
    """What became of the lost requests, by connection and by what the app had done with them; and what ran twice.

    `never_run`: the app has not seen it; `started`: the app began and did not end; `finished`: the app did its work
    and the client has no answer. `told`: of these, those that got a complete refusal (502, 503) instead of silence.
    """
    started: Counter[str] = Counter()
    finished: set[str] = set()
    if ledger.exists():
        for line in ledger.read_text().splitlines():
            what, _, name = line.partition(" ")
            if what == "started":
                started[name] += 1
            else:
                finished.add(name)
    found: dict[str, object] = {
        "ran_twice": sum(1 for times in started.values() if times > 1),
        "lost_how": dict(Counter(lost.how for lost in count.lost).most_common()),
    }
    for kept in (False, True):
        found["kept" if kept else "fresh"] = {
            "requests": count.sent["kept" if kept else "fresh"],
            **_row([lost for lost in count.lost if lost.kept is kept], started, finished),
        }
    return found


def _row(lost: Iterable[Lost], started: Counter[str], finished: set[str]) -> dict[str, int]:
    row = {"lost": 0, "never_run": 0, "started": 0, "finished": 0, "told": 0, "get": 0, "post": 0}
    for each in lost:
        row["lost"] += 1
        row["finished" if each.id in finished else "started" if started[each.id] else "never_run"] += 1
        row["told"] += each.status is not None
        row[each.method.lower()] += 1
    return row
