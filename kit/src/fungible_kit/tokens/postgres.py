"""Tokens in a PostgreSQL table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fungible_kit.services.postgres import Connections
from fungible_kit.services.sql import Statement
from fungible_kit.tokens.errors import StoreUnavailable
from fungible_kit.tokens.sql import Table
from fungible_kit.tokens.store import Create, Operation

_LOCK = 7311583041  # any number of ours: two that create a table at once wait for each other


class PostgresStore:
    """A table in the database of `url`, which `Tokens.create` makes. `deadline` is in seconds."""

    def __init__(self, url: str, name: str, deadline: float, schema: str | None = None) -> None:
        self.table = Table(name, "BYTEA", one_step=True, schema=schema)
        self._connections = Connections(
            url, deadline, StoreUnavailable, "fungible-tokens", "python -m fungible_kit.tokens create URL"
        )

    def execute(self, operation: Operation) -> Any:
        return self.table.result(operation, *self._connections.run(self._statements(operation)))

    async def aexecute(self, operation: Operation) -> Any:
        return self.table.result(operation, *await self._connections.arun(self._statements(operation)))

    def close(self) -> None:
        self._connections.close()

    async def aclose(self) -> None:
        await self._connections.aclose()

    def _statements(self, operation: Operation) -> Sequence[Statement]:
        found = self.table.statements(operation)
        if isinstance(operation, Create):
            return (Statement("SELECT pg_advisory_xact_lock(?)", (_LOCK,)), *found)
        return found
