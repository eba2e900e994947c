"""PostgreSQL by URL, by psycopg 3 and its pools; for threads and for event loops."""

from __future__ import annotations

import asyncio
import math
import os
import re
import select
import threading
from collections.abc import Callable, Generator, Sequence
from time import monotonic
from typing import Any

from fungible_kit.services.errors import ServiceUnavailable
from fungible_kit.services.sql import Statement

try:
    import psycopg
    from psycopg.errors import InvalidSchemaName, UndefinedTable
    from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout
except ImportError as missing:
    raise ImportError(f"PostgreSQL needs a client: pip install 'fungible-kit[postgres]' ({missing})") from missing

MOST_CONNECTIONS = 10

Result = tuple[list[Any], int]
"""The rows of the last statement, and how many rows it wrote."""


class Connections:
    """Connections to the database of `url`, opened when needed.

    There are `MOST_CONNECTIONS` at most a process (and event loop). `deadline`, in seconds, is how long is waited for
    a free connection, and again for all answers of one call; a connection that is late is closed. A call whose
    connection turns out to be broken is made once more on a new one. `mend` ends the sentence of a missing table.
    """

    def __init__(
        self,
        url: str,
        deadline: float,
        unavailable: Callable[..., ServiceUnavailable],
        name: str,
        mend: str,
    ) -> None:
        self._url = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)
        self._deadline = deadline
        self._unavailable = unavailable
        self._name = name
        self._mend = mend
        self._lock = threading.Lock()
        self._pool: tuple[int, ConnectionPool[_Bounded]] | None = None
        self._apools: dict[asyncio.AbstractEventLoop, tuple[int, AsyncConnectionPool[Any]]] = {}

    def run(self, statements: Sequence[Statement], *, again: bool = True) -> Result:
        """Several statements are one transaction. `again`: they may be repeated where the connection breaks on the
        way; else it is replaced only where that is seen before anything is sent.
        """
        texts = [(each.text.replace("?", "%s"), each.parameters) for each in statements]
        pool = self._threads_pool()
        for last in (False, True):
            try:
                with pool.connection() as connection:
                    if not again and not last and _has_said_something(connection.fileno()):
                        connection.close()
                        raise _Cut("the connection was cut")
                    connection.ends = monotonic() + self._deadline
                    if len(texts) == 1:
                        cursor = connection.execute(*texts[0])
                    else:
                        with connection.transaction():
                            for text, parameters in texts:
                                cursor = connection.execute(text, parameters)
                    return cursor.fetchall() if _has_rows(cursor) else [], cursor.rowcount
            except _Late as error:
                raise self._failure(error, timed_out=True) from error
            except psycopg.Error as error:
                if last or not (connection_lost(error) if again else isinstance(error, _Cut)):
                    raise self._failure(error) from error
                pool.check()
        raise AssertionError("unreachable")

    async def arun(self, statements: Sequence[Statement], *, again: bool = True) -> Result:
        """`run` without blocking the event loop."""
        texts = [(each.text.replace("?", "%s"), each.parameters) for each in statements]
        pool = await self._loops_pool()
        for last in (False, True):
            try:
                async with asyncio.timeout(2 * self._deadline), pool.connection() as connection:
                    if not again and not last and _has_said_something(connection.fileno()):
                        await connection.close()
                        raise _Cut("the connection was cut")
                    if len(texts) == 1:
                        cursor = await connection.execute(*texts[0])
                    else:
                        async with connection.transaction():
                            for text, parameters in texts:
                                cursor = await connection.execute(text, parameters)
                    return await cursor.fetchall() if _has_rows(cursor) else [], cursor.rowcount
            except TimeoutError as error:
                raise self._failure(error, timed_out=True) from error
            except psycopg.Error as error:
                if last or not (connection_lost(error) if again else isinstance(error, _Cut)):
                    raise self._failure(error) from error
                await pool.check()
        raise AssertionError("unreachable")

    def close(self) -> None:
        with self._lock:
            if self._pool is not None and self._pool[0] == os.getpid():
                self._pool[1].close()
            self._pool = None

    async def aclose(self) -> None:
        """This event loop's connections, and those of threads."""
        pid, pool = self._apools.pop(asyncio.get_running_loop(), (0, None))
        if pool is not None and pid == os.getpid():
            await pool.close()
        self.close()

    def _threads_pool(self) -> ConnectionPool[_Bounded]:
        with self._lock:
            if self._pool is None or self._pool[0] != os.getpid():
                pool = ConnectionPool(self._url, connection_class=_Bounded, open=True, **self._options)
                self._pool = (os.getpid(), pool)
            return self._pool[1]

    async def _loops_pool(self) -> AsyncConnectionPool[Any]:
        loop = asyncio.get_running_loop()
        pid, pool = self._apools.get(loop, (0, None))
        if pool is None or pid != os.getpid():
            for other in list(self._apools):
                if other.is_closed():
                    self._apools.pop(other, None)
            pool = AsyncConnectionPool(self._url, open=False, **self._options)
            self._apools[loop] = (os.getpid(), pool)
            await pool.open()
        return pool

    @property
    def _options(self) -> dict[str, Any]:
        connection = {
            "autocommit": True,
            "connect_timeout": max(2, math.ceil(self._deadline)),
            "tcp_user_timeout": int(self._deadline * 1000),
            "application_name": self._name,
        }
        return {
            "name": self._name,
            "min_size": 0,
            "max_size": MOST_CONNECTIONS,
            "timeout": self._deadline,
            "reconnect_timeout": 0,
            "kwargs": connection,
        }

    def _failure(self, error: BaseException, *, timed_out: bool = False) -> ServiceUnavailable:
        if isinstance(error, UndefinedTable):
            table = re.search(r'relation "([^"]+)"', str(error))
            name = table[1] if table is not None else "of that name"
            return self._unavailable(f"PostgreSQL has no table {name}; make it: {self._mend}", away=False)
        if isinstance(error, InvalidSchemaName):
            return self._unavailable(f"PostgreSQL: {_words(error)}; make it: CREATE SCHEMA", away=False)
        if timed_out or isinstance(error, PoolTimeout):
            return self._unavailable("PostgreSQL: no answer in time", timed_out=True)
        return self._unavailable(f"PostgreSQL: {_words(error)}", away=connection_lost(error))


