"""A store that goes away, comes back, or never answers."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import re
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import valkey

from fungible_kit.tokens import Invalid, StoreUnavailable, Tokens
from fungible_kit.tokens.store import Touch
from tests.kit.tokens.conftest import Clock, Face, Loop
from tests.kit.tokens.tap import PostgresTap
from tests.runtime.harness import wait_until


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of which nobody else can make use, and that refuses."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield listening.getsockname()[1]


@pytest.fixture
def well_formed(tmp_path: Path) -> str:
    tokens = Tokens(f"sqlite:///{tmp_path}/other.db", prefix="acme")
    secret = tokens.issue("ann").secret
    tokens.close()
    return f"Bearer {secret}"


@pytest.mark.parametrize("scheme", ["postgres", "valkey"])
@pytest.mark.parametrize("port", ["closed_port", "silent_port"])
def test_no_answer_is_told_within_the_deadline(
    scheme: str, port: str, well_formed: str, request: pytest.FixtureRequest
) -> None:
    url = f"{scheme}://127.0.0.1:{request.getfixturevalue(port)}/0"
    tokens = Tokens(url, prefix="acme", deadline=0.2)
    with pytest.raises(StoreUnavailable):
        tokens.verify(well_formed)

    async def by_loop() -> None:
        with pytest.raises(StoreUnavailable):
            await tokens.averify(well_formed)
        await tokens.aclose()

    asyncio.run(by_loop())


@pytest.mark.parametrize("scheme", ["postgres", "valkey"])
@pytest.mark.parametrize("port", ["closed_port", "silent_port"])
@pytest.mark.parametrize("way", ["threads", "loop"])
def test_after_three_failures_a_store_that_is_away_is_not_asked(
    scheme: str, port: str, way: str, well_formed: str, request: pytest.FixtureRequest
) -> None:
    tokens = Tokens(f"{scheme}://127.0.0.1:{request.getfixturevalue(port)}/0", prefix="acme", deadline="100ms")
    tokens._runner._breaker._pause = 3600
    with asyncio.Runner() as runner:
        face = Face(tokens, None if way == "threads" else runner)
        for _ in range(3):
            with pytest.raises(StoreUnavailable) as failed:
                face.verify(well_formed)
            assert "not asked again" not in str(failed.value)
        for call in (face.verify, face.refresh):
            with pytest.raises(StoreUnavailable, match="failed a moment ago and is not asked again yet"):
                call(well_formed)
        with pytest.raises(StoreUnavailable, match="not asked again yet"):
            face.issue("ann")
        answer = tokens.answer(StoreUnavailable("away"))
        assert answer.status == 503 and dict(answer.headers)["Retry-After"] == "1"
        with pytest.raises(Invalid):
            face.verify("Bearer junk")  # needs no store
        runner.run(tokens.aclose())


@pytest.mark.parametrize("scheme", ["postgres", "valkey"])
@pytest.mark.parametrize("way", ["threads", "loop"])
def test_a_store_that_is_away_is_told_once_with_its_place_and_the_reason(
    scheme: str, way: str, well_formed: str, closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = Tokens(f"{scheme}://u:sesame@127.0.0.1:{closed_port}/0", prefix="acme", deadline="250ms")
    with asyncio.Runner() as runner:
        face = Face(tokens, None if way == "threads" else runner)
        for _ in range(5):
            with pytest.raises(StoreUnavailable):
                face.verify(well_formed)
        runner.run(tokens.aclose())
    (told,) = warnings_in(caplog)
    assert told.startswith(f"{scheme} at 127.0.0.1:{closed_port} cannot be used: ")
    assert re.search("refused|Error 111" if scheme == "valkey" else "no answer in time", told)  # the pool says why
    assert "sesame" not in told and well_formed not in told


def test_a_store_that_is_back_is_told(tmp_path: Path, well_formed: str, caplog: pytest.LogCaptureFixture) -> None:
    tokens = Tokens(f"sqlite:///{tmp_path}/folder/t.db", prefix="acme")
    (tmp_path / "folder").write_text("no folder yet")
    with pytest.raises(StoreUnavailable):
        tokens.verify(well_formed)
    (tmp_path / "folder").unlink()
    (tmp_path / "folder").mkdir()
    for _ in range(2):
        with pytest.raises(Invalid):
            tokens.verify(well_formed)
    tokens.close()
    began, back = warnings_in(caplog)
    assert "cannot be used: " in began and back == f"the file {tmp_path}/folder/t.db is back"


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "fungible_kit.tokens" and record.levelno == logging.WARNING
    ]


@pytest.mark.parametrize("way", ["threads", "loop"])
def test_a_database_that_is_frozen_is_given_up_in_time_and_found_again(
    postgres_url: str, name: str, background: Loop, way: str
) -> None:
    """It acknowledges packets and says nothing; the test's own time limit is the judge of the wait."""
    tap = PostgresTap()
    url = background.run(tap.serve(postgres_url))
    tokens = Tokens(url, prefix="acme", name=name, deadline="10s")
    tokens.create()
    issued = f"Bearer {tokens.issue('ann').secret}"
    tokens.close()
    tokens = Tokens(url, prefix="acme", name=name, deadline="500ms")
    with asyncio.Runner() as runner:
        face = Face(tokens, None if way == "threads" else runner)
        wait_until(lambda: lets_in(face, issued))
        background.loop.call_soon_threadsafe(tap.answers.clear)
        wait_until(lambda: not lets_in(face, issued))
        assert not lets_in(face, issued)
        background.loop.call_soon_threadsafe(tap.answers.set)
        wait_until(lambda: lets_in(face, issued))
        runner.run(tokens.aclose())


