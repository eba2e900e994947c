"""What an app declares becomes services: kinds, URLs that are set already, and what is wrong with a declaration."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fungible.app.problem import Exit, Problem
from fungible.services.attach import KINDS, clone_for_world, open_services
from fungible.services.external import ExternalService, driver_of, hosts_of, kind_of, sqlite_path
from fungible.services.store import Mount, Store

pytestmark = pytest.mark.pure


def test_every_kind_opens_in_the_order_declared(tmp_path: Path) -> None:
    declared = {f"{kind.upper()}_URL": kind for kind in reversed(KINDS)}
    opened = open_services(declared, environment={}, folder=tmp_path)
    assert [(service.name, service.kind) for service in opened] == list(declared.items())
    assert not list(tmp_path.iterdir())  # nothing is made before start


def test_a_url_that_is_set_wins_and_nothing_is_made(tmp_path: Path) -> None:
    url = "postgres://ann:pw@db.example.org/shop"
    (service,) = open_services({"DATABASE_URL": "sqlite"}, environment={"DATABASE_URL": url}, folder=tmp_path)
    assert isinstance(service, ExternalService)
    assert (service.url, service.kind, service.loopback) == (url, "postgres", False)
    assert not isinstance(service, Store)
    asyncio.run(service.start())
    asyncio.run(service.stop())
    assert not list(tmp_path.iterdir())


def test_an_empty_value_is_not_set(tmp_path: Path) -> None:
    (service,) = open_services({"STORE": "folder"}, environment={"STORE": ""}, folder=tmp_path)
    assert isinstance(service, Store) and service.url == str(tmp_path / "STORE")


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("CACHE_URL", "valky", "did you mean 'valkey'"),
        ("CACHE_URL", "Redis", "did you mean 'valkey'"),
        ("DB", "mongodb", "known: valkey, sqlite, folder, postgres, memcached"),
        ("DB", "", "unknown kind ''"),
        ("DB", "postgres+; DROP", "unknown kind"),
        ("DB", "redis://localhost", "is a URL, not a kind"),
        ("DB URL", "valkey", "not the name of a config var"),
        ("../up", "folder", "not the name of a config var"),
    ],
)
def test_a_wrong_declaration_is_one_sentence(name: str, kind: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(Problem) as refused:
        open_services({name: kind}, environment={}, folder=tmp_path)
    assert said in refused.value.message and refused.value.message.startswith(f"services.{name}: ")
    assert refused.value.exit is Exit.BAD_INPUT


def test_other_names_and_drivers(tmp_path: Path) -> None:
    declared = {"A": "redis", "B": "postgresql+asyncpg", "C": "sqlite+aiosqlite"}
    opened = open_services(declared, environment={}, folder=tmp_path)
    assert [service.kind for service in opened] == ["valkey", "postgres", "sqlite"]
    assert opened[2].url == f"sqlite+aiosqlite:///{tmp_path}/C/db.sqlite3"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://h", "valkey"),
        ("rediss://h", "valkey"),
        ("unix:///run/valkey.sock", "valkey"),
        ("postgresql+psycopg://h/d", "postgres"),
        ("POSTGRES://h/d", "postgres"),
        ("sqlite:////a/b", "sqlite"),
        ("/srv/files", "folder"),
        ("file:///srv/files", "folder"),
        ("mysql://h/d", None),
        ("127.0.0.1:11211", None),
    ],
)
def test_the_scheme_says_the_kind(url: str, kind: str | None) -> None:
    assert kind_of(url) == kind
    assert ExternalService("X", url, "declared").kind == (kind or "declared")


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("redis://localhost:6379/0", True),
        ("redis://:pw@127.0.0.1:6379", True),
        ("redis://127.8.8.8", True),
        ("redis://[::1]:6379/0", True),
        ("redis://10.0.0.1/0", False),
        ("redis://user:localhost@cache.example.org", False),
        ("redis://cache.example.org/localhost", False),
        ("unix:///run/valkey.sock", True),
        ("postgresql:///shop", True),
        ("postgresql://%2Frun%2Fpostgresql/shop", True),
        ("postgresql:///shop?host=/run/postgresql", True),
        ("postgresql:///shop?host=db.example.org", False),
        ("postgresql://localhost/shop?hostaddr=10.0.0.1", False),
        ("postgresql://localhost,db.example.org/shop", False),
        ("sqlite:////srv/db.sqlite3", True),
        ("redis://[bad", False),
        ("redis://127.0.0.1.example.org", False),
    ],
)
def test_what_is_on_this_machine(url: str, loopback: bool) -> None:
    assert ExternalService("X", url, "valkey").loopback is loopback


def test_names_of_memcached_servers_are_hosts() -> None:
    assert hosts_of("127.0.0.1:11211, cache.example.org:11211") == ("127.0.0.1", "cache.example.org")
    assert ExternalService("X", "127.0.0.1:11211", "memcached").loopback
    assert not ExternalService("X", "127.0.0.1:1;cache.example.org:2", "memcached").loopback


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////srv/a b/db.sqlite3", "/srv/a b/db.sqlite3"),
        ("sqlite:////srv/a%20b.db?timeout=5", "/srv/a b.db"),
        ("sqlite:///db.sqlite3", "db.sqlite3"),
        ("sqlite+aiosqlite:////srv/db", "/srv/db"),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("sqlite://:memory:", None),
    ],
)
def test_the_file_of_a_sqlite_url(url: str, path: str | None) -> None:
    assert sqlite_path(url) == (Path(path) if path else None)
    assert driver_of("sqlite+aiosqlite:////srv/db") == "aiosqlite" and driver_of("sqlite:////x") is None


def test_a_file_or_folder_named_elsewhere_is_attached_by_its_folder(tmp_path: Path) -> None:
    environment = {"DB": f"sqlite:///{tmp_path}/db.sqlite3", "FILES": str(tmp_path), "REL": "sqlite:///x/db"}
    (tmp_path / "x").mkdir()
    declared = {"DB": "sqlite", "FILES": "folder", "REL": "sqlite"}
    opened = open_services(declared, environment=environment, folder=tmp_path / "s", app_folder=tmp_path)
    assert opened[0].mounts == opened[1].mounts == (Mount(tmp_path, tmp_path),)
    assert opened[2].attached == (tmp_path / "x",)
    assert ExternalService("X", "/no/such/folder", "folder").attached == ()
    assert ExternalService("X", "sqlite:////db", "sqlite").attached == ()  # never the whole machine


def test_a_store_elsewhere_is_not_copied_unless_asked(tmp_path: Path) -> None:
    service = ExternalService("CACHE_URL", "redis://cache.example.org/0", "valkey")
    with pytest.raises(Problem, match="not on this machine") as refused:
        asyncio.run(clone_for_world(service, tmp_path, 1))
    assert refused.value.exit is Exit.NOT_ALLOWED


def test_a_store_that_we_do_not_know_names_the_ways_out(tmp_path: Path) -> None:
    service = ExternalService("DB", "mysql://localhost/shop", "mysql")
    with pytest.raises(Problem, match=r"verify\.stores\.DB.*--disposable DB"):
        asyncio.run(clone_for_world(service, tmp_path, 1))
