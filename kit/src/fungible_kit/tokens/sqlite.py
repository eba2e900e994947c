"""Tokens in a SQLite file: for development, and for apps on one machine."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fungible_kit.tokens.errors import StoreUnavailable
from fungible_kit.tokens.sql import Table
from fungible_kit.tokens.store import Operation


class SqliteStore:
    """A table in the file of `sqlite:///relative` or `sqlite:////absolute`, made when first needed.

    One connection a process, used by one thread at a time; a fork opens its own. On an event loop the work is done
    in a thread, because a write waits for the file's lock. `deadline` is in seconds.
    """

    def __init__(self, url: str, name: str, deadline: float) -> None:
        self.table = Table(name, "BLOB", one_step=False)
        self._path = _path(url)
        self._deadline = deadline
        self._lock = threading.Lock()
        self._open: tuple[int, sqlite3.Connection] | None = None

    def execute(self, operation: Operation) -> Any:
        statements = self.table.statements(operation)
        try:
            with self._lock:
                connection = self._connection()
                if len(statements) == 1:
                    cursor = connection.execute(statements[0].text, statements[0].parameters)
                    return self.table.result(operation, cursor.fetchall(), cursor.rowcount)
                with connection:
                    connection.execute("BEGIN IMMEDIATE")
                    for statement in statements:
                        cursor = connection.execute(statement.text, statement.parameters)
                    return self.table.result(operation, cursor.fetchall(), cursor.rowcount)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"SQLite: {error}") from error

    async def aexecute(self, operation: Operation) -> Any:
        return await asyncio.to_thread(self.execute, operation)

    def close(self) -> None:
        with self._lock:
            if self._open is not None and self._open[0] == os.getpid():
                self._open[1].close()
            self._open = None

    async def aclose(self) -> None:
        self.close()

    def _connection(self) -> sqlite3.Connection:
        if self._open is not None and self._open[0] == os.getpid():
            return self._open[1]
        connection = sqlite3.connect(
            self._path, timeout=self._deadline, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            for text in self.table.schema:
                connection.execute(text)
        except BaseException:
            connection.close()
            raise
        self._open = (os.getpid(), connection)
        return connection


def _path(url: str) -> Path:
    found = url.partition(":///")[2].partition("?")[0]
    if found in ("", ":memory:"):
        raise ValueError(f"{url!r}: tokens in memory are lost with the process; name a file, sqlite:////path/to/file")
    return Path(unquote(found))