def lets_in(face: Face, header: str) -> bool:
    try:
        return bool(face.verify(header))
    except StoreUnavailable:
        return False


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_a_store_that_answers_with_an_error_is_not_away(
    url: str, kind: str, tmp_path: Path, well_formed: str
) -> None:
    """Whoever asks the next time is told what is wrong, and not that the store is not asked."""
    if kind == "sqlite":
        (tmp_path / "tokens.db").write_bytes(b"no database" * 100)
    tokens = Tokens(url, prefix="acme", name="not_made")
    for _ in range(5):
        with pytest.raises(StoreUnavailable, match=r"no table not_made|not a database"):
            tokens.verify(well_formed)
    tokens.close()


def test_a_locked_sqlite_file_is_told(tmp_path: Path) -> None:
    tokens = Tokens(f"sqlite:///{tmp_path}/t.db", prefix="acme", deadline=0.05)
    issued = tokens.issue("ann")
    with closing(sqlite3.connect(tmp_path / "t.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            tokens.issue("ann")
        assert tokens.verify(f"Bearer {issued.secret}")  # who only asks does not wait for who writes
        other.execute("ROLLBACK")
    assert tokens.issue("ann")
    tokens.close()


@pytest.mark.parametrize("kind", ["postgres", "valkey"])
def test_connections_that_the_server_cut_are_replaced(face: Face, kind: str, url: str) -> None:
    secrets = [face.issue("ann").secret for _ in range(3)]
    for secret in secrets:
        cut(kind, url)
        assert face.verify(f"Bearer {secret}").user_id == "ann"
        cut(kind, url)
        face.issue("bob")
    assert len(face.of("bob")) == 3


def cut(kind: str, url: str) -> None:
    if kind == "postgres":
        with psycopg.connect(url) as connection:
            ours = "FROM pg_stat_activity WHERE application_name = 'fungible-tokens'"
            connection.execute(f"SELECT pg_terminate_backend(pid, 5000) {ours}")
    else:
        with valkey.Valkey.from_url(url) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def test_a_database_that_comes_back_is_found_again(postgres_url: str, name: str, background: Loop) -> None:
    with socket.socket() as bound, asyncio.Runner() as runner:
        bound.bind(("127.0.0.1", 0))  # refuses, until it listens
        address = "{}:{}".format(*bound.getsockname())
        url = re.sub(r"@[^/]+", f"@{address}", postgres_url) + "?sslmode=disable&gssencmode=disable"
        tokens = Tokens(url, prefix="acme", name=name, deadline=0.5)
        faces = Face(tokens, None), Face(tokens, runner)
        for face in faces:
            with pytest.raises(StoreUnavailable):
                face.create()
        background.run(PostgresTap().serve(postgres_url, bound))
        for face in faces:
            wait_until(lambda face=face: answers(face))
            assert face.verify(f"Bearer {face.issue('ann').secret}")
        runner.run(tokens.aclose())


def answers(face: Face) -> bool:
    try:
        face.create()
    except StoreUnavailable:
        return False
    return True


@pytest.mark.parametrize("kind", ["valkey"])
def test_a_server_that_forgot_the_scripts_gets_them_again(face: Face, url: str) -> None:
    face.issue("ann")
    with valkey.Valkey.from_url(url) as client:
        client.script_flush()
    assert face.verify(f"Bearer {face.issue('ann').secret}")


@pytest.mark.parametrize("kind", ["postgres"])
def test_a_missing_table_is_told_with_what_makes_it(url: str, well_formed: str) -> None:
    tokens = Tokens(url, prefix="acme", name="not_made")
    with pytest.raises(StoreUnavailable, match=r"no table not_made.* python -m fungible_kit\.tokens create"):
        tokens.verify(well_formed)
    tokens.close()


def test_a_use_that_cannot_be_noted_does_not_keep_the_request_out(
    make: Callable[..., Tokens], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = make()
    issued = tokens.issue("ann")
    execute = tokens._store.execute

    def read_only(operation: Any) -> Any:
        if isinstance(operation, Touch):
            raise StoreUnavailable("read-only")
        return execute(operation)

    tokens._store.execute = read_only  # type: ignore[method-assign]
    clock.now += 3600
    assert tokens.verify(f"Bearer {issued.secret}")
    assert "was not noted" in caplog.text and issued.secret not in caplog.text


def test_a_fork_opens_connections_of_its_own(make: Callable[..., Tokens]) -> None:
    """As under gunicorn --preload: parent and child ask at the same time and get their own answers."""
    tokens = make()
    mine, childs = tokens.issue("parent"), tokens.issue("child")
    ours, theirs = multiprocessing.Pipe()
    child = os.fork()
    if child == 0:
        wrong = 1
        try:
            theirs.send("born")
            wrong = sum(tokens.verify(f"Bearer {childs.secret}").user_id != "child" for _ in range(200))
        finally:
            os._exit(min(wrong, 100))
    assert ours.recv() == "born"
    assert all(tokens.verify(f"Bearer {mine.secret}").user_id == "parent" for _ in range(200))
    assert os.waitpid(child, 0)[1] == 0


def test_answers_never_cross_when_requests_are_cancelled(make: Callable[..., Tokens]) -> None:
    """Requests of two users, each second one cancelled on its way: nobody gets the other's answer."""
    tokens = make()

    async def scenario() -> None:
        users = {name: (await tokens.aissue(name)).secret for name in ("ann", "bob")}
        for turn in range(60):
            name = ("ann", "bob")[turn % 2]
            doomed = asyncio.create_task(tokens.averify(f"Bearer {users['bob' if name == 'ann' else 'ann']}"))
            for _ in range(turn % 7):
                await asyncio.sleep(0)
            doomed.cancel()
            assert (await tokens.averify(f"Bearer {users[name]}")).user_id == name
            await asyncio.gather(doomed, return_exceptions=True)
        await tokens.aclose()

    asyncio.run(scenario())


def test_many_at_once_share_few_connections(make: Callable[..., Tokens]) -> None:
    tokens = make()

    async def scenario() -> None:
        issued = [await tokens.aissue(number) for number in range(5)]
        found = await asyncio.gather(*(tokens.averify(f"Bearer {issued[n % 5].secret}") for n in range(200)))
        assert [grant.user_id for grant in found] == [str(n % 5) for n in range(200)]
        await tokens.aclose()

    asyncio.run(scenario())
