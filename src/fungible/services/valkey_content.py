"""What a Valkey server holds: taken, put back, and read out as rows. Every database of it, by SELECT."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from valkey.asyncio.connection import AbstractConnection, ConnectionPool
from valkey.exceptions import ResponseError
from valkey.typing import EncodableT

from fungible.services.store import Dump, Row
from fungible.services.value import MOST_ROWS
from fungible.services.value import text_or_bytes as _shown

_BATCH = 500
_Entry = TypeVar("_Entry")


@dataclass(frozen=True)
class Content:
    """Database number -> (key, milliseconds to live or 0, serialized value), and the function libraries."""

    keys: tuple[tuple[int, tuple[tuple[bytes, int, bytes], ...]], ...]
    functions: bytes | None


class Wire:
    """One connection of the `valkey` package, asked in raw commands: answers are bytes, integers and lists."""

    def __init__(self, connection: AbstractConnection, number: int) -> None:
        self._connection = connection
        self.number = number
        """The database that the URL names."""

    async def ask(self, *command: EncodableT) -> Any:
        """One command's answer; raises `ValkeyError` for an error, and for a lost connection."""
        answer = (await self.ask_all([command]))[0]
        if isinstance(answer, ResponseError):
            raise answer
        return answer

    async def ask_all(self, commands: Sequence[tuple[EncodableT, ...]]) -> list[Any]:
        """The answers of many commands sent at once; an error of one is its answer."""
        if not commands:
            return []
        await self._connection.send_packed_command(self._connection.pack_commands(commands))
        answers: list[Any] = []
        for _ in commands:
            try:
                answers.append(await self._connection.read_response(disable_decoding=True))
            except ResponseError as error:
                answers.append(error)
        return answers


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Wire]:
    """A connection to `url` (`redis://`, `rediss://` or `unix://`), closed at the end."""
    pool = ConnectionPool.from_url(url, socket_timeout=30, socket_connect_timeout=5)
    connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
        yield Wire(connection, int(pool.connection_kwargs.get("db") or 0))
    finally:
        await connection.disconnect()


async def take(wire: Wire, *, whole: bool = True) -> Content:
    """Read everything; nothing is written. A key that expires meanwhile is left out.

    `whole` False, here and below, is for servers of others: only the database that the URL names.
    """
    taken: list[tuple[int, tuple[tuple[bytes, int, bytes], ...]]] = []
    for number in await _databases(wire) if whole else [wire.number]:
        found: list[tuple[bytes, int, bytes]] = []
        await wire.ask("SELECT", number)
        for keys in _batches(await _keys(wire)):
            answers = await wire.ask_all([command for key in keys for command in (("PTTL", key), ("DUMP", key))])
            for key, left, value in zip(keys, answers[::2], answers[1::2], strict=True):
                if isinstance(value, ResponseError):
                    raise value
                if value is not None:
                    found.append((key, max(int(left), 0), value))
        taken.append((number, tuple(found)))
    functions = None
    if whole:
        with contextlib.suppress(ResponseError):  # before version 7 there are no functions
            functions = await wire.ask("FUNCTION", "DUMP")
    return Content(tuple(taken), functions)


async def put_back(wire: Wire, content: Content, *, whole: bool = True) -> None:
    """Make the server (or, if not `whole`, the database) hold `content` and nothing else.

    Connections left by an earlier world are cut first: one that still waits in BLPOP would take what the
    next world pushes. The script cache is emptied, because a world may notice it (EVALSHA).
    """
    if whole:
        for kind in ("NORMAL", "PUBSUB"):
            await wire.ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "YES")
        await wire.ask("FLUSHALL", "SYNC")
        await wire.ask("SCRIPT", "FLUSH", "SYNC")
    else:
        await wire.ask("SELECT", wire.number)
        await wire.ask("FLUSHDB", "SYNC")
    if content.functions is not None:
        await wire.ask("FUNCTION", "RESTORE", content.functions, "FLUSH")
    for number, keys in content.keys:
        await wire.ask("SELECT", number)
        for batch in _batches(keys):
            for answer in await wire.ask_all([("RESTORE", *entry[:3], "REPLACE") for entry in batch]):
                if isinstance(answer, ResponseError):
                    raise answer


