"""Tokens in a PostgreSQL table, by psycopg 3 and its pools."""

from __future__ import annotations

import asyncio
import math
import os
import re
import threading
import weakref
from typing import Any

from fungible_kit.tokens.errors import StoreUnavailable
from fungible_kit.tokens.sql import Statement, Table
from fungible_kit.tokens.store import Create, Operation

try:
    import psycopg
    from psycopg.errors import UndefinedTable
    from psycopg_pool import AsyncConnectionPool, ConnectionPool
except ImportError as missing:
    raise ImportError(f"tokens in PostgreSQL need fungible-kit[postgres]: {missing}") from missing

MOST_CONNECTIONS = 10
_LOCK = 7311583041  # any number of ours: two that create a table at once wait for each other


class PostgresStore:
    """A table in the database of `url`, which `Tokens.create` makes.

    Connections are opened when needed, `MOST_CONNECTIONS` at most a process (and event loop). `deadline`, in
    seconds, is how long is waited for a free connection and for a network that swallows packets. An operation whose
    connection turns out to be broken is done once more on a new one; each may be repeated.
    """

    def __init__(self, url: str, name: str, deadline: float) -> None:
        self.table = Table(name, "BYTEA", one_step=True)
        self._url = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)
        self._deadline = deadline
        self._lock = threading.Lock()
        self._pool: tuple[int, ConnectionPool[Any]] | None = None
        self._apools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncConnectionPool[Any]]
        self._apools = weakref.WeakKeyDictionary()

    def execute(self, operation: Operation) -> Any:
        statements = self._statements(operation)
        pool = self._threads_pool()
        for last in (False, True):
            try:
                with pool.connection() as connection:
                    if len(statements) == 1:
                        cursor = connection.execute(statements[0].text, statements[0].parameters)
                    else:
                        with connection.transaction():
                            for statement in statements:
                                cursor = connection.execute(statement.text, statement.parameters)
                    return self._result(operation, cursor, cursor.fetchall() if _has_rows(cursor) else [])
            except psycopg.Error as error:
                if last or not connection_lost(error):
                    raise self._unavailable(error) from error
                pool.check()
        raise AssertionError("unreachable")

    async def aexecute(self, operation: Operation) -> Any:
        statements = self._statements(operation)
        pool = await self._loops_pool()
        for last in (False, True):
            try:
                async with asyncio.timeout(2 * self._deadline), pool.connection() as connection:
                    if len(statements) == 1:
                        cursor = await connection.execute(statements[0].text, statements[0].parameters)
                    else:
                        async with connection.transaction():
                            for statement in statements:
                                cursor = await connection.execute(statement.text, statement.parameters)
                    return self._result(operation, cursor, await cursor.fetchall() if _has_rows(cursor) else [])
            except TimeoutError as error:
                raise StoreUnavailable("PostgreSQL: no answer in time") from error
            except psycopg.Error as error:
                if last or not connection_lost(error):
                    raise self._unavailable(error) from error
                await pool.check()
        raise AssertionError("unreachable")

    def close(self) -> None:
        with self._lock:
            if self._pool is not None and self._pool[0] == os.getpid():
                self._pool[1].close()
            self._pool = None

    async def aclose(self) -> None:
        pool = self._apools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.close()
        self.close()

    def _threads_pool(self) -> ConnectionPool[Any]:
        with self._lock:
            if self._pool is None or self._pool[0] != os.getpid():
                pool = ConnectionPool(self._url, open=True, name="fungible-tokens", **self._options)
                self._pool = (os.getpid(), pool)
            return self._pool[1]

    async def _loops_pool(self) -> AsyncConnectionPool[Any]:
        loop = asyncio.get_running_loop()
        pool = self._apools.get(loop)
        if pool is None:
            pool = AsyncConnectionPool(self._url, open=False, name="fungible-tokens", **self._options)
            self._apools[loop] = pool
            await pool.open()
        return pool

    @property
    def _options(self) -> dict[str, Any]:
        connection = {
            "autocommit": True,
            "connect_timeout": max(2, math.ceil(self._deadline)),
            "tcp_user_timeout": int(self._deadline * 1000),
            "application_name": "fungible-tokens",
        }
        return {
            "min_size": 0,
            "max_size": MOST_CONNECTIONS,
            "timeout": self._deadline,
            "reconnect_timeout": 0,
            "kwargs": connection,
        }

    def _statements(self, operation: Operation) -> tuple[Statement, ...]:
        found = [
            Statement(each.text.replace("?", "%s"), each.parameters) for each in self.table.statements(operation)
        ]
        if isinstance(operation, Create):
            found.insert(0, Statement("SELECT pg_advisory_xact_lock(%s)", (_LOCK,)))
        return tuple(found)

    def _result(self, operation: Operation, cursor: Any, rows: list[Any]) -> Any:
        return self.table.result(operation, rows, cursor.rowcount)

    def _unavailable(self, error: psycopg.Error) -> StoreUnavailable:
        if isinstance(error, UndefinedTable):
            name = self.table.name
            return StoreUnavailable(
                f"PostgreSQL has no table {name}; make it: python -m fungible_kit.tokens create URL"
            )
        return StoreUnavailable(f"PostgreSQL: {str(error).strip() or type(error).__name__}")


def _has_rows(cursor: Any) -> bool:
    """Whether a statement gave rows, none included; `description` would make an object for each column."""
    return cursor.rownumber is not None


def connection_lost(error: psycopg.Error) -> bool:
    """Whether an operation failed because its connection had gone, and not because no connection was to be had."""
    from psycopg_pool import PoolTimeout

    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) and not isinstance(
        error, PoolTimeout
    )
