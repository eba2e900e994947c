"""What a store owes to the rules: each operation is one atomic step, and may be repeated."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from fungible_kit.tokens import Revoked, StoreUnavailable, Tokens
from fungible_kit.tokens.record import Row
from fungible_kit.tokens.sql import Table
from fungible_kit.tokens.store import (
    Create,
    Find,
    Insert,
    OfUser,
    Operation,
    Purge,
    Replace,
    RevokeLogin,
    RevokeUser,
    Touch,
)
from fungible_kit.tokens.tokens import open_store
from tests.kit.tokens.conftest import Clock
from tests.runtime.harness import wait_until

Execute = Callable[[Operation], Any]


@pytest.fixture(params=["threads", "loop"])
def execute(request: pytest.FixtureRequest, url: str, name: str) -> Iterator[Execute]:
    """A store's operation, by one of its faces."""
    store = open_store(url, name, 5)
    store.execute(Create())
    if request.param == "threads":
        yield store.execute
        store.close()
        return
    with asyncio.Runner() as runner:
        yield lambda operation: runner.run(store.aexecute(operation))
        runner.run(store.aclose())


@pytest.fixture
def row(clock: Clock) -> Row:
    now = int(clock())
    return Row(b"\x00\xff" * 16, "id1", "ann", "login", ("a", "b"), "Ä %s ?", now, now, now + 60, now + 600, now)


def other(row: Row, **words: Any) -> Row:
    return replace(row, **{"digest": b"\x01" * 32} | words)


def test_a_row_comes_back_as_it_was_kept(execute: Execute, row: Row) -> None:
    bare = other(row, scopes=(), label="", renew_until=None, id="id2")
    for each in (row, bare, row):
        execute(Insert(each))
    assert execute(Find(row.digest)) == row and execute(Find(bare.digest)) == bare
    assert execute(Find(b"\x02" * 32)) is None


def test_a_live_secret_is_replaced_once_or_in_its_grace(execute: Execute, row: Row) -> None:
    now = row.created
    execute(Insert(row))
    first, second, late = (other(row, digest=bytes([n]) * 32, issued=now + n) for n in (1, 2, 3))
    for _ in range(2):  # a repetition changes nothing
        assert execute(Replace(row.digest, first, now + 10, now - 20))
    assert execute(Replace(row.digest, second, now + 12, now + 9))
    assert execute(Find(row.digest)) == replace(row, replaced=now + 10)
    assert execute(Find(first.digest)) == first and execute(Find(second.digest)) == second
    assert not execute(Replace(row.digest, late, now + 40, now + 10))
    assert execute(Find(late.digest)) is None
    assert execute(Find(row.digest)).replaced == now + 10


@pytest.mark.parametrize("why", ["revoked", "expired", "unknown"])
def test_a_dead_secret_is_not_replaced(execute: Execute, row: Row, why: str) -> None:
    now, new = row.created + 1, other(row)
    execute(Insert(row))
    if why == "revoked":
        execute(RevokeLogin(row.id, now))
    old = b"\x03" * 32 if why == "unknown" else row.digest
    assert not execute(Replace(old, new, now + (60 if why == "expired" else 0), now - 30))
    assert execute(Find(new.digest)) is None


def test_revoking_counts_what_it_changes_and_keeps_when(execute: Execute, row: Row) -> None:
    now = row.created
    mine, bobs = other(row, id="id2"), other(row, digest=b"\x02" * 32, id="id3", user_id="bob")
    for each in (row, mine, bobs):
        execute(Insert(each))
    assert [execute(RevokeUser("ann", now + n, "id2")) for n in (1, 2)] == [1, 0]
    assert [execute(RevokeLogin("id2", now + n)) for n in (3, 4)] == [1, 0]
    assert [execute(Find(each.digest)).revoked for each in (row, mine, bobs)] == [now + 1, now + 3, None]
    assert execute(OfUser("ann", now)) == []
    (found,) = execute(OfUser("bob", now))
    assert (found.id, found.user_id) == ("id3", "bob")
    assert execute(OfUser("bob", now + 60)) == []


