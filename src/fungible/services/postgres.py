"""The kind `postgres`: an embedded PostgreSQL server from the system's programs."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.services import binaries, place
from fungible.services.postgres_database import PostgresDatabase, require_client
from fungible.services.server import EmbeddedServer, last_words, unprivileged
from fungible.services.spawn import Spawn
from fungible.services.store import Dump, Snapshot

ADMIN = "fungible"
APP = "app"
_PLAIN = {"sslmode": "disable", "gssencmode": "disable", "options": ""}


class PostgresServer(EmbeddedServer):
    """A PostgreSQL cluster in `folder/data`, with a database `app` owned by a role `app`.

    Apps connect over loopback TCP with a random password (the URL); only we connect over the Unix socket, as
    the superuser `fungible`, without one: its folder has mode 0700. The role `app` may make databases, but
    is no superuser, because a superuser's COPY runs programs outside every sandbox. Where `durable` is
    False, nothing is forced to disk.
    """

    kind = "postgres"
    # A fast shutdown: the plain SIGTERM waits until the last client has gone (postgres(1)).
    stop_signal = signal.SIGINT

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        spawn: Spawn | None = None,
        durable: bool = True,
        driver: str | None = None,
    ) -> None:
        super().__init__(name, folder, spawn=spawn, durable=durable)
        self.driver = driver
        self._descriptors: tuple[int, ...] = ()
        self._database: PostgresDatabase | None = None

    @property
    def url(self) -> str:
        return self.url_of(APP)

    def url_of(self, database: str) -> str:
        """The URL at which an app reaches `database` on this server."""
        scheme = f"postgresql{'+' + self.driver if self.driver else ''}"
        address = f"127.0.0.1:{self.port}"  # first: before `start` there is neither port nor password
        return f"{scheme}://{APP}:{self._password}@{address}/{database}"

    @property
    def sockets(self) -> Path:
        """A folder inside the usual one: it belongs to the server's user."""
        return super().sockets / "pg"

    @property
    def admin(self) -> Mapping[str, str]:
        """How we connect to it as superuser, in libpq's words, without a database.

        Every word that the user's own PG variables could set otherwise is said.
        """
        return {"host": str(self.sockets), "port": str(self.port), "user": ADMIN, **_PLAIN}

    @property
    def entrance(self) -> Mapping[str, str]:
        """How the role of the app connects, in libpq's words, without a database."""
        words = {"host": "127.0.0.1", "port": str(self.port), "user": APP, "password": self._password}
        return words | _PLAIN

    @property
    def database(self) -> PostgresDatabase:
        """The app's database, as a store; raises RuntimeError before `start`."""
        if self._database is None:
            raise RuntimeError(f"{self.name} has no database before it is started")
        return self._database

    def user(self) -> tuple[int, int] | None:
        """PostgreSQL refuses to run as root: then as its own user, or as nobody."""
        return unprivileged("postgres", "nobody")

    def descriptors(self) -> tuple[int, ...]:
        return self._descriptors

    async def command(self, port: int) -> Sequence[str]:
        programs = self._programs()
        self._open_folders()
        data, sockets = (f"/proc/self/fd/{descriptor}" for descriptor in self._descriptors)
        if not self._made.exists():
            await self._make_cluster(programs, data)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": sockets,
            "unix_socket_permissions": "0700",
            "log_min_messages": "log",
            "log_min_error_statement": "panic",  # a statement may carry a secret
            "log_checkpoints": "off",
            "logging_collector": "off",
            "timezone": "UTC",
            "max_connections": "200",
            "shared_buffers": "64MB",
        }
        if not self.durable:
            # autovacuum off: where it moves rows, the order of a dump would depend on the clock.
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
            settings |= {"autovacuum": "off", "max_wal_size": "4GB", "wal_level": "minimal", "max_wal_senders": "0"}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return [str(programs / "postgres"), "-D", data, *options]

    async def answers(self) -> bool:
        return await PostgresDatabase(self.name, self.admin, "postgres").answers()

    async def opened(self) -> None:
        import psycopg

        self._database = PostgresDatabase(self.name, self.admin, APP, owner=APP)
        try:
            await self._database.prepare(self._password)
        except psycopg.Error as error:
            said = " ".join(str(error).split())
            raise Problem(f"{self.name}: its database could not be prepared: {said}", Exit.NOT_ALLOWED) from None

    def brought_back(self) -> str:
        return "with all that was committed"

    async def stop(self) -> None:
        await super().stop()
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = ()
        self._database = None

    async def snapshot(self) -> Snapshot:
        return await self.database.snapshot()

    async def restore(self, snapshot: Snapshot) -> None:
        await self.database.restore(snapshot)

    async def dump(self) -> Dump:
        return await self.database.dump()

    async def skew(self, offset: int) -> None:
        await self.database.skew(offset)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _password(self) -> str:
        return place.secret(self.folder / "password")

    @property
    def _made(self) -> Path:
        """Written when the cluster is complete: initdb may be killed half-way."""
        return self.folder / "complete"

    def _programs(self) -> Path:
        require_client(self.name)
        newest = binaries.require("postgres", binaries.postgres_folder(), self.name)
        if not self._made.exists():
            return newest
        try:
            major = int((self._data / "PG_VERSION").read_text())
        except (OSError, ValueError):
            raise Problem(
                f"{self.name}: its data is damaged; move {self.folder} away to begin afresh", Exit.NOT_ALLOWED
            ) from None
        fitting = binaries.postgres_folder(major=major)
        if fitting is None:
            raise Problem(
                f"{self.name}: its data in {self.folder} was made by PostgreSQL {major}, which this machine has "
                f"not; install it, or move the folder away to begin afresh",
                Exit.NOT_ALLOWED,
            )
        return fitting

    async def _make_cluster(self, programs: Path, data: str) -> None:
        await asyncio.to_thread(_empty, self._data)
        # C.UTF-8 sorts alike on every machine. The socket needs no password, TCP always does.
        options = ["--encoding=UTF8", "--locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256"]
        options += ["--no-instructions"] if self.durable else ["--no-instructions", "--no-sync"]
        initdb = await self.spawn([str(programs / "initdb"), "-D", data, "-U", ADMIN, *options])
        if await initdb.wait():
            raise Problem(
                f"{self.name}: PostgreSQL could not make its data folder: {last_words(self.log)}", Exit.NOT_ALLOWED
            )
        place.write_private(self._made, "")

    def _open_folders(self) -> None:
        """Open the data and socket folders, for the server to reach them by /proc/self/fd.

        Under another user it may not pass through the folders above them, which are ours alone.
        """
        if self._descriptors:
            return
        user = self.user()
        for path in (self._data, self.sockets):
            path.mkdir(mode=0o700, exist_ok=True)
            if user is not None:
                os.chown(path, *user)
        self._descriptors = tuple(os.open(path, os.O_PATH | os.O_DIRECTORY) for path in (self._data, self.sockets))


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
