"""How connections to Valkey and Redis are lent: none that the server has cut, few at a time, none for too long."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
import redis
import redis.asyncio
import valkey

from fungible_kit import Sessions
from fungible_kit.services import valkey as valkey_service
from fungible_kit.services.deadlines import Deadlines
from fungible_kit.services.sql import Statement
from fungible_kit.sessions import StoreUnavailable
from tests.kit.sessions import apps
from tests.kit.sessions.clients import AsgiBrowser, WsgiBrowser
from tests.kit.sessions.servers import running


@pytest.mark.parametrize("library", ["valkey", "redis"])
def test_connections_that_the_server_cut_are_replaced_before_something_is_written(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write is never tried twice, so it must not be sent where nobody reads."""
    if library == "redis":
        monkeypatch.setattr(valkey_service, "client_library", lambda: (redis, False))

    async def talk(url: str) -> None:
        sessions = Sessions(url, deadline="10s")
        threads = WsgiBrowser(apps.wsgi(sessions))
        loop = AsgiBrowser(apps.asgi(sessions, preload=False), threads.jar)
        for turn in range(3):
            answer = threads.get(f"/set/a/{turn}")
            assert answer.status == 200, answer.text
            assert (await loop.aget(f"/set/b/{turn}")).status == 200
            with valkey.Valkey.from_url(url) as client:
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                while len(client.client_list()) > 1:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.01)  # the loop takes note
        assert threads.get("/all").text == '{"a": 2, "b": 2}'
        await sessions.aclose()
        sessions.close()

    with running("valkey", tmp_path) as url:
        asyncio.run(talk(url))


def test_a_database_that_cut_its_connections_is_written_to_and_never_twice(servers: dict[str, str]) -> None:
    url = servers["postgres"]
    cut = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'fungible-sessions'"
    suicide = Statement("SELECT nextval('attempts'), pg_terminate_backend(pg_backend_pid())")

    async def talk() -> None:
        sessions = Sessions(url, deadline="10s")
        threads = WsgiBrowser(apps.wsgi(sessions))
        loop = AsgiBrowser(apps.asgi(sessions, preload=False), threads.jar)
        with psycopg.connect(url, autocommit=True) as other:
            for turn in range(3):
                assert threads.get(f"/set/a/{turn}").status == 200
                assert (await loop.aget(f"/set/b/{turn}")).status == 200
                other.execute(cut)
            assert threads.get("/all").text == '{"a": 2, "b": 2}'
            assert (await loop.aget("/set/b/2")).status == 200  # a connection that lives, for what is not tried again
            other.execute("CREATE SEQUENCE attempts")
            with pytest.raises(StoreUnavailable):
                sessions._sync_store()._connections.run([suicide], again=False)  # type: ignore[attr-defined]
            with pytest.raises(StoreUnavailable):
                await sessions._async_store()._connections.arun([suicide], again=False)  # type: ignore[attr-defined]
            assert other.execute("SELECT last_value FROM attempts").fetchone() == (2,)
            other.execute("DROP SEQUENCE attempts")
        await sessions.aclose()
        sessions.close()

    asyncio.run(talk())


def test_a_thousand_requests_at_once_open_few_connections(valkey_url: str) -> None:
    async def talk() -> None:
        sessions = Sessions(valkey_url, deadline="30s")
        browser = AsgiBrowser(apps.asgi(sessions))
        await browser.aget("/set/a/1")
        answers = await asyncio.gather(*(browser.aget("/all") for _ in range(1000)))
        assert {(answer.status, answer.text) for answer in answers} == {(200, '{"a": 1}')}
        connections = sessions._async_store()._connections  # type: ignore[attr-defined]
        (ours,) = connections._loops.values()
        assert len(ours.idle) == valkey_service.MOST_CONNECTIONS
        await sessions.aclose()

    asyncio.run(talk())


def test_a_deadline_ends_the_call_and_not_the_request_and_a_cancelled_request_stays_cancelled() -> None:
    """As `asyncio.timeout` does: who is cancelled from outside while a call is late is cancelled."""

    async def late(limit: Deadlines) -> str:
        call = limit.begin()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if call.is_the_reason():
                return "late"
            raise
        finally:
            limit.end(call)
        raise AssertionError

    async def both() -> None:
        limit = Deadlines(asyncio.get_running_loop(), 0.02)
        assert await asyncio.gather(*(late(limit) for _ in range(3))) == ["late"] * 3
        assert await late(limit) == "late"  # the task goes on
        patient = Deadlines(asyncio.get_running_loop(), 3600)
        task = asyncio.create_task(late(patient))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        twice = asyncio.create_task(late(limit))
        await asyncio.sleep(0)
        next(iter(limit._calls)).expire()
        twice.cancel()
        with pytest.raises(asyncio.CancelledError):
            await twice

    asyncio.run(both())
