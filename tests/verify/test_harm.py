"""Nothing of the user's is harmed: trip-wires that must be untouched after worlds have run."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import valkey

from fungible.app.load import load_app
from fungible.app.problem import Exit, Problem
from fungible.services.attach import clone_for_world
from fungible.services.external import ExternalService
from fungible.services.inventory import inventory
from fungible.services.memcached import MemcachedServer
from fungible.services.postgres import PostgresServer
from fungible.services.server import EmbeddedServer
from fungible.services.valkey import ValkeyServer
from fungible.verify.schedule import schedule
from fungible.verify.workload.steps import Request, Workload
from fungible.verify.world.ground import Ground, prepare_ground
from fungible.verify.world.laboratory import Laboratory

PRESENT = {each.kind for each in inventory() if each.present}

APP = """
import json, os, socket, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

def postgres(url):
    import psycopg
    with psycopg.connect(url) as connection:
        connection.execute("insert into notes (text) values ('from a world')")
        return connection.execute("select count(*) from notes").fetchone()[0]

def valkey(url):
    import valkey
    return valkey.from_url(url).incr("count")

def memcached(url):
    host, port = url.removeprefix("memcached://").split(":")
    with socket.create_connection((host, int(port)), 5) as wire:
        wire.sendall(b"set word 0 0 5\\r\\nworld\\r\\nget word\\r\\n")
        return wire.recv(100).decode().split()[-2]

def connect(address):
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 5) as wire:
        wire.sendall(b"MAIL FROM:<app>\\r\\n")
    return "reached"

def note(path):
    with open(path, "a") as file:
        file.write("world\\n")
    return open(path).read().split()

WAYS = {"PG": postgres, "VALKEY": valkey, "MEMCACHED": memcached, "CONNECT": connect, "NOTE": note}

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        said = {}
        for name, value in sorted(os.environ.items()):
            way = WAYS.get(name.split("_")[0])
            if way and value and not name.endswith(("_HOST", "_PORT")):
                try:
                    said[name] = way(value)
                except Exception as error:
                    said[name] = type(error).__name__
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

Work = Callable[[Ground], Awaitable[Any]]


def app_folder(tmp_path: Path, settings: str = "", dotenv: Mapping[str, str] | None = None) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir(exist_ok=True)
    (folder / "app.py").write_text(APP)
    (folder / "Procfile").write_text(f"web: {Path(sys.executable).name} app.py\n")
    (folder / "fungible.toml").write_text(settings)
    (folder / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in (dotenv or {}).items()))
    return folder


