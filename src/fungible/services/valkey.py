"""The kind `valkey`: an embedded Valkey (or Redis) server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from valkey.exceptions import ValkeyError

from fungible.app.problem import Exit, Problem
from fungible.services import binaries, place, valkey_content
from fungible.services.server import EmbeddedServer
from fungible.services.spawn import Spawn
from fungible.services.store import Dump, Snapshot


class ValkeyServer(EmbeddedServer):
    """A Valkey server with its data in `folder`.

    It listens on loopback TCP with a random password (the URL, `redis://:...@127.0.0.1:PORT/0`, which every
    client knows) and on a Unix socket of mode 0600. Unless `durable` is False it appends every write to a file,
    and saves at `stop`, at the supervisor's death, and otherwise every five minutes.
    """

    kind = "valkey"

    _begins_with_appended = False

    @property
    def url(self) -> str:
        address = f"127.0.0.1:{self.port}"  # first: before `start` there is neither port nor password
        return f"redis://:{self._password}@{address}/0"

    async def command(self, port: int) -> Sequence[str]:
        program = binaries.require("valkey", binaries.valkey_server(), self.name)
        sockets = self.sockets
        # With `appendonly` it reads nothing but what was appended: what an older release saved would be forgotten.
        self._begins_with_appended = self.durable and (self._appended.exists() or not self._saved.exists())
        if self.durable:
            place.private_folder(self._appended.parent)
        # `save` decides as well whether SIGTERM, the signal of the supervisor's death, saves.
        settings: dict[str, object] = {
            "bind": "127.0.0.1",
            "port": port,
            "unixsocket": _quoted(sockets / "valkey.sock"),
            "unixsocketperm": 600,
            "requirepass": self._password,
            "dir": _quoted(self.folder),
            "dbfilename": self._saved.name,
            "save": "300 1" if self.durable else '""',
            "appendonly": "yes" if self._begins_with_appended else "no",
            "daemonize": "no",
            "stop-writes-on-bgsave-error": "no",
        }
        path = self.folder / "valkey.conf"
        place.write_private(path, "".join(f"{key} {value}\n" for key, value in settings.items()))
        return [str(program), str(path)]

    async def answers(self) -> bool:
        try:
            async with valkey_content.connected(self._socket_url) as wire:
                return bool(await wire.ask("PING"))
        except (ValkeyError, OSError):
            return False

    async def opened(self) -> None:
        if self.durable and not self._begins_with_appended:
            with contextlib.suppress(ValkeyError, OSError):  # then it saves as before, and is asked the next time
                async with valkey_content.connected(self._socket_url) as wire:
                    await wire.ask("CONFIG", "SET", "appendonly", "yes")

    def brought_back(self) -> str:
        if self._begins_with_appended:
            return "with its data (of what was written last, two seconds at most are missing)"
        try:
            saved = time.strftime("%H:%M:%S", time.localtime(self._saved.stat().st_mtime))
        except OSError:
            return "empty: it had saved nothing yet"
        return f"with what it had saved at {saved}"

    async def ask_to_stop(self) -> None:
        try:
            async with valkey_content.connected(self._socket_url) as wire:
                await wire.ask("SHUTDOWN", "SAVE" if self.durable else "NOSAVE")
        except (ValkeyError, OSError):
            await super().ask_to_stop()  # it may have gone already: then the signal finds nobody

    async def snapshot(self) -> Snapshot:
        async with valkey_content.connected(self._socket_url) as wire:
            return Snapshot(self.name, await valkey_content.take(wire))

    async def restore(self, snapshot: Snapshot) -> None:
        if snapshot.store != self.name or not isinstance(snapshot.content, valkey_content.Content):
            raise Problem(f"{self.name}: this snapshot is of another store", Exit.NOT_ALLOWED)
        async with valkey_content.connected(self._socket_url) as wire:
            await valkey_content.put_back(wire, snapshot.content)

    async def dump(self) -> Dump:
        async with valkey_content.connected(self._socket_url) as wire:
            return await valkey_content.dump(wire)

    @classmethod
    async def clone_of(cls, name: str, url: str, folder: Path, *, spawn: Spawn | None = None) -> ValkeyServer:
        """A started server in `folder` with a copy of what the server at `url` holds; that one is only read.

        Raises `Problem` where the source does not answer or its version writes a newer format than ours reads.
        """
        try:
            async with valkey_content.connected(url) as source:
                content = await valkey_content.take(source)
        except (ValkeyError, OSError, ValueError) as error:
            raise Problem(f"{name}: the store it names cannot be read: {error}", Exit.NOT_ALLOWED) from None
        clone = cls(name, folder, spawn=spawn, durable=False)
        await clone.start()
        try:
            async with valkey_content.connected(clone._socket_url) as wire:
                await valkey_content.put_back(wire, content)
        except ValkeyError as error:
            await clone.stop()
            raise Problem(
                f"{name}: its content cannot be copied into a server of our own: {error}", Exit.NOT_ALLOWED
            ) from None
        return clone

    @property
    def _saved(self) -> Path:
        return self.folder / "dump.rdb"

    @property
    def _appended(self) -> Path:
        """Written when what is appended is complete (from Redis 7 on)."""
        return self.folder / "appendonlydir" / "appendonly.aof.manifest"

    @property
    def _password(self) -> str:
        return place.secret(self.folder / "password")

    @property
    def _socket_url(self) -> str:
        return f"unix://:{self._password}@{quote(str(self.sockets / 'valkey.sock'))}"


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
