"""Sessions in a PostgreSQL table: one row each, changed by compare-and-swap on its version.

A lost race is replayed on what is there then. A swap finds no row where the session was ended meanwhile, so it never
comes back. What a session holds is one value of bytes, so that the table is written as a whole row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from fungible_kit.services.postgres import Connections, Result
from fungible_kit.services.sql import Statement
from fungible_kit.sessions.errors import SessionError, StoreUnavailable
from fungible_kit.sessions.identity import public_id, user_key
from fungible_kit.sessions.record import (
    Applied,
    Conflict,
    Listed,
    Move,
    Outcome,
    Patch,
    Record,
    Refused,
    applied,
    moved,
    packed,
    pointer,
    unpacked,
    without,
)
from fungible_kit.sessions.stores import Caps

T = TypeVar("T")
Dialogue = Generator[Sequence[Statement], Result, T]
"""Yields the statements of one transaction, gets the rows of the last one and how many it wrote."""

CAPS = Caps(index=True)
MEND = "python -m fungible_kit.sessions create URL"

_LOCK = 7311583042  # any number of ours: two that create the table at once wait for each other
_ATTEMPTS = 64  # of a swap; each loss means that another writer won
_TABLE = (
    "CREATE TABLE IF NOT EXISTS fungible_session (\n"
    "  key TEXT PRIMARY KEY,\n"
    "  user_hash TEXT,\n"
    "  expire_at BIGINT NOT NULL,\n"
    "  version BIGINT NOT NULL,\n"
    "  record BYTEA NOT NULL\n"
    ")",
    "CREATE INDEX IF NOT EXISTS fungible_session_user ON fungible_session (user_hash) WHERE user_hash IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS fungible_session_end ON fungible_session (expire_at)",
)
_NEW = "(key, user_hash, expire_at, version, record)"


def create_table() -> Dialogue[None]:
    yield (Statement("SELECT pg_advisory_xact_lock(?)", (_LOCK,)), *(Statement(text) for text in _TABLE))


def read(key: str) -> Dialogue[Record | None]:
    select = "SELECT record FROM fungible_session WHERE key = ? AND expire_at > ?"
    rows, _ = yield (Statement(select, (key, int(time.time()))),)
    # The token says that the fields are those of this version; after a write of this request's they are older.
    return unpacked(bytes(rows[0][0]), token=True) if rows else None


def create(key: str, record: Record) -> Dialogue[bool]:
    # What has ended, and is not purged yet, makes room.
    insert = (
        f"INSERT INTO fungible_session AS held {_NEW} VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
        "user_hash = excluded.user_hash, expire_at = excluded.expire_at, version = excluded.version, "
        "record = excluded.record WHERE held.expire_at <= ?"
    )
    _, count = yield (Statement(insert, (*_row(key, record), int(time.time()))),)
    return count == 1


def patch(key: str, change: Patch, seen: Record | None) -> Dialogue[Outcome]:
    outcome = yield from _swap(key, lambda record: applied(record, change), _put, seen)
    return outcome


def take(key: str, name: str) -> Dialogue[bytes | None]:
    held: list[bytes | None] = []

    def change(record: Record) -> tuple[Record, Applied] | Refused | Conflict:
        held[:] = [record.fields.get(name)]
        return without(record, name)

    outcome = yield from _swap(key, change, _put, None)
    return held[0] if isinstance(outcome, Applied) else None


def move(old: str, new: str, how: Move) -> Dialogue[Record | Outcome]:
    result: list[Record] = []

    def change(record: Record) -> tuple[Record, Applied] | Refused | Conflict:
        result.clear()
        after = moved(record, how)
        if not isinstance(after, Record):
            return after
        result.append(after)
        return record, Applied(after.version)

    def put(key: str, before: Record, record: Record) -> Statement:
        after = result[0]
        held = " WHERE key = ? AND version = ? AND expire_at > ? RETURNING 1"
        place = (old, before.version, int(time.time()))
        if how.grace:
            left = pointer(before, new, how.patch.touched, how.grace)
            _, _, *columns = _row(old, left)
            gone = Statement(
                f"UPDATE fungible_session SET user_hash = NULL, expire_at = ?, version = ?, record = ?{held}",
                (*columns, *place),
            )
        else:
            gone = Statement(f"DELETE FROM fungible_session{held}", place)
        insert = (
            f"WITH gone AS ({gone.text}) INSERT INTO fungible_session {_NEW} "
            "SELECT CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BYTEA) "
            "WHERE EXISTS (SELECT 1 FROM gone)"
        )
        return Statement(insert, (*gone.parameters, *_row(new, after)))

    outcome = yield from _swap(old, change, put, None)
    return result[0] if isinstance(outcome, Applied) else outcome


def delete(key: str) -> Dialogue[bool]:
    _, count = yield (Statement("DELETE FROM fungible_session WHERE key = ?", (key,)),)
    return count > 0


def of_user(user: str) -> Dialogue[list[Listed]]:
    select = "SELECT key, record FROM fungible_session WHERE user_hash = ? AND expire_at > ?"
    rows, _ = yield (Statement(select, (user_key(user), int(time.time()))),)
    found = [(key, unpacked(bytes(data))) for key, data in rows]
    listed = [Listed(key, public_id(key), one.created, one.touched, one.expire_at) for key, one in found]
    return sorted(listed, key=lambda session: session.created)


def revoke_user(user: str, keep: str | None) -> Dialogue[int]:
    delete = "DELETE FROM fungible_session WHERE user_hash = ? AND key <> ?"
    _, count = yield (Statement(delete, (user_key(user), keep or "")),)
    return count


def purge() -> Dialogue[int]:
    _, count = yield (Statement("DELETE FROM fungible_session WHERE expire_at <= ?", (int(time.time()),)),)
    return count


def _swap(
    key: str,
    change: Callable[[Record], tuple[Record, Applied] | Refused | Conflict],
    put: Callable[[str, Record, Record], Statement],
    seen: Record | None,
) -> Dialogue[Outcome]:
    """`put` makes the statement that writes the record after the change, where the one before it is still there."""
    record = seen if seen is not None and seen.token is not None else (yield from read(key))
    for _ in range(_ATTEMPTS):
        if record is None or record.moved_to is not None:
            return Refused.GONE
        outcome = change(record)
        if isinstance(outcome, tuple):
            after, done = outcome
            _, count = yield (put(key, record, after),)
            if count == 1:
                return done
        elif record is not seen:
            return outcome
        record = yield from read(key)  # another writer was faster, or this was judged by an old view
    raise SessionError("too many requests change this session at once; nothing was written")


def _put(key: str, before: Record, after: Record) -> Statement:
    _, *columns = _row(key, after)
    update = (
        "UPDATE fungible_session SET user_hash = ?, expire_at = ?, version = ?, record = ? "
        "WHERE key = ? AND version = ? AND expire_at > ?"
    )
    return Statement(update, (*columns, key, before.version, int(time.time())))


def _row(key: str, record: Record) -> tuple[str, str | None, int, int, bytes]:
    user = user_key(record.user) if record.user is not None else None
    return key, user, record.expire_at, record.version, packed(record)


def _may_be_repeated(statements: Sequence[Statement]) -> bool:
    """A sum that was written and not answered for would be added twice."""
    return statements[0].text.startswith("SELECT")


def check(url: str) -> list[str]:
    words = ["ended sessions stay until `python -m fungible_kit.sessions purge` is run, now and then"]
    if not any(word in url for word in ("sslmode=require", "sslmode=verify", "@localhost", "@127.0.0.1", "host=/")):
        words.append("the link to the session store may be open; write ?sslmode=verify-full")
    return words


class PostgresStore:
    """The sync face. `deadline` is in seconds, for a connection and for each answer."""

    caps = CAPS

    def __init__(self, url: str, deadline: float) -> None:
        self._url = url
        self._connections = Connections(url, deadline, StoreUnavailable, "fungible-sessions", MEND)

    def create_table(self) -> None:
        self._hold(create_table())

    def read(self, key: str) -> Record | None:
        return self._hold(read(key))

    def create(self, key: str, record: Record) -> bool:
        return self._hold(create(key, record))

    def patch(self, key: str, patch: Patch, seen: Record | None = None) -> Outcome:
        return self._hold(_patch(key, patch, seen))

    def take(self, key: str, name: str) -> bytes | None:
        return self._hold(take(key, name))

    def move(self, old: str, new: str, move: Move) -> Record | Outcome:
        return self._hold(_move(old, new, move))

    def delete(self, key: str) -> bool:
        return self._hold(delete(key))

    def of_user(self, user: str) -> list[Listed]:
        return self._hold(of_user(user))

    def revoke_user(self, user: str, keep: str | None = None) -> int:
        return self._hold(revoke_user(user, keep))

    def purge(self) -> int:
        return self._hold(purge())

    def check(self) -> list[str]:
        return check(self._url)

    def close(self) -> None:
        self._connections.close()

    def _hold(self, dialogue: Dialogue[T]) -> T:
        try:
            statements = dialogue.send(None)  # type: ignore[arg-type]
            while True:
                statements = dialogue.send(self._connections.run(statements, again=_may_be_repeated(statements)))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


class AsyncPostgresStore:
    """The asyncio face."""

    caps = CAPS
    bounded = True  # each call ends within twice the deadline

    def __init__(self, url: str, deadline: float) -> None:
        self._url = url
        self._connections = Connections(url, deadline, StoreUnavailable, "fungible-sessions", MEND)

    async def create_table(self) -> None:
        await self._hold(create_table())

    async def read(self, key: str) -> Record | None:
        return await self._hold(read(key))

    async def create(self, key: str, record: Record) -> bool:
        return await self._hold(create(key, record))

    async def patch(self, key: str, patch: Patch, seen: Record | None = None) -> Outcome:
        return await self._hold(_patch(key, patch, seen))

    async def take(self, key: str, name: str) -> bytes | None:
        return await self._hold(take(key, name))

    async def move(self, old: str, new: str, move: Move) -> Record | Outcome:
        return await self._hold(_move(old, new, move))

    async def delete(self, key: str) -> bool:
        return await self._hold(delete(key))

    async def of_user(self, user: str) -> list[Listed]:
        return await self._hold(of_user(user))

    async def revoke_user(self, user: str, keep: str | None = None) -> int:
        return await self._hold(revoke_user(user, keep))

    async def purge(self) -> int:
        return await self._hold(purge())

    async def check(self) -> list[str]:
        return check(self._url)

    async def close(self) -> None:
        await self._connections.aclose()

    async def _hold(self, dialogue: Dialogue[T]) -> T:
        try:
            statements = dialogue.send(None)  # type: ignore[arg-type]
            while True:
                result = await self._connections.arun(statements, again=_may_be_repeated(statements))
                statements = dialogue.send(result)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


_patch, _move = patch, move  # the methods have arguments of these names
