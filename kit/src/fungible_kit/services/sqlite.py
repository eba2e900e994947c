"""An SQLite file by URL: a write-ahead log, a connection for each call under way, and none that crosses a fork."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from fungible_kit.services.errors import ServiceUnavailable

_INHERITED: list[sqlite3.Connection] = []


class Connections:
    """The file of `sqlite:///relative.db` or `sqlite:////absolute.db`, made with `schema` when first needed.

    A writer waits for another one at most `busy` seconds. Raises ValueError where the URL names no file.
    """

    def __init__(
        self,
        url: str,
        busy: float,
        schema: Sequence[str],
        unavailable: Callable[..., ServiceUnavailable],
        what: str,
    ) -> None:
        self._path = path_of(url)
        self._busy = busy
        self._schema = tuple(schema)
        self._unavailable = unavailable
        self._what = what
        self._idle: tuple[int, list[sqlite3.Connection]] = (os.getpid(), [])

    @contextmanager
    def transaction(self, write: bool = False) -> Iterator[sqlite3.Connection]:
        """Without `write` for one statement, which is a transaction of its own."""
        try:
            connection, idle = self._taken()
            try:
                if write:
                    connection.execute("BEGIN IMMEDIATE")
                yield connection
                if write:
                    connection.commit()
            except BaseException:
                connection.rollback()
                raise
            finally:
                idle.append(connection)
        except (sqlite3.Error, OSError) as error:
            # A file that another process holds locked is there, and may be read.
            raise self._unavailable(f"{self._what} {self._path.name} failed: {error}", away=False) from error

    def close(self) -> None:
        """Those that are not in use."""
        (pid, idle), self._idle = self._idle, (os.getpid(), [])
        if pid != os.getpid():
            _INHERITED.extend(idle)
            return
        for connection in idle:
            connection.close()

    def _taken(self) -> tuple[sqlite3.Connection, list[sqlite3.Connection]]:
        """A connection, and where to put it back."""
        pid, idle = self._idle
        if pid != os.getpid():
            # A parent's connection must not be used by its child, nor closed there: the file may be cut short.
            _INHERITED.extend(idle)
            pid, idle = self._idle = (os.getpid(), [])
        try:
            return idle.pop(), idle
        except IndexError:
            return self._opened(), idle

    def _opened(self) -> sqlite3.Connection:
        existed = self._path.exists()
        connection = sqlite3.connect(self._path, timeout=self._busy, isolation_level=None, check_same_thread=False)
        try:
            if not existed:
                self._path.chmod(0o600)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            for text in self._schema:
                connection.execute(text)
        except BaseException:
            connection.close()
            raise
        return connection


def path_of(url: str) -> Path:
    """The file that a URL names; raises ValueError where it names none, or memory."""
    host, separator, path = url.partition("://")[2].partition("?")[0].partition("/")
    if host or not separator or path in ("", ":memory:"):
        raise ValueError(
            f"{url!r} names no file; write sqlite:///app.db (relative) or sqlite:////srv/app.db: "
            "what is in memory is lost with the process"
        )
    return Path(unquote(path))
