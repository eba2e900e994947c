"""Real servers for the tests of sessions, and what they were asked."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pymemcache
import valkey

from fungible.services.memcached import MemcachedServer
from fungible.services.postgres import PostgresServer
from fungible.services.server import EmbeddedServer
from fungible.services.valkey import ValkeyServer
from fungible_kit import Sessions


class RedisServer(ValkeyServer):
    """The system's Redis instead of Valkey; the settings are the same."""

    async def command(self, port: int) -> Sequence[str]:
        argv = await super().command(port)
        program = shutil.which("redis-server")
        assert program is not None, "install the system's package redis-server"
        return [program, *argv[1:]]


KINDS: dict[str, type[EmbeddedServer]] = {
    "valkey": ValkeyServer,
    "redis": RedisServer,
    "memcached": MemcachedServer,
    "postgres": PostgresServer,
}


@contextlib.contextmanager
def running(kind: str, folder: Path) -> Iterator[str]:
    """A server's URL while it runs; for `sqlite`, a file's."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/sessions.db"
        return
    server = KINDS[kind]("STORE_URL", folder / kind, durable=False)
    with asyncio.Runner() as runner:
        runner.run(server.start())
        try:
            Sessions(server.url, deadline="10s").create()
            yield server.url
        finally:
            runner.run(server.stop())


@contextlib.contextmanager
def asked(url: str) -> Iterator[list[str]]:
    """The commands that clients sent to a server meanwhile, in order; a client's greeting does not count."""
    found: list[str] = []
    if url.startswith("memcached"):
        host, port = url.partition("://")[2].split(":")
        client = pymemcache.Client((host, int(port)))
        before = client.stats()
        yield found
        after = client.stats()
        for counter, command in ((b"cmd_get", "get"), (b"cmd_set", "set"), (b"cmd_touch", "touch")):
            found += [command] * (after[counter] - before[counter])
        for hits in (b"delete_hits", b"delete_misses"):
            found += ["delete"] * (after[hits] - before[hits])
        client.close()
        return
    client = valkey.Valkey.from_url(url)
    marker = secrets.token_hex(8)
    with client.monitor() as monitor:
        yield found
        client.echo(marker)
        while True:
            said: Any = monitor.next_command()
            command = said["command"].split(" ", 1)[0].strip('"').upper()
            if marker in said["command"]:
                break
            if said["client_type"] != "lua" and command not in ("AUTH", "HELLO", "SELECT", "CLIENT"):
                found.append(command)
    client.close()
