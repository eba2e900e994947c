"""Every kind as a store: taken, put back, read out, copied for worlds; sources are never written."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import valkey

from fungible.app.problem import Problem
from fungible.services.attach import clone_for_world, open_services
from fungible.services.external import ExternalService
from fungible.services.folder import FolderStore
from fungible.services.memcached import MemcachedServer
from fungible.services.postgres import PostgresServer
from fungible.services.store import Mount, Store

KINDS = ("valkey", "sqlite", "folder", "postgres", "memcached")


@asynccontextmanager
async def running(kind: str, folder: Path, durable: bool = False) -> AsyncIterator[Store]:
    (service,) = open_services({"STORE_URL": kind}, environment={}, folder=folder, durable=durable)
    assert isinstance(service, Store)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


def real(store: Store) -> Path:
    """The folder that a process in a sandbox would see at the store's path."""
    (mount,) = store.mounts
    return mount.source


def write(store: Store, word: str) -> None:
    """Make the one thing that the store holds be `word`, and add another thing named after it."""
    if store.kind == "valkey":
        client = valkey.Valkey.from_url(store.url)
        client.set("word", word)
        client.rpush("words", word)
    elif store.kind == "memcached":
        asyncio.run(memcached(store.url, [b"set word 5 0 %d\r\n%b" % (len(word), word.encode())]))
    elif store.kind == "folder":
        (real(store) / "word.txt").write_text(word)
        (real(store) / "words").mkdir(exist_ok=True)
        (real(store) / "words" / word).touch()
    elif store.kind == "sqlite":
        with closing(sqlite3.connect(real(store) / "db.sqlite3")) as database, database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("CREATE TABLE IF NOT EXISTS words (id INTEGER PRIMARY KEY AUTOINCREMENT, word TEXT)")
            database.execute("INSERT INTO words (word) VALUES (?)", [word])
    else:
        with psycopg.connect(store.url) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS words (id serial PRIMARY KEY, word text)")
            connection.execute("INSERT INTO words (word) VALUES (%s)", [word])


async def memcached(address: str, commands: list[bytes]) -> list[bytes]:
    host, port = address.rpartition("://")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answers = []
    for command in commands:
        writer.write(command + b"\r\n")
        answers.append((await reader.readline()).strip())
    writer.close()
    await writer.wait_closed()
    return answers


