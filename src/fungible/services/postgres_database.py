"""One PostgreSQL database as a store: put back by copying a template database on the same server."""

from __future__ import annotations

import contextlib
import importlib.util
import secrets
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fungible.app.problem import Exit, Problem
from fungible.services import postgres_dump
from fungible.services.store import Dump, Snapshot

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.sql import Composed

OURS = "fungible_"
"""How the name of every database begins that we make on a server which is not ours."""

HOW = f"{sys.executable} -m pip install 'psycopg[binary]'"
"""What an app has in its environment is of no use to us."""


def require_client(name: str) -> None:
    """Raise `Problem` where the client library is missing, an optional dependency."""
    if importlib.util.find_spec("psycopg") is None:
        raise Problem(f"{name}: postgres needs psycopg in Fungible's own environment: {HOW}", Exit.NOT_ALLOWED)


class PostgresDatabase:
    """`database` on the server that `admin` (libpq's words, without dbname) connects to.

    `service` is the config var that messages name; `owner` the role that copies are made for. `entrance` is
    the database we connect to while `database` itself is copied or dropped.
    """

    def __init__(
        self,
        service: str,
        admin: Mapping[str, str],
        database: str,
        *,
        owner: str | None = None,
        entrance: str = "postgres",
    ) -> None:
        self.service = service
        self.admin = admin
        self.name = database
        self.owner = owner
        self.entrance = entrance
        self._templates: list[str] = []

    async def answers(self) -> bool:
        """Whether the server accepts a connection to the database now."""
        import psycopg

        try:
            async with self.connected():
                return True
        except psycopg.OperationalError:
            return False

    async def prepare(self, password: str) -> None:
        """Make the owner's role, with `password`, and the database, where they are not there yet."""
        from psycopg import sql

        if self.owner is None:
            raise ValueError("a database without an owner is not ours to prepare")
        role, words = sql.Identifier(self.owner), sql.Literal(password)
        async with self.connected(self.entrance) as connection:
            known = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [self.owner])
            if await known.fetchone() is None:
                await connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(role, words))
            else:
                await connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, words))
            made = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self.name])
            if await made.fetchone() is None:
                await connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(self.name), role)
                )

    async def snapshot(self) -> Snapshot:
        """Copy it to a template database; whoever is connected is cut off."""
        template = OURS + secrets.token_hex(8)
        async with self._guarded() as connection:
            settings = await connection.execute(
                "SELECT unnest(setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase "
                "WHERE d.datname = %s AND s.setrole = 0",
                [self.name],
            )
            kept = tuple(str(row[0]) for row in await settings.fetchall())
            await self._cut(connection)
            self._templates.append(template)
            await connection.execute(self._copy(self.name, template))
        return Snapshot(self.service, (template, kept))

    async def restore(self, snapshot: Snapshot) -> None:
        """Replace it by a copy of the template; whoever is connected is cut off."""
        from psycopg import sql

        template, settings = snapshot.content if isinstance(snapshot.content, tuple) else ("", ())
        if snapshot.store != self.service or template not in self._templates:
            raise Problem(f"{self.service}: this snapshot is of another store, or was deleted", Exit.NOT_ALLOWED)
        async with self._guarded() as connection:
            await self._drop(connection, self.name)
            await connection.execute(self._copy(template, self.name))
            for setting in settings:  # they belong to the name, and CREATE DATABASE does not copy them
                key, _, value = setting.partition("=")
                await connection.execute("SELECT set_config(%s, %s, false)", [key, value])
                await connection.execute(
                    sql.SQL("ALTER DATABASE {} SET {} FROM CURRENT").format(
                        sql.Identifier(self.name), sql.Identifier(*key.split("."))
                    )
                )

    async def dump(self) -> Dump:
        """See `postgres_dump.dump`."""
        async with self._guarded(self.name) as connection:
            return await postgres_dump.dump(connection)

    async def skew(self, offset: int) -> None:
        """See `postgres_dump.skew`."""
        async with self._guarded(self.name) as connection:
            await postgres_dump.skew(connection, offset)

    async def copy_to(self, name: str) -> PostgresDatabase:
        """A copy of it on the same server, as a database of its own; whoever is connected here is cut off."""
        async with self._guarded() as connection:
            await self._cut(connection)
            await connection.execute(self._copy(self.name, name))
        return PostgresDatabase(self.service, self.admin, name, owner=self.owner, entrance=self.entrance)

    async def forget(self) -> None:
        """Drop the snapshots."""
        async with self._guarded() as connection:
            for name in self._templates:
                await self._drop(connection, name)
        self._templates.clear()

    async def remove(self) -> None:
        """Drop the snapshots and the database, whose name must be of our making."""
        await self.forget()
        if not self.name.startswith(OURS):
            raise ValueError(f"{self.name} does not begin with {OURS}")
        async with self._guarded() as connection:
            await self._drop(connection, self.name)

    async def make(self, name: str) -> None:
        """Make an empty database beside it, whose name must be of our making."""
        from psycopg import sql

        if not name.startswith(OURS):
            raise ValueError(f"{name} does not begin with {OURS}")
        async with self._guarded() as connection:
            await connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))

    async def extensions(self) -> set[str]:
        """The names of the extensions that the database has."""
        async with self._guarded(self.name) as connection:
            rows = await connection.execute("SELECT extname FROM pg_extension")
            return {str(row[0]) for row in await rows.fetchall()}

    async def add_extensions(self, names: Iterable[str]) -> None:
        """Create extensions as the superuser; what restores into the database afterwards need not be one."""
        from psycopg import sql

        async with self._guarded(self.name) as connection:
            for name in sorted(names):
                await connection.execute(
                    sql.SQL("CREATE EXTENSION IF NOT EXISTS {} CASCADE").format(sql.Identifier(name))
                )

    @contextlib.asynccontextmanager
    async def connected(self, database: str | None = None) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection that commits each statement; raises psycopg's errors."""
        import psycopg

        words: dict[str, Any] = dict(self.admin) | {"dbname": database or self.name, "connect_timeout": 5}
        connection = await psycopg.AsyncConnection.connect(**words, autocommit=True)
        try:
            yield connection
        finally:
            await connection.close()

    @contextlib.asynccontextmanager
    async def _guarded(self, database: str | None = None) -> AsyncIterator[AsyncConnection[Any]]:
        import psycopg

        try:
            async with self.connected(database or self.entrance) as connection:
                yield connection
        except psycopg.Error as error:
            said = " ".join(str(error).split())[:300]
            raise Problem(f"{self.service}: PostgreSQL refuses: {said}", Exit.NOT_ALLOWED) from None

    def _copy(self, source: str, target: str) -> Composed:
        from psycopg import sql

        made = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(target), sql.Identifier(source))
        return made + sql.SQL(" OWNER {}").format(sql.Identifier(self.owner)) if self.owner else made + sql.SQL("")

    async def _cut(self, connection: AsyncConnection[Any]) -> None:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [self.name]
        )

    async def _drop(self, connection: AsyncConnection[Any], name: str) -> None:
        from psycopg import sql

        await connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