class _Late(psycopg.OperationalError):
    """No answer within the deadline."""


class _Cut(psycopg.OperationalError):
    """Broken before anything was sent."""


class _Bounded(psycopg.Connection[Any]):
    """A connection that is closed where the server does not answer by `ends` (of the monotonic clock): one that is
    frozen still acknowledges packets, so that no limit of TCP's ends the wait.
    """

    ends: float | None = None

    def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
        if self.ends is None:  # being made; `connect_timeout` holds
            return super().wait(gen, *arguments, **options)
        try:
            return super().wait(_until(gen, self.ends), *arguments, **options)
        except _Late:
            self.close()
            raise


def _until(waits: Generator[Any, Any, Any], ends: float) -> Generator[Any, Any, Any]:
    """The same waits; psycopg's loop looks in every tenth of a second and sends what is ready, or nothing."""
    try:
        wanted = next(waits)
        while True:
            ready = yield wanted
            if not ready and monotonic() > ends:
                raise _Late("no answer in time")
            wanted = waits.send(ready)
    except StopIteration as end:
        return end.value


def _has_said_something(fileno: int) -> bool:
    """Whether a connection that nobody uses can be read: most likely to its end."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(fileno, select.POLLIN)
    return bool(poll.poll(0))


def _words(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _has_rows(cursor: Any) -> bool:
    """Whether a statement gave rows, none included; `description` would make an object for each column."""
    return cursor.rownumber is not None


def connection_lost(error: BaseException) -> bool:
    """Whether a call failed because its connection had gone, and not because no connection was to be had."""
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) and not isinstance(
        error, PoolTimeout
    )