@pytest.mark.parametrize("kind", KINDS)
def test_restore_leaves_the_store_as_it_was_however_often(kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(kind, tmp_path) as store:
            empty = await store.snapshot()
            await asyncio.to_thread(write, store, "one")
            before, taken = await store.dump(), await store.snapshot()
            assert before and json.loads(json.dumps(before)) == before
            for word in ("two", "six"):
                await asyncio.to_thread(write, store, word)
                assert await store.dump() != before
                await store.restore(taken)
                assert await store.dump() == before
            await store.restore(empty)
            assert await store.dump() == {}
            await store.restore(taken)
            assert await store.dump() == before

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", KINDS)
def test_two_worlds_with_the_same_history_have_the_same_dump(kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(kind, tmp_path) as store:
            taken = await store.snapshot()
            dumps = []
            for _ in range(2):
                await store.restore(taken)
                for word in ("b", "a"):
                    await asyncio.to_thread(write, store, word)
                dumps.append(await store.dump())
            assert dumps[0] == dumps[1]

    asyncio.run(scenario())


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_clones_are_independent_of_their_source_and_of_each_other(kind: str, durable: bool, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(kind, tmp_path / "app", durable) as source:
            await asyncio.to_thread(write, source, "base")
            base = await source.dump()
            one = await clone_for_world(source, tmp_path / "worlds", 1)
            two = await clone_for_world(one, tmp_path / "worlds", 2)
            assert await one.dump() == await two.dump() == base
            await asyncio.to_thread(write, one, "in one")
            taken = await one.snapshot()
            await asyncio.to_thread(write, two, "in two")
            seen = [await store.dump() for store in (source, one, two)]
            assert seen[0] == base and len({json.dumps(dump) for dump in seen}) == 3
            await one.restore(taken)
            assert await one.dump() == seen[1]
            await two.stop()
            assert await one.dump() == seen[1] and await source.dump() == base
            await one.stop()
            assert not any(path.is_dir() for path in (tmp_path / "worlds" / "STORE_URL.worlds").iterdir())

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["sqlite", "folder"])
def test_every_world_sees_an_attached_folder_at_the_same_path(kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(kind, tmp_path) as source:
            one = await clone_for_world(source, tmp_path / "w", 1)
            two = await clone_for_world(source, tmp_path / "w", 2)
            assert one.url == two.url == source.url
            assert one.attached == two.attached == source.attached == (tmp_path / "STORE_URL",)
            assert real(one) != real(two) != real(source)
            bare = await clone_for_world(source, tmp_path / "w", 3, mounted=False)
            assert bare.mounts == (Mount(real(bare), real(bare)),) and str(real(bare)) in bare.url

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", KINDS)
def test_a_snapshot_of_another_store_is_refused(kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running("folder", tmp_path / "a") as other, running(kind, tmp_path / "b") as store:
            taken = await other.snapshot()
            with pytest.raises(Problem, match="another store"):
                await store.restore(taken)

    asyncio.run(scenario())


def test_sequences_move_on_so_that_ids_are_seen_to_be_ids(tmp_path: Path) -> None:
    async def scenario() -> None:
        for kind in ("sqlite", "postgres"):
            async with running(kind, tmp_path) as store:
                await asyncio.to_thread(write, store, "first")
                await store.skew(1000)
                await asyncio.to_thread(write, store, "second")
                rows = (await store.dump())["table words"]
                assert [row["id"] for row in rows] == [1, 1002]

    asyncio.run(scenario())


def test_skew_of_empty_tables_and_at_the_end_of_a_sequence(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running("sqlite", tmp_path) as store:
            await store.skew(5)  # no file yet
            with closing(sqlite3.connect(real(store) / "db.sqlite3")) as database, database:
                database.execute("CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT, x)")
                database.execute("CREATE TABLE plain (id INTEGER PRIMARY KEY, x)")
                database.execute("CREATE TABLE full (id INTEGER PRIMARY KEY AUTOINCREMENT, x)")
                database.execute("INSERT INTO full VALUES (?, 'last')", [2**63 - 2])
            await store.skew(500)
            with closing(sqlite3.connect(real(store) / "db.sqlite3")) as database, database:
                for table in ("a", "plain", "full"):
                    database.execute(f"INSERT INTO {table} (x) VALUES ('new')")
            dump = await store.dump()
            assert [dump[f"table {table}"][-1]["id"] for table in ("a", "plain", "full")] == [501, 1, 2**63 - 1]
        async with running("postgres", tmp_path) as store:

            def sequences() -> list[int]:
                with psycopg.connect(store.url) as connection:
                    connection.execute("CREATE SEQUENCE down INCREMENT -1 START -1")
                    connection.execute("CREATE SEQUENCE small AS smallint START 32000")
                    connection.execute('CREATE SEQUENCE "Big One"')
                    connection.execute("SELECT nextval('\"Big One\"')")
                    connection.commit()
                    asyncio.run(store.skew(1000))
                    row = connection.execute(
                        "SELECT nextval('down'), nextval('small'), nextval('\"Big One\"')"
                    ).fetchone()
                    return list(row or ())

            assert await asyncio.to_thread(sequences) == [-1001, 32000, 1002]

    asyncio.run(scenario())


# Sources of others: read, never written.


def tree_of(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@contextmanager
def live_database(folder: Path) -> Iterator[str]:
    """A database in use: in WAL mode, with pages that are only in its log."""
    with closing(sqlite3.connect(folder / "shop.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE users (name TEXT)")
        database.execute("INSERT INTO users VALUES ('ann')")
        database.commit()
        yield f"sqlite:///{folder}/shop.db"


def test_a_sqlite_file_of_others_is_copied_with_its_log_and_not_touched(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with live_database(source) as url:
        before = tree_of(source)
        assert any(path.endswith("-wal") for path in before)

        async def scenario() -> None:
            (service,) = open_services({"DB": "sqlite"}, environment={"DB": url}, folder=tmp_path / "s")
            clones = [await clone_for_world(service, tmp_path / "w", number) for number in (1, 2)]
            assert clones[0].url == clones[1].url and str(source) not in clones[0].url
            for clone in clones:
                assert await clone.dump() == {"table users": [{"name": "ann"}]}
                taken = await clone.snapshot()
                write(clone, "ours")
                await clone.restore(taken)
                await clone.stop()

        asyncio.run(scenario())
        assert tree_of(source) == before


def test_a_folder_of_others_is_copied_and_not_touched(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "a").mkdir(parents=True)
    (source / "a" / "b.txt").write_text("hello")
    before = tree_of(tmp_path / "source")

    async def scenario() -> None:
        (service,) = open_services({"F": "folder"}, environment={"F": str(source)}, folder=tmp_path / "s")
        clone = await clone_for_world(service, tmp_path / "w", 1)
        write(clone, "ours")
        await clone.restore(await clone.snapshot())
        assert "file a/b.txt" in await clone.dump()
        await clone.stop()

    asyncio.run(scenario())
    assert tree_of(source) == before and sorted(path.name for path in tmp_path.iterdir()) == ["source", "w"]


def test_a_valkey_of_others_gets_reading_commands_alone(tmp_path: Path) -> None:
    reading = {"auth", "hello", "client|setinfo", "select", "info", "scan", "pttl", "dump", "function|dump", "ping"}

    async def scenario() -> None:
        async with running("valkey", tmp_path / "theirs") as theirs:
            await asyncio.to_thread(write, theirs, "one")
            client = valkey.Valkey.from_url(theirs.url)
            expected = await theirs.dump()
            client.config_resetstat()
            source = ExternalService("CACHE_URL", theirs.url, "valkey")
            clone = await clone_for_world(source, tmp_path / "w", 1)
            used: dict[str, Any] = client.info("commandstats")  # type: ignore[assignment]
            assert {name.removeprefix("cmdstat_") for name in used} - {"config|resetstat"} <= reading
            assert await clone.dump() == expected
            await asyncio.to_thread(write, clone, "two")
            assert await theirs.dump() == expected
            await clone.stop()

    asyncio.run(scenario())


def test_a_memcached_whose_crawler_is_busy_is_asked_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running("memcached", tmp_path / "store") as store:
            commands = [b"set key%d 0 0 4\r\nword" % number for number in range(500)]
            await memcached(store.url, commands)
            dumps = await asyncio.gather(*(store.dump() for _ in range(12)))
            assert {len(dump) for dump in dumps} == {500}

    asyncio.run(scenario())


def test_a_memcached_of_others_is_copied(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running("memcached", tmp_path / "theirs") as theirs:
            assert isinstance(theirs, MemcachedServer)
            await asyncio.to_thread(write, theirs, "one")
            clone = await clone_for_world(
                ExternalService("SERVERS", f"127.0.0.1:{theirs.port}", "memcached"), tmp_path / "w", 1
            )
            assert await clone.dump() == await theirs.dump()
            await asyncio.to_thread(write, clone, "two")
            assert (await theirs.dump())["key word"][0]["value"] == "one"
            await clone.stop()

    asyncio.run(scenario())


def test_a_postgres_of_others_is_copied_with_no_right_but_to_read(tmp_path: Path) -> None:
    """The role in the URL may only SELECT: whatever wrote to the source would fail."""

    async def scenario() -> None:
        async with running("postgres", tmp_path / "theirs") as theirs:
            assert isinstance(theirs, PostgresServer)
            await asyncio.to_thread(write, theirs, "one")
            await theirs.database.add_extensions({"citext"})
            async with theirs.database.connected() as connection:
                await connection.execute("CREATE TABLE tagged (tag citext)")
                await connection.execute("CREATE ROLE reader LOGIN PASSWORD 'r'")
                await connection.execute("GRANT pg_read_all_data TO reader")
            url = f"postgresql+psycopg://reader:r@127.0.0.1:{theirs.port}/app"
            source = ExternalService("DATABASE_URL", url, "postgres")
            clone = await clone_for_world(source, tmp_path / "w", 1)
            assert clone.url.startswith("postgresql+psycopg://app:")
            assert await clone.dump() == await theirs.dump()
            taken = await clone.snapshot()
            async with theirs.database.connected() as connection:
                names = await (await connection.execute("SELECT datname FROM pg_database")).fetchall()
                assert {name for (name,) in names} == {"postgres", "template0", "template1", "app"}
            await clone.restore(taken)
            await clone.stop()

    asyncio.run(scenario())


def test_without_a_server_of_ours_a_postgres_is_copied_beside_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fungible.services import postgres_clone

    async def scenario() -> None:
        async with running("postgres", tmp_path / "theirs") as theirs:
            assert isinstance(theirs, PostgresServer)
            await asyncio.to_thread(write, theirs, "one")
            monkeypatch.setattr(postgres_clone, "_extensions", lambda _: set())
            clone = await clone_for_world(ExternalService("DATABASE_URL", theirs.url, "postgres"), tmp_path / "w", 1)
            assert clone.url.rpartition("/")[2].startswith("fungible_")
            second = await clone_for_world(clone, tmp_path / "w", 2)
            base = await clone.dump()
            taken = await clone.snapshot()
            await asyncio.to_thread(write, clone, "two")
            await clone.restore(taken)
            assert await clone.dump() == base == await theirs.dump() == await second.dump()
            await second.stop()
            await clone.stop()
            async with theirs.database.connected() as connection:
                names = await (await connection.execute("SELECT datname FROM pg_database")).fetchall()
                assert {name for (name,) in names} == {"postgres", "template0", "template1", "app"}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("kind", "url", "said"),
    [
        ("valkey", "redis://127.0.0.1:1/0", "cannot be read"),
        ("postgres", "postgresql://127.0.0.1:1/x", "cannot be read"),
        ("memcached", "127.0.0.1:1", "cannot be read"),
        ("memcached", "127.0.0.1:1,127.0.0.1:2", "not one memcached server"),
        ("sqlite", "sqlite:////nowhere/at/all/db", "is not there"),
        ("folder", "/nowhere/at/all", "is not a folder"),
    ],
)
def test_a_source_that_is_not_there_is_one_sentence(kind: str, url: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(Problem) as refused:
        asyncio.run(clone_for_world(ExternalService("X", url, kind), tmp_path, 1))
    assert said in refused.value.message and "\n" not in refused.value.message


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("not a database at all")
    with pytest.raises(Problem, match="no SQLite database"):
        asyncio.run(clone_for_world(ExternalService("X", f"sqlite:///{tmp_path}/db", "sqlite"), tmp_path, 1))
    own = tmp_path / "own" / "DB"
    own.mkdir(parents=True)
    (own / "db.sqlite3").write_text("not a database at all")
    (service,) = open_services({"DB": "sqlite"}, environment={}, folder=tmp_path / "own")
    with pytest.raises(Problem, match="move it away"):
        asyncio.run(service.start())


def test_snapshots_of_a_folder_are_deleted_at_stop(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running("folder", tmp_path, durable=True) as store:
            assert isinstance(store, FolderStore)
            await store.snapshot()
            assert len(list(tmp_path.iterdir())) == 2
        assert [path.name for path in tmp_path.iterdir()] == ["STORE_URL"]

    asyncio.run(scenario())
