"""Stores of others that the user has given away (`--disposable NAME`): written to directly, unlike all else."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from valkey.exceptions import ValkeyError

from fungible.app.problem import Exit, Problem
from fungible.services import memcached_content, place, sqlite_file, valkey_content
from fungible.services.external import ExternalService
from fungible.services.folder import FolderStore
from fungible.services.postgres_clone import database_of
from fungible.services.postgres_database import require_client
from fungible.services.store import Dump, Mount, Snapshot, Store


def disposable(service: ExternalService, folder: Path) -> Store:
    """The store that `service` names, to be written and put back; for the user's explicit word alone.

    Snapshots are kept in `folder`. Of a Valkey server only the database in the URL is touched, of a SQLite
    URL only the file; a PostgreSQL database is dropped and made again from a copy on its server, which its
    role must be allowed to do. Raises `Problem` for a kind that is not known.
    """
    own = place.private_folder(folder / service.name)
    path = service.path
    if service.kind == "folder" and path is not None:
        return FolderStore(service.name, path, snapshots=own / "snapshots")
    if service.kind == "sqlite" and path is not None:
        return DisposableFile(service, path, own)
    if service.kind == "valkey":
        return DisposableValkey(service)
    if service.kind == "postgres":
        return DisposablePostgres(service)
    if service.kind == "memcached":
        return DisposableMemcached(service)
    raise Problem(
        f"{service.name}: a store of kind {service.kind} cannot be put back by us; give it commands in "
        f"[tool.fungible.verify.stores.{service.name}]",
        Exit.NOT_ALLOWED,
    )


class _Disposable(Store):
    """What the kinds below share: a URL and a life that are not ours."""

    def __init__(self, service: ExternalService) -> None:
        self.name = service.name
        self.kind = service.kind
        self._service = service

    @property
    def url(self) -> str:
        return self._service.url

    @property
    def mounts(self) -> tuple[Mount, ...]:
        return self._service.mounts

    async def start(self) -> None:
        """Nothing: it runs already."""

    async def stop(self) -> None:
        """Nothing: its end is not ours."""

    def _refuse(self) -> Problem:
        return Problem(f"{self.name}: this snapshot is of another store, or was deleted", Exit.NOT_ALLOWED)


class DisposableValkey(_Disposable):
    """One database of a Valkey or Redis server."""

    async def snapshot(self) -> Snapshot:
        async with self._connected() as wire:
            return Snapshot(self.name, await valkey_content.take(wire, whole=False))

    async def restore(self, snapshot: Snapshot) -> None:
        if snapshot.store != self.name or not isinstance(snapshot.content, valkey_content.Content):
            raise self._refuse()
        async with self._connected() as wire:
            await valkey_content.put_back(wire, snapshot.content, whole=False)

    async def dump(self) -> Dump:
        async with self._connected() as wire:
            return await valkey_content.dump(wire, whole=False)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[valkey_content.Wire]:
        try:
            async with valkey_content.connected(self.url) as wire:
                yield wire
        except (ValkeyError, OSError) as error:
            raise Problem(f"{self.name}: the store it names refuses: {error}", Exit.NOT_ALLOWED) from None


class DisposableMemcached(_Disposable):
    """A whole memcached server."""

    async def snapshot(self) -> Snapshot:
        async with self._connected() as wire:
            return Snapshot(self.name, tuple(await memcached_content.take(wire)))

    async def restore(self, snapshot: Snapshot) -> None:
        if snapshot.store != self.name or not isinstance(snapshot.content, tuple):
            raise self._refuse()
        async with self._connected() as wire:
            await memcached_content.put_back(wire, snapshot.content)

    async def dump(self) -> Dump:
        async with self._connected() as wire:
            return await memcached_content.dump(wire)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[memcached_content.Wire]:
        try:
            async with memcached_content.connected(*memcached_content.address_of(self.name, self.url)) as wire:
                yield wire
        except (TimeoutError, OSError, EOFError, ValueError) as error:
            raise Problem(f"{self.name}: the store it names refuses: {error}", Exit.NOT_ALLOWED) from None


class DisposablePostgres(_Disposable):
    """One database of a PostgreSQL server; its role needs CREATEDB and must own the database."""

    def __init__(self, service: ExternalService) -> None:
        super().__init__(service)
        require_client(service.name)
        self._database = database_of(service)[0]
        # While the database is dropped we have to be connected to another.
        self._database.entrance = "postgres" if self._database.name != "postgres" else "template1"

    async def stop(self) -> None:
        await self._database.forget()

    async def snapshot(self) -> Snapshot:
        return await self._database.snapshot()

    async def restore(self, snapshot: Snapshot) -> None:
        await self._database.restore(snapshot)

    async def dump(self) -> Dump:
        return await self._database.dump()

    async def skew(self, offset: int) -> None:
        await self._database.skew(offset)


class DisposableFile(_Disposable):
    """One SQLite file; what lies beside it is not touched, its own log and journal excepted."""

    def __init__(self, service: ExternalService, file: Path, folder: Path) -> None:
        super().__init__(service)
        self._file = file.resolve()
        self._folder = folder

    async def stop(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def snapshot(self) -> Snapshot:
        kept = self._folder / secrets.token_hex(6)
        kept.mkdir(mode=0o700)
        await asyncio.to_thread(sqlite_file.copy_bytes, self._file, kept / "db")
        return Snapshot(self.name, kept)

    async def restore(self, snapshot: Snapshot) -> None:
        kept = snapshot.content
        if snapshot.store != self.name or not isinstance(kept, Path) or not kept.is_dir():
            raise self._refuse()
        await asyncio.to_thread(sqlite_file.put_bytes, kept / "db", self._file)

    async def dump(self) -> Dump:
        if not sqlite_file.is_database(self._file):
            return {}
        rows = await asyncio.to_thread(sqlite_file.tables, self._file)
        return {f"table {name}": found for name, found in rows.items()}

    async def skew(self, offset: int) -> None:
        if sqlite_file.is_database(self._file):
            await asyncio.to_thread(sqlite_file.skew, self._file, offset)
