"""Sessions in an SQLite file: for development, and for an app on one machine.

Every method is one transaction. Processes on different machines do not share a file, and a platform's local disk
is wiped: an app with more than one machine needs another store.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable

from fungible_kit.services.sqlite import Connections
from fungible_kit.sessions.errors import Misconfigured, StoreUnavailable
from fungible_kit.sessions.identity import public_id
from fungible_kit.sessions.record import (
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
from fungible_kit.sessions.stores import WHAT, Caps

_PLATFORMS = {"DYNO": "Heroku", "KUBERNETES_SERVICE_HOST": "Kubernetes", "K_SERVICE": "Cloud Run"}

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS fungible_session ("
    "key TEXT PRIMARY KEY, user TEXT, expire_at INTEGER NOT NULL, record BLOB NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS fungible_session_user ON fungible_session (user) WHERE user IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS fungible_session_end ON fungible_session (expire_at)",
)


class SqliteStore:
    """`sqlite:///relative.db` or `sqlite:////absolute.db`, with a write-ahead log and a connection for each thread.

    A writer waits for another one at most `busy` seconds.
    """

    caps = Caps(index=True)

    def __init__(self, url: str, busy: float = 5.0, clock: Callable[[], float] = time.time) -> None:
        try:
            self._connections = Connections(url, busy, _SCHEMA, StoreUnavailable, WHAT)
        except ValueError as error:
            raise Misconfigured(str(error)) from None
        self._clock = clock

    def read(self, key: str) -> Record | None:
        with self._connections.transaction() as connection:
            return self._get(connection, key)

    def create(self, key: str, record: Record) -> bool:
        with self._connections.transaction(write=True) as connection:
            if record.expire_at <= self._clock():
                return True
            return self._add(connection, key, record)

    def patch(self, key: str, patch: Patch, seen: Record | None = None) -> Outcome:
        with self._connections.transaction(write=True) as connection:
            record = self._get(connection, key)
            if record is None or record.moved_to is not None:
                return Refused.GONE
            outcome = applied(record, patch)
            if not isinstance(outcome, tuple):
                return outcome
            self._put(connection, key, outcome[0])
            return outcome[1]

    def take(self, key: str, name: str) -> bytes | None:
        with self._connections.transaction(write=True) as connection:
            record = self._get(connection, key)
            outcome = None if record is None else without(record, name)
            if record is None or not isinstance(outcome, tuple):
                return None
            self._put(connection, key, outcome[0])
            return record.fields[name]

    def move(self, old: str, new: str, move: Move) -> Record | Outcome:
        with self._connections.transaction(write=True) as connection:
            record = self._get(connection, old)
            if record is None or record.moved_to is not None:
                return Refused.GONE
            after = moved(record, move)
            if not isinstance(after, Record):
                return after
            if move.grace:
                self._put(connection, old, pointer(record, new, move.patch.touched, move.grace))
            else:
                connection.execute("DELETE FROM fungible_session WHERE key = ?", (old,))
            self._add(connection, new, after)
            return after

    def delete(self, key: str) -> bool:
        with self._connections.transaction(write=True) as connection:
            return connection.execute("DELETE FROM fungible_session WHERE key = ?", (key,)).rowcount > 0

    def of_user(self, user: str) -> list[Listed]:
        with self._connections.transaction() as connection:
            rows = connection.execute(
                "SELECT key, record FROM fungible_session WHERE user = ? AND expire_at > ?", (user, self._clock())
            ).fetchall()
        found = [(key, unpacked(data)) for key, data in rows]
        listed = [Listed(key, public_id(key), one.created, one.touched, one.expire_at) for key, one in found]
        return sorted(listed, key=lambda session: session.created)

    def revoke_user(self, user: str, keep: str | None = None) -> int:
        with self._connections.transaction(write=True) as connection:
            return connection.execute(
                "DELETE FROM fungible_session WHERE user = ? AND key <> ?", (user, keep or "")
            ).rowcount

    def purge(self) -> int:
        with self._connections.transaction(write=True) as connection:
            return connection.execute("DELETE FROM fungible_session WHERE expire_at <= ?", (self._clock(),)).rowcount

    def check(self) -> list[str]:
        return [
            f"sessions are in a file of this machine, and {platform} runs an app on many and wipes their disks; "
            "use valkey:// or redis://"
            for variable, platform in _PLATFORMS.items()
            if variable in os.environ
        ]

    def close(self) -> None:
        self._connections.close()

    def _get(self, connection: sqlite3.Connection, key: str) -> Record | None:
        row = connection.execute(
            "SELECT record FROM fungible_session WHERE key = ? AND expire_at > ?", (key, self._clock())
        ).fetchone()
        return unpacked(row[0]) if row is not None else None

    def _add(self, connection: sqlite3.Connection, key: str, record: Record) -> bool:
        connection.execute(
            "DELETE FROM fungible_session WHERE key = ? AND expire_at <= ?", (key, self._clock())
        )  # ended, and not purged yet
        row = (key, record.user, record.expire_at, packed(record))
        return connection.execute("INSERT OR IGNORE INTO fungible_session VALUES (?, ?, ?, ?)", row).rowcount == 1

    def _put(self, connection: sqlite3.Connection, key: str, record: Record) -> None:
        connection.execute(
            "UPDATE fungible_session SET user = ?, expire_at = ?, record = ? WHERE key = ?",
            (record.user, record.expire_at, packed(record), key),
        )
