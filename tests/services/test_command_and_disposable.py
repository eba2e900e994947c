"""Stores by the user's own commands, and stores of others that the user has given away."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import valkey

from fungible.app.problem import Problem
from fungible.services.attach import open_services
from fungible.services.command import CommandStore
from fungible.services.disposable import disposable
from fungible.services.external import ExternalService
from fungible.services.inventory import inventory
from fungible.services.memcached import MemcachedServer
from fungible.services.postgres import PostgresServer
from fungible.services.store import Store
from fungible.services.valkey import ValkeyServer


def command_store(tmp_path: Path, **changed: str) -> CommandStore:
    commands = {
        "snapshot": 'cp index "$FUNGIBLE_SNAPSHOT"',
        "restore": 'cp "$FUNGIBLE_SNAPSHOT" index',
        "dump": "cat index",
    } | changed
    environment = {"PATH": os.environ["PATH"], "SEARCH": "http://127.0.0.1:9200"}
    app_folder = tmp_path / "app"
    app_folder.mkdir(exist_ok=True)
    return CommandStore(
        "SEARCH",
        snapshot=commands["snapshot"],
        restore=commands["restore"],
        dump=commands["dump"],
        folder=tmp_path / "s",
        app_folder=app_folder,
        environment=environment,
        timeout=5,
    )


def test_the_users_commands_take_and_put_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = command_store(tmp_path)
        await store.start()
        (tmp_path / "app" / "index").write_text('{"table words": [{"word": "one"}]}')
        first = await store.snapshot()
        (tmp_path / "app" / "index").write_text("two\n")
        second = await store.snapshot()
        assert await store.dump() == {"dump SEARCH": [{"line": "two"}]}
        await store.restore(first)
        assert await store.dump() == {"table words": [{"word": "one"}]}
        await store.restore(second)
        assert (tmp_path / "app" / "index").read_text() == "two\n"
        await store.stop()
        assert store.url == "http://127.0.0.1:9200" and not (tmp_path / "s").exists()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "echo starting; echo no such index >&2; exit 3",
            "stores.SEARCH.snapshot: the command ended with 3 and said: no such index",
        ),
        ("exit 1", "said: nothing"),
        ("no-such-program", "not found"),
    ],
)
def test_a_command_that_fails_is_one_sentence(command: str, said: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        store = command_store(tmp_path, snapshot=command)
        await store.start()
        with pytest.raises(Problem) as refused:
            await store.snapshot()
        assert said in refused.value.message

    asyncio.run(scenario())


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = command_store(tmp_path, dump="sleep 600 & echo $! > pid; wait")
        store.timeout = 0.5
        await store.start()
        with pytest.raises(Problem, match=r"longer than 0\.5 s"):
            await store.dump()
        with contextlib.suppress(ProcessLookupError):  # it may have ended, and been reaped, already
            child = os.pidfd_open(int((tmp_path / "app" / "pid").read_text()))
            assert select.select([child], [], [], 20)[0]
            os.close(child)

    asyncio.run(scenario())


async def opened(kind: str, folder: Path) -> Store:
    (service,) = open_services({"THEIRS_URL": kind}, environment={}, folder=folder, durable=False)
    assert isinstance(service, Store)
    await service.start()
    return service


def test_of_a_given_valkey_only_the_named_database_is_written(tmp_path: Path) -> None:
    async def scenario() -> None:
        theirs = await opened("valkey", tmp_path)
        assert isinstance(theirs, ValkeyServer)
        url = theirs.url.removesuffix("/0") + "/2"
        mine, other = valkey.Valkey.from_url(url), valkey.Valkey.from_url(theirs.url)
        mine.set("a", "1")
        other.set("keep", "me")
        store = disposable(ExternalService("CACHE", url, "valkey"), tmp_path / "d")
        taken = await store.snapshot()
        mine.set("b", "2")
        other.set("keep", "changed")
        await store.restore(taken)
        assert list(await store.dump()) == ["key a"] and other.get("keep") == b"changed"
        assert store.url == url
        await store.stop()
        assert mine.get("a") == b"1"
        await theirs.stop()

    asyncio.run(scenario())


def test_of_a_given_sqlite_file_the_neighbours_are_not_written(tmp_path: Path) -> None:
    def insert(word: str) -> None:
        with closing(sqlite3.connect(tmp_path / "shop.db")) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY AUTOINCREMENT, w)")
            database.execute("INSERT INTO t (w) VALUES (?)", [word])

    async def scenario() -> None:
        insert("one")
        (tmp_path / "notes.txt").write_text("mine")
        service = ExternalService("DB", f"sqlite:///{tmp_path}/shop.db", "sqlite")
        store = disposable(service, tmp_path / "d")
        taken = await store.snapshot()
        await store.skew(10)
        insert("two")
        assert (await store.dump())["table t"][-1] == {"id": 12, "w": "two"}
        (tmp_path / "notes.txt").write_text("still mine")
        await store.restore(taken)
        assert await store.dump() == {"table t": [{"id": 1, "w": "one"}]}
        assert (tmp_path / "notes.txt").read_text() == "still mine"
        await store.stop()
        assert (tmp_path / "shop.db").exists() and store.attached == (tmp_path,)

    asyncio.run(scenario())


def test_a_given_folder_stays_and_its_snapshots_are_kept_elsewhere(tmp_path: Path) -> None:
    async def scenario() -> None:
        theirs = tmp_path / "theirs"
        theirs.mkdir()
        (theirs / "a").write_text("1")
        store = disposable(ExternalService("F", str(theirs), "folder"), tmp_path / "d")
        taken = await store.snapshot()
        (theirs / "a").write_text("2")
        await store.restore(taken)
        assert (theirs / "a").read_text() == "1"
        await store.stop()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "theirs"]

    asyncio.run(scenario())


def test_a_given_memcached_and_postgres_are_put_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        cache, database = await opened("memcached", tmp_path / "m"), await opened("postgres", tmp_path / "p")
        assert isinstance(cache, MemcachedServer) and isinstance(database, PostgresServer)
        with psycopg.connect(database.url) as connection:
            connection.execute("CREATE TABLE t (x int)")
        for theirs in (cache, database):
            store = disposable(ExternalService("X", theirs.url, theirs.kind), tmp_path / "d")
            before, taken = await theirs.dump(), await store.snapshot()
            if theirs is database:
                with psycopg.connect(theirs.url) as connection:
                    connection.execute("INSERT INTO t VALUES (1)")
            await store.restore(taken)
            assert await store.dump() == before
            await store.stop()
        async with database.database.connected() as again:
            names = await (await again.execute("SELECT datname FROM pg_database")).fetchall()
            assert {name for (name,) in names} == {"postgres", "template0", "template1", "app"}
        await cache.stop()
        await database.stop()

    asyncio.run(scenario())


def test_a_kind_that_cannot_be_put_back_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"verify\.stores\.DB"):
        disposable(ExternalService("DB", "mysql://localhost/x", "mysql"), tmp_path)


def test_the_inventory_names_every_kind_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from fungible.services import binaries

    found = {entry.kind: entry for entry in inventory()}
    assert list(found) == ["valkey", "sqlite", "folder", "postgres", "memcached"]
    assert found["valkey"].present and found["valkey"].version[0].isdigit() and not found["valkey"].how
    for finder in ("valkey_server", "memcached_server", "postgres_folder"):
        monkeypatch.setattr(binaries, finder, lambda *_, **__: None)
    missing = {entry.kind: entry for entry in inventory()}
    for kind in ("valkey", "postgres", "memcached"):
        assert not missing[kind].present and "install" in missing[kind].how