def test_a_use_is_noted_if_the_note_is_old(execute: Execute, row: Row) -> None:
    now = row.created
    execute(Insert(row))
    for at, before, noted in ((5, -1, 0), (600, 0, 600), (601, 1, 600)):
        execute(Touch(row.digest, now + at, now + before))
        assert execute(Find(row.digest)).last_used == now + noted
    execute(Touch(b"\x03" * 32, now, now))
    assert execute(Find(b"\x03" * 32)) is None


def test_purging_leaves_what_is_live(execute: Execute, row: Row) -> None:
    execute(Insert(row))
    execute(Purge(row.expires))
    assert execute(Find(row.digest)) == row


@pytest.mark.parametrize("by", ["user", "login"])
def test_t7_a_revocation_waits_for_a_refresh_on_its_way_and_revokes_what_it_made(
    by: str, postgres_url: str, name: str, row: Row, clock: Clock
) -> None:
    """PostgreSQL alone has statements that do not see what another is about to commit."""
    tokens = Tokens(postgres_url, prefix="acme", name=name, clock=clock)
    tokens.create()
    store = open_store(postgres_url, name, 5)
    store.execute(Insert(row))
    new = other(row)
    (statement,) = Table(name, "BYTEA", one_step=True).statements(Replace(row.digest, new, row.created, 0))
    revoked: list[int] = []
    with psycopg.connect(postgres_url) as refreshing, psycopg.connect(postgres_url, autocommit=True) as watching:
        refreshing.execute(statement.text.replace("?", "%s"), statement.parameters)
        revoke = (lambda: tokens.revoke_user("ann")) if by == "user" else (lambda: tokens.revoke(row.id))
        revoking = threading.Thread(target=lambda: revoked.append(revoke()))
        revoking.start()
        waits = f"SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{name} SET revoked%'"
        wait_until(lambda: watching.execute(waits).fetchone())
        refreshing.commit()
        revoking.join(60)
    assert revoked == [2]
    assert store.execute(Find(new.digest)).revoked is not None
    tokens.close()
    store.close()


def test_t7_a_revocation_between_the_look_and_the_step_wins(make: Callable[..., Tokens]) -> None:
    tokens = make()
    issued = tokens.issue("ann", renew_for="1d")
    execute = tokens._store.execute

    def interrupted(operation: Operation) -> Any:
        if isinstance(operation, Replace):
            execute(RevokeUser("ann", operation.now, None))
        return execute(operation)

    tokens._store.execute = interrupted  # type: ignore[method-assign]
    with pytest.raises(Revoked):
        tokens.refresh(f"Bearer {issued.secret}")
    assert tokens.of("ann") == []


def test_a_table_in_a_schema_of_its_own(postgres_url: str, name: str) -> None:
    tokens = Tokens(postgres_url, prefix="acme", name=name, schema="auth")
    with pytest.raises(StoreUnavailable, match='schema "auth" does not exist; make it: CREATE SCHEMA'):
        tokens.create()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA auth")
        tokens.create()
        tokens.create()
        issued = tokens.issue("ann", renew_for="1d")
        again = tokens.refresh(f"Bearer {issued.secret}")
        assert tokens.verify(f"Bearer {again.secret}").user_id == "ann" and len(tokens.of("ann")) == 1
        assert tokens.revoke_user("ann") == 2
        where = "SELECT schemaname FROM pg_tables WHERE tablename = %s"
        assert connection.execute(where, (name,)).fetchall() == [("auth",)]
        tokens.close()
        connection.execute("DROP SCHEMA auth CASCADE")


@pytest.mark.parametrize(
    ("url", "schema", "said"),
    [
        ("sqlite:///t.db", "auth", "only PostgreSQL has schemas, and this store is sqlite"),
        ("valkey://127.0.0.1", "auth", "only PostgreSQL has schemas, and this store is valkey"),
        ("postgres://127.0.0.1/app", "auth; DROP", "schema 'auth; DROP': 1 to 50 lower-case letters"),
    ],
)
def test_a_schema_that_cannot_be_is_refused(url: str, schema: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Tokens(url, prefix="acme", schema=schema)
