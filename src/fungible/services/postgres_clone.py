"""Copies of PostgreSQL databases for worlds: on our own server wherever that can hold them."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from fungible.app.problem import Exit, Problem
from fungible.services import binaries, place
from fungible.services.external import ExternalService, driver_of
from fungible.services.postgres import APP, PostgresServer
from fungible.services.postgres_database import OURS, PostgresDatabase, require_client
from fungible.services.spawn import Spawn
from fungible.services.store import Dump, Snapshot, Store


class PostgresClone(Store):
    """A database `fungible_<hex>` of our making on a server that somebody else ends; `stop` drops it."""

    kind = "postgres"

    def __init__(self, name: str, url: str, database: PostgresDatabase, server: PostgresServer | None) -> None:
        self.name = name
        self.database = database
        self.server = server
        self._url = url

    @property
    def url(self) -> str:
        return self._url

    async def start(self) -> None:
        """Nothing: it runs already."""

    async def stop(self) -> None:
        if self.server is None or self.server.pid is not None:
            await self.database.remove()

    async def snapshot(self) -> Snapshot:
        return await self.database.snapshot()

    async def restore(self, snapshot: Snapshot) -> None:
        await self.database.restore(snapshot)

    async def dump(self) -> Dump:
        return await self.database.dump()

    async def skew(self, offset: int) -> None:
        await self.database.skew(offset)


async def clone_postgres(
    service: PostgresServer | PostgresClone, folder: Path, *, spawn: Spawn | None = None
) -> Store:
    """A copy of what `service`, an embedded server or a clone, holds.

    On the same server where that is one of worlds (`durable` False), which takes milliseconds; else in a new
    server, because the app's own one is only read.
    """
    server = service.server if isinstance(service, PostgresClone) else service
    if server is None or not server.durable:
        name = OURS + secrets.token_hex(8)
        copy = await service.database.copy_to(name)
        url = server.url_of(name) if server is not None else _with_database(service.url, name)
        return PostgresClone(service.name, url, copy, server)
    return await _into_own_server(service.name, server.database, folder, spawn, driver=server.driver)


async def clone_external_postgres(service: ExternalService, folder: Path, *, spawn: Spawn | None = None) -> Store:
    """A copy of the database that a URL from the environment names; it is only read (pg_dump).

    In a server of our own where that is of the same version or newer and has the extensions; else in a new
    database `fungible_<hex>` on the source's server.
    """
    require_client(service.name)
    import psycopg

    source, words = database_of(service)
    try:
        async with source.connected() as connection:
            major = connection.info.server_version // 10_000
        extensions = await source.extensions()
    except psycopg.Error as error:
        said = " ".join(str(error).split())[:300]
        raise Problem(f"{service.name}: the database it names cannot be read: {said}", Exit.NOT_ALLOWED) from None
    own = binaries.postgres_folder()
    if own is not None and binaries.postgres_version(own)[:1] >= (major,) and extensions <= _extensions(own):
        return await _into_own_server(service.name, source, folder, spawn, driver=driver_of(service.url))
    name = OURS + secrets.token_hex(8)
    copy = PostgresDatabase(service.name, words, name, entrance=source.name)
    await source.make(name)
    clone = PostgresClone(service.name, _with_database(service.url, name), copy, None)
    try:
        await _transfer(service.name, source, copy, place.private_folder(folder), major)
    except BaseException:
        await clone.stop()
        raise
    return clone


def database_of(service: ExternalService) -> tuple[PostgresDatabase, dict[str, str]]:
    """The database that a URL names, and how to connect to its server, in libpq's words.

    Raises `Problem` for a URL that libpq does not understand.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        found = conninfo_to_dict(_libpq(service.url))
    except ProgrammingError as error:
        raise Problem(f"{service.name}: its URL is wrong: {' '.join(str(error).split())[:200]}") from None
    words = {key: str(value) for key, value in found.items() if value is not None}
    name = words.pop("dbname", None) or words.get("user", "postgres")
    return PostgresDatabase(service.name, words, name, entrance=name), words


async def _into_own_server(
    name: str,
    source: PostgresDatabase,
    folder: Path,
    spawn: Spawn | None,
    *,
    driver: str | None,
) -> PostgresServer:
    server = PostgresServer(name, folder, spawn=spawn, durable=False, driver=driver)
    await server.start()
    try:
        await server.database.add_extensions(await source.extensions())
        target = PostgresDatabase(name, server.entrance, APP)
        await _transfer(name, source, target, folder, 0)
    except BaseException:
        await server.stop()
        raise
    return server


async def _transfer(name: str, source: PostgresDatabase, target: PostgresDatabase, folder: Path, major: int) -> None:
    """Copy `source` into the empty database `target` by way of a file in `folder`."""
    programs = binaries.postgres_folder("pg_dump")
    if programs is None or binaries.postgres_version(programs, "pg_dump")[:1] < (major,):
        wanted = f"pg_dump of PostgreSQL {major}" if major else "pg_dump"
        raise Problem(f"{name}: copying its database needs {wanted}; install the system's package", Exit.NOT_ALLOWED)
    kept = folder / "transfer.dump"
    left_out = ("owner", "acl", "comments", "publications", "subscriptions", "security-labels", "tablespaces")
    plain = [f"--no-{what}" for what in left_out]
    try:
        await _run(name, source, [str(programs / "pg_dump"), "--format=custom", f"--file={kept}", *plain], folder)
        restore = [str(programs / "pg_restore"), f"--dbname={target.name}", *plain, str(kept)]
        await _run(name, target, restore, folder)
    finally:
        kept.unlink(missing_ok=True)


async def _run(name: str, database: PostgresDatabase, command: Sequence[str], folder: Path) -> None:
    # libpq reads the password from the environment: argv is everybody's to read.
    process = await asyncio.create_subprocess_exec(
        *command,
        env=_environment(database),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        first = next(iter(said.decode("utf-8", "replace").splitlines()), "no reason given")
        raise Problem(f"{name}: its database cannot be copied: {first[:300]}", Exit.NOT_ALLOWED)


def _environment(database: PostgresDatabase) -> dict[str, str]:
    """The words of a connection as libpq's environment variables."""
    from psycopg.pq import Conninfo

    variables = {
        option.keyword.decode(): option.envvar.decode() for option in Conninfo.get_defaults() if option.envvar
    }
    words = {**database.admin, "dbname": database.name}
    named = {variables[key]: str(value) for key, value in words.items() if key in variables}
    kept = {key: os.environ[key] for key in ("HOME", "PGPASSFILE", "PGSSLMODE", "PGSSLROOTCERT") if key in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", **kept, **named}


def _extensions(programs: Path) -> set[str]:
    """The extensions that a PostgreSQL of this machine can create."""
    share = binaries.first_line([str(programs / "pg_config"), "--sharedir"])
    folders = [Path(share)] if share else []
    version = ".".join(str(part) for part in binaries.postgres_version(programs)[:1])
    folders.append(Path("/usr/share/postgresql") / version)
    return {path.stem for folder in folders for path in (folder / "extension").glob("*.control")} | {"plpgsql"}


def _libpq(url: str) -> str:
    """A URL without the driver in its scheme, which only SQLAlchemy knows."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql{separator}{rest}" if separator and "postgres" in scheme else url


def _with_database(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))