def operating_system(tmp_path: Path, **more: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"), **more}


async def worlds(
    folder: Path, environment: Mapping[str, str], *, disposable: tuple[str, ...] = (), count: int = 2
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """What the app answered in the first request of each of `count` newborn worlds of two requests, and warnings."""
    workload = Workload((Request("GET", "/"), Request("GET", "/")))
    async with prepare_ground(load_app(folder), environment, disposable=disposable, say=lambda _: None) as ground:
        laboratory = Laboratory(ground)
        found = []
        for _ in range(count):
            execution = await laboratory.run(schedule.newborn(2), workload)
            assert not execution.failures, execution.failures
            found.append(json.loads(execution.transcript.answers[0].body))
        return found, ground.warnings()


@contextmanager
def trip_wire(host: str = "127.0.0.1") -> Iterator[tuple[int, list[Any]]]:
    """A server that notes every connection; its port, and the notes."""
    seen: list[Any] = []
    with socket.create_server((host, 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, address = server.accept()
                except OSError:
                    return
                seen.append(address)
                connection.close()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1], seen
        server.shutdown(socket.SHUT_RDWR)


@asynccontextmanager
async def users_server(kind: type[EmbeddedServer], tmp_path: Path) -> Any:
    """A server of the user's, which verify has nothing to do with."""
    name = {"postgres": "PG", "valkey": "VALKEY", "memcached": "MEMCACHED"}[kind.kind]
    if kind.kind not in PRESENT:
        pytest.skip(f"no {kind.kind} here")
    server = kind(name, tmp_path / f"users-{kind.kind}", durable=False)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def everything_in(url: str) -> bytes:
    """A PostgreSQL database byte for byte: rows where they lie, with their transaction ids; sequences; files."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute("select ctid::text, xmin::text, xmax::text, * from notes").fetchall()
        sequence = connection.execute("select * from notes_id_seq").fetchall()
        tables = connection.execute("select relname, relfilenode from pg_class order by oid").fetchall()
        databases = connection.execute("select datname from pg_database order by 1").fetchall()
    return repr((rows, sequence, tables, databases)).encode()


def everything_at(url: str) -> bytes:
    """A Valkey server byte for byte: every key of every database as it is serialized."""
    found = []
    for number in range(16):
        with valkey.from_url(url.rsplit("/", 1)[0] + f"/{number}") as wire:
            found.append(sorted((key, wire.dump(key), wire.pttl(key)) for key in wire.keys("*")))
    return repr(found).encode()


def filled_postgres(url: str) -> bytes:
    with psycopg.connect(url) as connection:
        connection.execute("create table notes (id serial primary key, text text)")
        connection.execute("insert into notes (text) values ('the user''s'), ('own')")
    return everything_in(url)


def test_stores_in_the_environment_are_only_sources(tmp_path: Path) -> None:
    """Declared nowhere: a URL in `.env`, one in the operating system's environment, one of a second database."""

    async def scenario() -> None:
        async with (
            users_server(PostgresServer, tmp_path) as database,
            users_server(ValkeyServer, tmp_path) as cache,
            users_server(MemcachedServer, tmp_path) as memory,
        ):
            before = filled_postgres(database.url)
            with valkey.from_url(cache.url) as wire:
                wire.set("count", 41)
                wire.hset("basket", "apple", 3)
            content = everything_at(cache.url)
            folder = app_folder(tmp_path, dotenv={"PG_URL": database.url.replace("postgresql:", "postgres:")})
            second = cache.url.rsplit("/", 1)[0] + "/5"
            environment = operating_system(
                tmp_path, VALKEY_URL=cache.url, VALKEY_SECOND_URL=second, MEMCACHED_URL=memory.url
            )
            answers, warnings = await worlds(folder, environment)
            expected = {"PG_URL": 3, "VALKEY_URL": 42, "VALKEY_SECOND_URL": 1, "MEMCACHED_URL": "world"}
            assert answers == [expected, expected], "the content is there, and put back before each world"
            assert everything_in(database.url) == before
            assert everything_at(cache.url) == content
            host, port = memory.url.removeprefix("memcached://").split(":")
            with socket.create_connection((host, int(port))) as wire:
                wire.sendall(b"get word\r\n")
                assert wire.recv(100) == b"END\r\n"
            assert warnings == ()

    asyncio.run(scenario())


def test_stores_that_no_variable_names_and_mail_servers_are_out_of_reach(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with users_server(ValkeyServer, tmp_path) as cache:
            with valkey.from_url(cache.url) as wire:
                wire.set("count", 41)
            before = everything_at(cache.url)
            host, port = cache.url.rpartition("@")[2].partition("/")[0].split(":")
            with (
                trip_wire() as (mail, mails),
                trip_wire("0.0.0.0") as (beyond, guests),
                trip_wire() as (near, visits),
            ):
                environment = operating_system(
                    tmp_path,
                    VALKEY_HOST=host,
                    VALKEY_PORT=port,
                    EMAIL_URL=f"smtp://me:secret@127.0.0.1:{mail}",
                    CONNECT_STORE=f"127.0.0.1:{port}",
                    CONNECT_MAIL=f"127.0.0.1:{mail}",
                    CONNECT_BEYOND=f"{own_address()}:{beyond}",
                    CONNECT_NAME="smtp.example.org:25",
                    CONNECT_NEAR=f"127.0.0.1:{near}",
                )
                answers, warnings = await worlds(app_folder(tmp_path), environment, count=1)
                assert answers == [
                    {
                        "CONNECT_STORE": "ConnectionRefusedError",
                        "CONNECT_MAIL": "ConnectionRefusedError",
                        "CONNECT_BEYOND": "ConnectionRefusedError",
                        "CONNECT_NAME": "gaierror",
                        "CONNECT_NEAR": "reached",
                    }
                ]
                assert mails == [] and guests == [] and visits
            assert everything_at(cache.url) == before
            said = " | ".join(warnings)
            assert f"tried to reach 127.0.0.1:{mail} (refused)" in said
            assert f"tried to reach 127.0.0.1:{port} (refused)" in said
            assert f"tried to reach {own_address()}:{beyond} (refused)" in said
            assert "verify.outbound" in said
            assert f"reached 127.0.0.1:{near}: a server that all worlds share" in said
            assert "secret" not in said

    asyncio.run(scenario())


def own_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
        return str(probe.getsockname()[0])


def test_what_the_settings_allow_can_be_reached(tmp_path: Path) -> None:
    with trip_wire() as (mail, mails):
        settings = f'[verify]\noutbound = ["localhost:{mail}"]\n'
        environment = operating_system(tmp_path, MAIL_PORT=str(mail), CONNECT_MAIL=f"127.0.0.1:{mail}")
        answers, warnings = asyncio.run(worlds(app_folder(tmp_path, settings), environment, count=1))
        assert answers == [{"CONNECT_MAIL": "reached"}]
        assert len(mails) == 2 and warnings == ()


def test_the_release_command_reaches_no_store_of_others(tmp_path: Path) -> None:
    """`migrate` with a host of its own in the settings would change the user's schema."""
    with trip_wire() as (port, visits):
        code = f"import socket; raise SystemExit(socket.socket().connect_ex(('127.0.0.1', {port})) != 111)"
        settings = f"release = '''{Path(sys.executable).name} -c \"{code}\"'''\n"
        environment = operating_system(tmp_path, DB_HOST="127.0.0.1", DB_PORT=str(port))
        _, warnings = asyncio.run(worlds(app_folder(tmp_path, settings), environment, count=1))
        assert visits == [] and any(f"127.0.0.1:{port} (refused)" in warning for warning in warnings)


def test_a_store_that_is_given_away_is_written_and_put_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with users_server(ValkeyServer, tmp_path) as cache:
            with valkey.from_url(cache.url) as wire:
                wire.set("count", 41)
                before = everything_at(cache.url)
                seen: list[Any] = []
                folder = app_folder(tmp_path, dotenv={"VALKEY_URL": cache.url})
                environment = operating_system(tmp_path)
                app = load_app(folder)
                async with prepare_ground(app, environment, disposable=("VALKEY_URL",), say=lambda _: None) as ground:
                    assert len(ground.lanes) == 1, "one store, one world at a time"
                    laboratory = Laboratory(ground)
                    workload = Workload((Request("GET", "/"), Request("GET", "/")))
                    for _ in range(2):
                        execution = await laboratory.run(schedule.warm(2), workload)
                        seen.append([json.loads(each.body) for each in execution.transcript.answers])
                        assert wire.get("count") == b"43", "it was written where it is"
                assert seen == [[{"VALKEY_URL": 42}, {"VALKEY_URL": 43}]] * 2
                assert everything_at(cache.url) == before

    asyncio.run(scenario())


def test_with_a_reset_of_the_users_stores_are_used_as_they_are(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with users_server(ValkeyServer, tmp_path) as cache:
            code = "import os, valkey; valkey.from_url(os.environ['VALKEY_URL']).set('count', 10)"
            (tmp_path / "shop").mkdir()
            (tmp_path / "shop" / "reset.py").write_text(code)
            folder = app_folder(
                tmp_path,
                f'[verify]\nreset = "{Path(sys.executable).name} reset.py"\n',
                dotenv={"VALKEY_URL": cache.url},
            )
            answers, warnings = await worlds(folder, operating_system(tmp_path))
            assert answers == [{"VALKEY_URL": 11}] * 2
            with valkey.from_url(cache.url) as wire:
                assert wire.get("count") == b"12"
            assert any("VALKEY_URL" in each and "as it is" in each for each in warnings)

    asyncio.run(scenario())


def test_a_store_with_commands_is_put_back_by_them(tmp_path: Path) -> None:
    store = tmp_path / "search"
    store.mkdir()
    (store / "index").write_text("first\n")
    settings = f"""
[services]
NOTES = "folder"
[verify.stores.SEARCH]
snapshot = 'cp {store}/index "$FUNGIBLE_SNAPSHOT"'
restore = 'cp "$FUNGIBLE_SNAPSHOT" {store}/index; echo $SEARCH >> {tmp_path}/told'
dump = "cat {store}/index"
"""
    folder = app_folder(tmp_path, settings)

    async def scenario() -> None:
        environment = operating_system(tmp_path, SEARCH="mongodb://127.0.0.1:1/x")
        async with prepare_ground(load_app(folder), environment, say=lambda _: None) as ground:
            assert len(ground.lanes) == 1 and ground.stores == ("NOTES", "SEARCH")
            laboratory = Laboratory(ground)
            for _ in range(2):
                execution = await laboratory.run(schedule.warm(1), Workload((Request("GET", "/"),)))
                assert execution.transcript.dumps["SEARCH"] == {"dump SEARCH": [{"line": "first"}]}
                (store / "index").write_text("changed by a world\n")
        assert (store / "index").read_text() == "first\n"
        assert set((tmp_path / "told").read_text().split()) == {"mongodb://127.0.0.1:1/x"}

    asyncio.run(scenario())


def test_a_file_database_elsewhere_is_copied_and_one_in_the_apps_folder_thrown_away(tmp_path: Path) -> None:
    import sqlite3

    outside = tmp_path / "data" / "shop.db"
    outside.parent.mkdir()
    with sqlite3.connect(outside) as connection:
        connection.execute("create table t (x)")
    before = outside.read_bytes()
    folder = app_folder(tmp_path, dotenv={"DB": f"sqlite:///{outside}", "LOCAL_DB": "sqlite:///local.db"})
    code = (
        (folder / "app.py")
        .read_text()
        .replace(
            "class Handler",
            "def sqlite(url):\n    import sqlite3\n    c = sqlite3.connect(url.split('///')[1])\n"
            "    c.execute('create table if not exists t (x)'); c.execute('insert into t values (1)'); c.commit()\n"
            "    return c.execute('select count(*) from t').fetchone()[0]\n"
            "WAYS.update(DB=sqlite, LOCAL=sqlite)\nclass Handler",
        )
    )
    (folder / "app.py").write_text(code)
    answers, warnings = asyncio.run(worlds(folder, operating_system(tmp_path)))
    assert answers == [{"DB": 1, "LOCAL_DB": 1}] * 2
    assert outside.read_bytes() == before and not (folder / "local.db").exists()
    assert any("LOCAL_DB: local.db lies in the app's folder" in each for each in warnings)


def test_without_its_place_among_the_known_a_store_ends_the_run_before_anything_ran(tmp_path: Path) -> None:
    with trip_wire() as (port, visits):
        environment = operating_system(tmp_path, DATABASE_URL=f"mysql://root@127.0.0.1:{port}/shop")
        with pytest.raises(Problem) as refused:
            asyncio.run(worlds(app_folder(tmp_path), environment))
        assert refused.value.exit is Exit.NOT_ALLOWED and "--disposable DATABASE_URL" in refused.value.message
        assert visits == []
        answers, warnings = asyncio.run(
            worlds(app_folder(tmp_path), environment, disposable=("DATABASE_URL",), count=1)
        )
        assert answers == [{}] and any("cannot be put back between worlds" in each for each in warnings)


def test_the_copy_of_an_external_postgres_moves_its_ids(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with users_server(PostgresServer, tmp_path) as database:
            before = filled_postgres(database.url)
            service = ExternalService("PG", database.url, "postgres")
            clone = await clone_for_world(service, tmp_path / "clone", 0)
            try:
                await clone.skew(1000)
                with psycopg.connect(clone.url) as connection:
                    connection.execute("insert into notes (text) values ('x')")
                    row = connection.execute("select max(id) from notes").fetchone()
                assert row is not None and row[0] > 1000
            finally:
                await clone.stop()
            assert everything_in(database.url) == before

    asyncio.run(scenario())
