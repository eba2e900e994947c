"""What the router forwards, adds and refuses."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
import pytest

from tests.runtime.router_upstreams import stage


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


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-For",
        "x-FORWARDED-prefix",
        "X_Forwarded-Proto",
        "X-Forwarded_" + "a" * 240,
        "Forwarded",
        "X-Real-IP",
        "x-real_ip",
        "X-Request-ID",
        "X_Request-Id",
        "Proxy",
    ],
)
def test_each_of_these_headers_is_deleted_where_it_stands_alone_and_its_likes_are_kept(name: str) -> None:
    async def scene() -> None:
        async with stage("a") as s:
            kept = ["X-Forwarded", "Forwarded-For", "X-Real-IPs", "My-Request-Id", "Proxy-Hint", "X_Kept"]
            for names in ([name], [name, *kept], kept):
                lines = "".join(f"{each}: forged\r\n" for each in names)
                await s.raw(f"GET / HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n".encode())
            seen = [[found for found, value in request.headers if value == "forged"] for request in s.apps[0].seen]
            assert seen == [[], [each.lower() for each in kept], [each.lower() for each in kept]]

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