async def dump(wire: Wire, *, whole: bool = True) -> Dump:
    """`key NAME` -> rows (`key 3/NAME` outside database 0).

    The first row has `type`, `expires` (whether a time to live is set; its value moves with the clock) and,
    for a string, `value`; each further row is an element: `field` and `value` of a hash, `value` of a list,
    `member` of a set, `member` and `score` of a sorted set, `id` and `fields` of a stream.
    """
    content: dict[str, Sequence[Row]] = {}
    for number in await _databases(wire) if whole else [wire.number]:
        await wire.ask("SELECT", number)
        prefix = f"{number}/" if number and whole else ""
        for keys in _batches(sorted(await _keys(wire))):
            about = await wire.ask_all([command for key in keys for command in (("TYPE", key), ("PTTL", key))])
            kinds = [_name(kind) for kind in about[::2]]
            values = await wire.ask_all([_reading(kind, key) for kind, key in zip(kinds, keys, strict=True)])
            for key, kind, left, value in zip(keys, kinds, about[1::2], values, strict=True):
                if kind != "none":
                    content[f"key {prefix}{_name(key)}"] = _rows(kind, int(left) >= 0, value)
    return content


def _reading(kind: str, key: bytes) -> tuple[EncodableT, ...]:
    last = MOST_ROWS - 1
    commands: dict[str, tuple[EncodableT, ...]] = {
        "string": ("GET", key),
        "hash": ("HGETALL", key),
        "list": ("LRANGE", key, 0, last),
        "set": ("SMEMBERS", key),
        "zset": ("ZRANGE", key, 0, last, "WITHSCORES"),
        "stream": ("XRANGE", key, "-", "+", "COUNT", MOST_ROWS),
    }
    return commands.get(kind, ("DUMP", key))


def _rows(kind: str, expires: bool, value: Any) -> list[Row]:
    head: dict[str, Any] = {"type": kind, "expires": expires}
    if isinstance(value, Exception) or value is None:
        return [head]  # it changed its type, or went, between the two questions
    if kind == "hash":
        return [head, *({"field": _shown(a), "value": _shown(b)} for a, b in sorted(_pairs(value))[:MOST_ROWS])]
    if kind == "zset":
        return [head, *({"member": _shown(a), "score": _name(b)} for a, b in _pairs(value))]
    if kind == "list":
        return [head, *({"value": _shown(entry)} for entry in value)]
    if kind == "set":
        return [head, *({"member": _shown(entry)} for entry in sorted(value)[:MOST_ROWS])]
    if kind == "stream":
        return [head, *({"id": _name(key), "fields": [_shown(part) for part in parts or ()]} for key, parts in value)]
    return [head | {"value": _shown(value)}]


def _pairs(flat: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


async def _databases(wire: Wire) -> list[int]:
    text = _name(await wire.ask("INFO", "keyspace"))
    return sorted(int(line[2:].split(":", 1)[0]) for line in text.splitlines() if line.startswith("db"))


async def _keys(wire: Wire) -> list[bytes]:
    found: dict[bytes, None] = {}  # SCAN may name a key twice
    cursor: bytes = b"0"
    while True:
        cursor, keys = await wire.ask("SCAN", cursor, "COUNT", 1000)
        found.update(dict.fromkeys(keys))
        if int(cursor) == 0:
            return list(found)


def _batches(entries: Sequence[_Entry]) -> Iterator[Sequence[_Entry]]:
    return (entries[start : start + _BATCH] for start in range(0, len(entries), _BATCH))


def _name(content: bytes) -> str:
    """A key or a word of the protocol as text; what is not UTF-8 is escaped, so that no two keys meet."""
    return content.decode("utf-8", "backslashreplace")
