"""The kind `memcached`: an embedded memcached server."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Sequence
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.services import binaries, memcached_content
from fungible.services.server import EmbeddedServer, unprivileged
from fungible.services.spawn import Spawn
from fungible.services.store import Dump, Snapshot


class MemcachedServer(EmbeddedServer):
    """A memcached server on a loopback port; what it holds ends with it, as it does anywhere.

    The URL is `memcached://127.0.0.1:PORT` for a config var named `..._URL` or `..._URI`, else `HOST:PORT`,
    which is what clients and frameworks take as a server's name. The protocol that clients share knows no
    password: any process of this machine can reach it.
    """

    kind = "memcached"
    stop_signal = signal.SIGKILL  # it has nothing to keep, and takes a second over an orderly end

    _mark = 0

    @property
    def url(self) -> str:
        address = f"127.0.0.1:{self.port}"
        return f"memcached://{address}" if self.name.upper().endswith(("_URL", "_URI")) else address

    async def command(self, port: int) -> Sequence[str]:
        program = binaries.require("memcached", binaries.memcached_server(), self.name)
        # -U 0: no UDP. -b: the length of the queue of connections, which also tells our server from another.
        self._mark = secrets.randbelow(40_000) + 1024
        options = ["-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "64", "-t", "2", "-b", str(self._mark)]
        return [str(program), *options]

    def user(self) -> tuple[int, int] | None:
        """It refuses to run as root, and its own -u would clear the request for the death signal."""
        return unprivileged("nobody")

    def brought_back(self) -> str:
        return "empty: memcached keeps nothing over a restart"

    async def answers(self) -> bool:
        try:
            async with memcached_content.connected("127.0.0.1", self.port) as wire:
                lines = [await wire.ask(b"stats settings")]
                while lines[-1].startswith(b"STAT "):
                    lines.append(await wire.line())
                return b"STAT tcp_backlog %d" % self._mark in lines
        except (TimeoutError, OSError, EOFError):
            return False

    async def snapshot(self) -> Snapshot:
        async with memcached_content.connected("127.0.0.1", self.port) as wire:
            return Snapshot(self.name, tuple(await memcached_content.take(wire)))

    async def restore(self, snapshot: Snapshot) -> None:
        if snapshot.store != self.name or not isinstance(snapshot.content, tuple):
            raise Problem(f"{self.name}: this snapshot is of another store", Exit.NOT_ALLOWED)
        async with memcached_content.connected("127.0.0.1", self.port) as wire:
            await memcached_content.put_back(wire, snapshot.content)

    async def dump(self) -> Dump:
        async with memcached_content.connected("127.0.0.1", self.port) as wire:
            return await memcached_content.dump(wire)

    @classmethod
    async def clone_of(cls, name: str, url: str, folder: Path, *, spawn: Spawn | None = None) -> MemcachedServer:
        """A started server with a copy of what the server at `url` holds; that one is only read.

        Raises `Problem` where the source is more than one server, or does not answer.
        """
        try:
            async with memcached_content.connected(*memcached_content.address_of(name, url)) as wire:
                items = await memcached_content.take(wire)
        except (TimeoutError, OSError, EOFError, ValueError) as error:
            raise Problem(f"{name}: the store it names cannot be read: {error}", Exit.NOT_ALLOWED) from None
        clone = cls(name, folder, spawn=spawn, durable=False)
        await clone.start()
        async with memcached_content.connected("127.0.0.1", clone.port) as wire:
            await memcached_content.put_back(wire, items)
        return clone
