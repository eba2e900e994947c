"""Tokens in a SQLite file: for development, and for apps on one machine."""

from __future__ import annotations

import asyncio
from typing import Any

from fungible_kit.services.sqlite import Connections
from fungible_kit.tokens.errors import StoreUnavailable
from fungible_kit.tokens.sql import Table
from fungible_kit.tokens.store import Operation


class SqliteStore:
    """A table in the file of `sqlite:///relative` or `sqlite:////absolute`, made when first needed.

    On an event loop the work is done in a thread, because a write waits for the file's lock: at most `deadline`
    seconds.
    """

    def __init__(self, url: str, name: str, deadline: float) -> None:
        self.table = Table(name, "BLOB", one_step=False)
        self._connections = Connections(url, deadline, self.table.create, StoreUnavailable, "SQLite")

    def execute(self, operation: Operation) -> Any:
        statements = self.table.statements(operation)
        with self._connections.transaction(write=len(statements) > 1) as connection:
            for statement in statements:
                cursor = connection.execute(statement.text, statement.parameters)
            return self.table.result(operation, cursor.fetchall(), cursor.rowcount)

    async def aexecute(self, operation: Operation) -> Any:
        return await asyncio.to_thread(self.execute, operation)

    def close(self) -> None:
        self._connections.close()

    async def aclose(self) -> None:
        self.close()
