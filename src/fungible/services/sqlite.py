"""The kind `sqlite`: a file in an attached folder of its own, because -wal and -shm belong beside it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.services import place, sqlite_file, tree
from fungible.services.external import ExternalService, driver_of
from fungible.services.folder import FolderStore
from fungible.services.folder_dump import dump_folder
from fungible.services.store import Dump

FILE = "db.sqlite3"


class SqliteStore(FolderStore):
    """A SQLite file `db.sqlite3` in the folder `source`.

    The URL has four slashes (`sqlite:////folder/db.sqlite3`): an absolute path in the form that SQLAlchemy
    and dj-database-url share. `driver` is added to its scheme (`sqlite+aiosqlite`).
    """

    kind = "sqlite"

    def __init__(
        self,
        name: str,
        source: Path,
        *,
        target: Path | None = None,
        driver: str | None = None,
        durable: bool = True,
    ) -> None:
        super().__init__(name, source, target=target, durable=durable)
        self.driver = driver

    @property
    def url(self) -> str:
        return f"sqlite{'+' + self.driver if self.driver else ''}:///{self.target / FILE}"

    async def start(self) -> None:
        await super().start()
        file = self.source / FILE
        if file.exists() and file.stat().st_size and not sqlite_file.is_database(file):
            raise Problem(
                f"{self.name}: {file} is no SQLite database any more; move it away to begin afresh",
                Exit.NOT_ALLOWED,
            )

    async def dump(self) -> Dump:
        return await asyncio.to_thread(dump_folder, self.source, FILE)

    async def skew(self, offset: int) -> None:
        file = self.source / FILE
        if sqlite_file.is_database(file):
            await asyncio.to_thread(sqlite_file.skew, file, offset)

    def _beside(self, folder: Path, target: Path | None) -> FolderStore:
        return SqliteStore(self.name, folder, target=target, driver=self.driver, durable=False)

    @classmethod
    async def clone_of_file(cls, service: ExternalService, file: Path, folder: Path, target: Path) -> SqliteStore:
        """A copy in `folder` of a database that is not ours, seen at `target`.

        The file and its log are read as bytes: opening it, even to read, may write beside it. Raises
        `Problem` where it is no database or is being written all the time.
        """
        clone = cls(service.name, folder, target=target, driver=driver_of(service.url), durable=False)
        await asyncio.to_thread(tree.remove, folder)
        place.private_folder(folder)
        await asyncio.to_thread(sqlite_file.copy_bytes, file.resolve(), folder / FILE)
        return clone
