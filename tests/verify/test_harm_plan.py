"""Which stores an app names, and what becomes of each before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.app.problem import Exit, Problem
from fungible.services.url import find_store_urls, rewritten
from fungible.verify.world.stores import Plan, mark, plan_stores, unreachable

pytestmark = pytest.mark.pure

APP = Path("/srv/shop")


def plan(environment: dict[str, str], **more: object) -> Plan:
    arguments: dict[str, object] = {"declared": {}, "commands": {}, "app_folder": APP} | more
    return plan_stores(environment, **arguments)  # type: ignore[arg-type]


def ways(found: Plan) -> dict[str, str]:
    return {each.where: each.way for each in found.named}


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("DATABASE_URL", "postgres://u:p@localhost/db", "postgres"),
        ("DATABASE_URL", "postgresql+asyncpg://localhost:5433/db", "postgres"),
        ("DSN", "host=localhost dbname=shop", "postgres"),
        ("BROKER", "redis://localhost:6379/1", "valkey"),
        ("CACHE", "valkey://127.0.0.1", "valkey"),
        ("CACHE", "rediss://127.0.0.1", "valkey"),
        ("CACHE", "redis+socket:///run/redis.sock?virtual_host=2", "valkey"),
        ("REDIS", "unix:///run/redis.sock", "valkey"),
        ("MEMCACHED_SERVERS", "127.0.0.1:11211", "memcached"),
        ("CACHE", "memcached://127.0.0.1:11211", "memcached"),
        ("DB", "sqlite:////var/lib/shop/db.sqlite3", "sqlite"),
        ("CONFIG", '{"broker": "redis://localhost/1"}', "valkey"),
        ("DB", "mysql+pymysql://localhost/db", None),
        ("DB", "mariadb://localhost/db", None),
        ("DB", "mongodb+srv://cluster.example.org/db", None),
        ("BROKER", "amqp://guest:guest@localhost//", None),
        ("BUS", "kafka://localhost:9092", None),
        ("BUS", "nats://localhost:4222", None),
        ("DB", "jdbc:postgresql://localhost/db", None),
        ("DB", "Server=localhost;Database=shop;User Id=sa", None),
        ("ELASTICSEARCH_URL", "http://localhost:9200", None),
        ("CACHE", "redis+sentinel://localhost:26379/mymaster", None),
    ],
)
def test_stores_are_known_by_their_urls(name: str, value: str, kind: str | None) -> None:
    (found,) = find_store_urls(name, value)
    assert found.kind == kind
    assert found.url in value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOME_PAGE", "https://example.org/postgres"),
        ("DOCKER_HOST", "unix:///var/run/docker.sock"),
        ("DB", "sqlite://"),
        ("DB", "sqlite:///:memory:"),
        ("PATH", "/usr/bin:/bin"),
        ("GREETING", "host the party"),
        ("PGHOST", "127.0.0.1"),
        ("SSH_CONNECTION", "10.0.0.1 50000 10.0.0.2 22"),
    ],
)
def test_other_values_are_no_stores(name: str, value: str) -> None:
    assert find_store_urls(name, value) == ()


@given(st.text(max_size=80), st.text(max_size=20))
def test_any_text_is_looked_through(text: str, name: str) -> None:
    for found in find_store_urls(name, text):
        _ = (found.local, found.addresses, found.place, found.host)


@pytest.mark.parametrize(
    ("url", "copy", "kind", "new"),
    [
        ("postgres://u:p@h/db", "postgresql://app:x@127.0.0.1:2/app", "postgres", "postgres://app:x@127.0.0.1:2/app"),
        (
            "postgresql+asyncpg://h/db?options=-csearch_path%3Da&sslmode=require",
            "postgresql://app:x@127.0.0.1:2/app",
            "postgres",
            "postgresql+asyncpg://app:x@127.0.0.1:2/app?options=-csearch_path%3Da",
        ),
        ("redis://h:1/3", "redis://:x@127.0.0.1:2/0", "valkey", "redis://:x@127.0.0.1:2/3"),
        ("rediss://u:p@h:1", "redis://:x@127.0.0.1:2/0", "valkey", "redis://:x@127.0.0.1:2/0"),
        ("unix:///run/redis.sock?db=4", "redis://:x@127.0.0.1:2/0", "valkey", "redis://:x@127.0.0.1:2/4"),
        ("valkey://h", "redis://:x@127.0.0.1:2/0", "valkey", "valkey://:x@127.0.0.1:2/0"),
        ("127.0.0.1:11211", "memcached://127.0.0.1:5", "memcached", "127.0.0.1:5"),
        ("memcached://h:1", "127.0.0.1:5", "memcached", "memcached://127.0.0.1:5"),
        ("sqlite+aiosqlite:///x.db?timeout=5", "sqlite:////s/db.sqlite3", "sqlite",
         "sqlite+aiosqlite:////s/db.sqlite3?timeout=5"),
    ],
)  # fmt: skip
def test_a_copys_url_has_the_form_of_the_first(url: str, copy: str, kind: str, new: str) -> None:
    assert rewritten(url, copy, kind) == new


def test_what_can_be_copied_is_copied_and_named_everywhere() -> None:
    found = plan(
        {
            "DATABASE_URL": "postgres://me@localhost/shop",
            "SQLALCHEMY_DATABASE_URI": "postgresql+psycopg://me@127.0.0.1:5432/shop",
            "OTHER_URL": "postgres://me@localhost/other",
            "BROKER": "redis://localhost:6379/1;redis://localhost:6379/2",
        }
    )
    assert [[each.where for each in group] for group in found.copies] == [
        ["DATABASE_URL", "SQLALCHEMY_DATABASE_URI"],
        ["OTHER_URL"],
        ["BROKER", "BROKER"],
    ]
    urls = {
        "DATABASE_URL": "postgresql://a:b@127.0.0.1:9/c",
        "OTHER_URL": "postgresql://a:b@127.0.0.1:9/d",
        "BROKER": "redis://:x@127.0.0.1:8/0",
    }
    assert found.variables(urls) == {
        "DATABASE_URL": "postgres://a:b@127.0.0.1:9/c",
        "SQLALCHEMY_DATABASE_URI": "postgresql+psycopg://a:b@127.0.0.1:9/c",
        "OTHER_URL": "postgres://a:b@127.0.0.1:9/d",
        "BROKER": "redis://:x@127.0.0.1:8/1;redis://:x@127.0.0.1:8/2",
    }
    assert not found.shared


def test_what_refers_to_an_embedded_service_needs_no_copy() -> None:
    found = plan(
        {"STORE": mark("STORE"), "DB": f"sqlite:///{mark('STORE')}/db.sqlite3"},
        declared={"STORE": "folder", "DATABASE_URL": "postgres"},
        commands={"the command of `web`": "serve --db sqlite:///$STORE/other.db"},
    )
    assert dict(found.embedded) == {"STORE": "folder", "DATABASE_URL": "postgres"}
    assert found.named == () and found.warnings == ()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"MYSQL_URL": "mysql://root:pw@localhost/shop"}, "MYSQL_URL names MySQL, which cannot be copied"),
        ({"MONGO": "mongodb://localhost/shop"}, "MONGO names MongoDB"),
        ({"DATABASE_URL": "postgres://u:pw@db.example.org/shop"}, "DATABASE_URL names PostgreSQL on db.example.org"),
        ({"REDIS_URL": "redis://10.0.0.5"}, "which is not on this machine"),
        ({"DSN": "host=db.example.org dbname=shop password=pw"}, "PostgreSQL on db.example.org"),
    ],
)
def test_what_cannot_be_copied_ends_the_run(environment: dict[str, str], said: str) -> None:
    (name,) = environment
    with pytest.raises(Problem) as refused:
        plan(environment)
    assert refused.value.exit is Exit.NOT_ALLOWED
    assert said in refused.value.message
    assert f"--disposable {name}" in refused.value.message
    assert f"[tool.fungible.verify.stores.{name}]" in refused.value.message
    assert "pw" not in refused.value.message
    assert set(ways(plan(environment, disposable=(name,))).values()) <= {"given away", "as it is"}
    assert ways(plan(environment, by_commands=(name,))) == {name: "commands"}
    assert ways(plan(environment, reset=True)) == {name: "as it is"}


def test_a_declared_store_is_copied_though_there_is_a_reset() -> None:
    environment = {"DATABASE_URL": "postgres://localhost/shop", "CACHE_URL": "redis://localhost"}
    found = plan(environment, declared={"DATABASE_URL": "postgres"}, reset=True)
    assert ways(found) == {"DATABASE_URL": "copied", "CACHE_URL": "as it is"}
    assert any("CACHE_URL" in warning for warning in found.warnings)


def test_a_command_that_names_a_store_is_refused() -> None:
    commands = {"the command of `web`": "dashboard -u redis://:secret@127.0.0.1:6379/3"}
    with pytest.raises(Problem) as refused:
        plan({}, commands=commands)
    assert refused.value.exit is Exit.NOT_ALLOWED
    assert "the command of `web` names a store itself" in refused.value.message
    assert "secret" not in refused.value.message
    assert len(plan({}, commands=commands, reset=True).shared) == 1
    # By way of a variable it is that variable's store.
    named = plan({"URL": "redis://localhost"}, commands={"the command of `web`": "dashboard -u $URL"})
    assert ways(named) == {"URL": "copied"}


def test_files_in_the_apps_folder_are_thrown_away_and_that_is_said() -> None:
    found = plan({"DB": "sqlite:///db.sqlite3", "OTHER": "sqlite:////var/lib/x.db", "DOC": "file:///usr/share/doc"})
    assert ways(found) == {"DB": "in the layer", "OTHER": "copied"}
    assert ["db.sqlite3 lies in the app's folder" in warning for warning in found.warnings] == [True]
    with pytest.raises(Problem):
        plan({"DOC": "file:///usr/share/doc"}, own_files=False)


@pytest.mark.parametrize(
    ("disposable", "declared", "said"),
    [("DATABSE_URL", {}, "those that name a store are DATABASE_URL"), ("CACHE", {"CACHE": "valkey"}, "embedded")],
)
def test_a_disposable_that_is_none_is_said(disposable: str, declared: dict[str, str], said: str) -> None:
    with pytest.raises(Problem) as refused:
        plan({"DATABASE_URL": "postgres://localhost/a"}, declared=declared, disposable=(disposable,))
    assert refused.value.exit is Exit.BAD_INPUT
    assert said in refused.value.message


def test_servers_of_mail_and_of_stores_are_out_of_reach() -> None:
    environment = {
        "REDIS_HOST": "localhost",
        "REDIS_PORT": "7777",
        "EMAIL_URL": "smtp://u:p@localhost:2626",
        "PORT": "80",
    }
    everything = unreachable(environment, stores=True)
    assert {"*:25", "*:587", "*:1025", "*:2626", "*:5432", "*:6379", "*:7777", "*/.s.PGSQL.*"} <= set(everything)
    assert "*:80" not in everything
    mail = unreachable(environment, stores=False)
    assert {"*:25", "*:2626"} <= set(mail) and not {"*:5432", "*:7777"} & set(mail)
