"""Which process the router chooses, what it sends once more, and whom it asks to wait."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.runtime.router_upstreams import App, alternates, bodies, stage


@pytest.mark.parametrize("unix", [False, True])
def test_a_lone_keep_alive_client_meets_the_processes_in_turn(unix: bool) -> None:
    async def scene() -> None:
        async with stage("a", "b", unix=unix) as s, s.client() as client:
            names = await bodies(client, 10)
            assert Counter(names) == {"a": 5, "b": 5}
            assert alternates(names)
            mixed = [n for _ in range(5) for n in await bodies(client, 1, "/", "POST") + await bodies(client, 1)]
            assert alternates(mixed)

    asyncio.run(scene())


def test_three_processes_are_chosen_equally_by_many_clients() -> None:
    async def scene() -> None:
        async with stage("a", "b", "c") as s, s.client(8) as client:
            answers = await asyncio.gather(*(client.get("/") for _ in range(90)))
            assert Counter(a.text for a in answers) == {"a": 30, "b": 30, "c": 30}

    asyncio.run(scene())


def test_a_challenge_that_belongs_to_a_connection_ties_no_client_to_a_process() -> None:
    async def scene() -> None:
        async with stage("a", "b") as s, s.client() as client:
            challenge = await client.get("/401")
            assert challenge.headers.get_list("www-authenticate") == ["Negotiate", "Basic"]
            assert alternates(await bodies(client, 6))

    asyncio.run(scene())


def test_a_get_without_an_answer_is_sent_once_more_and_elsewhere() -> None:
    async def scene() -> None:
        async with stage("a", "b", "c") as s, s.client() as client:
            await bodies(client, 6)
            for app in s.apps:
                app.seen.clear()
            failed = await client.get("/close")
            assert failed.status_code == 502
            assert failed.headers["fungible-cause"] == "crashed"
            assert sorted(len(app.seen) for app in s.apps) == [0, 1, 1]
            (event,) = await s.events.wait("router.request", path="/close")
            assert event.data["retries"] == 1
            assert event.data["cause"] == "crashed"

    asyncio.run(scene())


@pytest.mark.parametrize("warm", [False, True], ids=["first request", "keep-alive"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_what_may_not_be_sent_twice_is_not_and_says_so(method: str, warm: bool) -> None:
    async def scene() -> None:
        async with stage("a", "b") as s, s.client() as client:
            if warm:
                await bodies(client, 4)
            failed = await client.request(method, "/close", content=b"x")
            assert failed.status_code == 502
            assert failed.headers["fungible-cause"] == "crashed"
            assert sum(r.path == "/close" for app in s.apps for r in app.seen) == 1
            await s.events.wait("router.request", path="/close", cause="crashed", retries=0)

    asyncio.run(scene())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_connection_is_retried_elsewhere_for_any_method(method: str) -> None:
    async def scene() -> None:
        async with stage("a", "b") as s, s.client() as client:
            await bodies(client, 2)
            s.apps[0].die()
            answers = [await client.request(method, "/") for _ in range(6)]
            assert [a.text for a in answers] == ["b"] * 6

    asyncio.run(scene())


def test_two_dead_processes_are_answered_as_crashed() -> None:
    async def scene() -> None:
        async with stage("a", "b") as s, s.client() as client:
            for app in s.apps:
                app.die()
            failed = await client.post("/")
            assert (failed.status_code, failed.headers["fungible-cause"]) == (503, "crashed")
            assert failed.json()["cause"] == "crashed"

    asyncio.run(scene())


def test_an_answer_that_the_app_gave_is_an_answer() -> None:
    async def scene() -> None:
        async with stage("a", "b") as s, s.client() as client:
            mine = await client.get("/503")
            assert (mine.status_code, mine.text) == (503, "mine")
            assert "fungible-cause" not in mine.headers  # only the router says a cause
            assert sum(len(app.seen) for app in s.apps) == 1
            (event,) = await s.events.wait("router.request", path="/503")
            assert event.data["cause"] is None

    asyncio.run(scene())


def test_a_process_that_is_silent_is_a_time_out_and_no_retry() -> None:
    async def scene() -> None:
        async with stage("a", "b", request_timeout=0.3) as s, s.client() as client:
            failed = await client.get("/wait")
            assert (failed.status_code, failed.headers["fungible-cause"]) == (504, "backend-timeout")
            assert sum(len(app.seen) for app in s.apps) == 1

    asyncio.run(scene())


def test_a_client_may_wait_longer_than_it_may_be_silent_itself() -> None:
    async def scene() -> None:
        async with stage("a", client_timeout=1) as s, s.client() as client:
            waiting = asyncio.create_task(client.get("/wait"))
            await s.apps[0].entered.acquire()
            await asyncio.sleep(1.5)
            s.apps[0].gate.set()
            assert (await waiting).text == "a"

    asyncio.run(scene())


def test_no_process_is_answered_at_once_with_the_cause_that_was_set() -> None:
    async def scene() -> None:
        async with stage() as s, s.client() as client:
            assert (await client.get("/")).headers["fungible-cause"] == "starting"
            for cause in ("no-process", "no-release", "crashed", "boot-timeout"):
                await s.router.set_cause(cause)
                failed = await client.get("/")
                assert (failed.status_code, failed.headers["fungible-cause"]) == (503, cause)
                assert failed.headers["content-type"] == "application/json"
                assert failed.json()["cause"] == cause
                page = await client.get("/", headers={"Accept": "text/html,*/*"})
                assert page.headers["content-type"] == "text/html; charset=utf-8"
                assert cause in page.text and page.text.startswith("<!doctype html>")
            await s.add(await App("a").start())
            assert (await client.get("/")).text == "a"
            with pytest.raises(ValueError, match="no-process"):
                await s.router.set_cause("because")

    asyncio.run(scene())


def test_an_in_flight_limit_queues_and_the_queue_times_out() -> None:
    async def scene() -> None:
        async with stage("a", max_in_flight=1, queue_timeout=1) as s, s.client(3) as client:
            first = asyncio.create_task(client.get("/wait"))
            await s.apps[0].entered.acquire()
            assert (await s.router.in_flight())["a"] == 1
            late = await client.get("/")
            assert (late.status_code, late.headers["fungible-cause"]) == (503, "queue-timeout")
            (event,) = await s.events.wait("router.request", cause="queue-timeout")
            assert event.data["queue_ms"] >= 900
            queued = asyncio.create_task(client.get("/"))
            s.apps[0].gate.set()
            assert (await first).text == (await queued).text == "a"
            assert [r.path for r in s.apps[0].seen] == ["/wait", "/"]

    asyncio.run(scene())
