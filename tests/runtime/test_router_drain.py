"""Streams through the router, and processes that are taken from it."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from fungible.runtime.router import router
from tests.runtime.router_upstreams import App, Stage, bodies, stage, until


async def hold_events(s: Stage, client: httpx.AsyncClient, got: list[str], opened: asyncio.Event) -> None:
    async with client.stream("GET", "/events", headers={"Accept": "text/event-stream"}) as response:
        async for line in response.aiter_lines():
            if line:
                got.append(line)
                opened.set()


def test_server_sent_events_pass_at_once_and_outlast_the_request_time_out() -> None:
    async def scene() -> None:
        async with stage("a", request_timeout=1, client_timeout=1) as s, s.client() as client:
            got: list[str] = []
            opened = asyncio.Event()
            reading = asyncio.create_task(hold_events(s, client, got, opened))
            async with asyncio.timeout(20):
                await opened.wait()
            assert got == ["data: 1"]  # while the app still holds the answer open
            assert (await s.router.in_flight())["a"] == 0
            await asyncio.sleep(1.5)
            s.apps[0].gate.set()
            await reading
            assert got == ["data: 1", "data: 2"]
            (request,) = s.apps[0].seen
            assert request.all("connection") == ["close"], "who stops need not wait until an idle one is closed"

    asyncio.run(scene())


def test_a_process_that_is_idle_in_a_drain_keeps_no_connection_of_the_router(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is told to stop may wait for those: gunicorn's threads for two seconds, Node for five."""
    words = router.server_words
    monkeypatch.setattr(router, "server_words", lambda *told: words(*told).replace("delay 2s", "delay 1h"))

    async def scene() -> None:
        async with stage("a", "b") as s, s.client() as client:
            assert sorted(await bodies(client, 4)) == ["a", "a", "b", "b"]
            a, b = s.apps
            assert a.writers and b.writers
            await s.router.drain("a")
            assert await s.router.wait_idle("a", 10)
            await until(lambda: not a.writers)
            kept = set(b.writers)
            assert await bodies(client, 2) == ["b", "b"]
            assert b.writers == kept, "those of others are used on"
            await s.router.remove("a")

    asyncio.run(scene())


async def websocket(s: Stage) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
    writer.write(
        b"GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert b" 101 " in head and b"s3pplmbitxaq9kygzzhzrbk+xoo=" in head
    return reader, writer


def test_a_websocket_passes_and_does_not_hold_up_a_drain() -> None:
    async def scene() -> None:
        async with stage("a", request_timeout=1, client_timeout=1, keep_alive_timeout=1) as s:
            reader, writer = await websocket(s)
            await asyncio.sleep(1.5)
            writer.write(b"\x81\x02hi")
            assert await reader.readexactly(4) == b"\x81\x02hi"
            assert (await s.router.in_flight())["a"] == 0
            await s.router.drain("a")
            assert await s.router.wait_idle("a", 0)
            writer.write(b"\x81\x02ho")
            assert await reader.readexactly(4) == b"\x81\x02ho"  # it goes on until somebody closes it
            await s.router.close_streams("a")
            assert await reader.read() == b""
            writer.close()
            await s.events.wait("router.request", path="/socket", cause="closed")
            await s.router.remove("a")

    asyncio.run(scene())


def test_a_large_stream_passes_unbuffered_and_whole() -> None:
    async def scene() -> None:
        size = 30_000_000
        async with stage("a") as s:
            reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(30):
                writer.write(b"x" * 1_000_000)
                await writer.drain()
            assert (await reader.read()).endswith(b"\r\n\r\na")
            assert len(s.apps[0].seen[0].body) == size
            writer.close()

    asyncio.run(scene())


def test_a_drain_under_load_loses_nothing() -> None:
    async def scene() -> None:
        async with stage("a", "b") as s, s.client(16) as client:
            running, wrong = True, []

            async def load(method: str) -> int:
                count = 0
                while running:
                    response = await client.request(method, "/")
                    count += 1
                    if response.status_code != 200:
                        wrong.append(response.headers)
                return count

            loads = [asyncio.create_task(load(m)) for m in ("GET", "POST") * 6]
            for generation in range(4):
                for app in list(s.apps[-2:]):
                    fresh = await App(f"{app.name}{generation}").start()
                    await s.add(fresh)
                    await s.router.drain(app.name)
                    assert await s.router.wait_idle(app.name, 20)
                    after = len(app.seen)
                    app.die()  # nothing of a client may be left in it
                    await s.router.remove(app.name)
                    assert len(app.seen) == after
            running = False
            assert sum(await asyncio.gather(*loads)) > 50
            assert wrong == []

    asyncio.run(scene())


def test_a_drained_process_finishes_what_it_has_and_gets_nothing_more() -> None:
    async def scene() -> None:
        async with stage("a", "b") as s, s.client(4) as client:
            first = asyncio.create_task(client.post("/wait"))
            await s.apps[0].entered.acquire()
            await s.router.drain("a")
            assert set(await bodies(client, 6)) == {"b"}
            assert not await s.router.wait_idle("a", 0.1)
            waiting = asyncio.create_task(s.router.wait_idle("a", 20))
            s.apps[0].gate.set()
            assert (await first).text == "a"
            assert await waiting
            await s.router.remove("a")
            assert "a" not in await s.router.in_flight()

    asyncio.run(scene())


def test_killed_processes_cost_no_idempotent_request() -> None:
    async def scene() -> None:
        async with stage("a", "b", "c") as s, s.client(8) as client:
            running, wrong = True, []

            async def load() -> None:
                while running:
                    response = await client.get("/")
                    if response.status_code != 200:
                        wrong.append(response.headers)

            loads = [asyncio.create_task(load()) for _ in range(8)]
            for generation in range(5):
                victim = s.apps[-3]
                await s.add(await App(f"n{generation}").start())
                victim.die()
                await s.router.remove(victim.name)
            running = False
            await asyncio.gather(*loads)
            assert wrong == []

    asyncio.run(scene())


def test_unknown_and_dead_processes_can_be_drained_and_removed() -> None:
    async def scene() -> None:
        async with stage("a", "b") as s, s.client() as client:
            await s.router.drain("nobody")
            assert await s.router.wait_idle("nobody", 0)
            await s.router.remove("nobody")
            await s.router.close_streams("nobody")
            s.apps[0].die()
            await s.router.remove("a")
            await s.router.remove("a")
            assert set(await bodies(client, 4)) == {"b"}
            await s.router.remove("b")
            await s.router.set_cause("no-process")
            assert (await client.get("/")).headers["fungible-cause"] == "no-process"

    asyncio.run(scene())


def test_a_removed_process_that_still_works_is_cut_off() -> None:
    async def scene() -> None:
        async with stage("a") as s, s.client() as client:
            hanging = asyncio.create_task(client.post("/wait"))
            await s.apps[0].entered.acquire()
            await s.router.remove("a")
            cut = await hanging
            assert (cut.status_code, cut.headers["fungible-cause"]) == (502, "crashed")
            assert await s.router.in_flight() == {}

    asyncio.run(scene())
