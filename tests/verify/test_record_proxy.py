"""The proxy changes nothing that ends may rely on: streams, framing, upgrades, leaving early, connections."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.app.problem import Problem
from fungible.verify.record.forward import end_to_end, for_app, for_client
from fungible.verify.record.passage import LONGEST_BODY
from fungible.verify.record.proxy import Proxy
from fungible.verify.record.upstream import Upstream, upstream_of

from .record_apps import recording

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def between(handler: Handler) -> AsyncIterator[tuple[Proxy, Callable[[], Awaitable[Streams]]]]:
    """An app that is `handler`, a proxy in front of it, and a way to connect to the proxy."""
    opened: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()

    async def connect() -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        opened.append(writer)
        return reader, writer

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with recording(f"127.0.0.1:{server.sockets[0].getsockname()[1]}") as (proxy, url):
        port = int(url.rpartition(":")[2])
        try:
            yield proxy, connect
        finally:
            for writer in opened:
                writer.close()
    server.close()


async def head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def fixed(answer: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(answer)
        await writer.drain()

    return handler


def go(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))  # type: ignore[arg-type]


GET = b"GET /a?b=%20c HTTP/1.1\r\nHost: shop.test\r\n\r\n"


def test_every_event_of_a_stream_passes_at_once() -> None:
    """The app sends the next event only when the client has had the last one."""
    had = asyncio.Queue[None]()

    async def events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in range(3):
            writer.write(b"data: %d\n\n" % number)
            await writer.drain()
            await had.get()

    async def test() -> None:
        async with between(events) as (proxy, connect):
            reader, writer = await connect()
            writer.write(GET)
            assert b"chunked" in await head(reader)
            for number in range(3):
                assert await reader.readuntil(b"\n\n\r\n") == b"9\r\ndata: %d\n\n\r\n" % number
                had.put_nowait(None)
            assert await reader.readuntil(b"0\r\n\r\n")
        assert [each.answer.body for each in proxy.exchanges] == [b"data: 0\n\ndata: 1\n\ndata: 2\n\n"]

    go(test)


def test_a_stream_that_the_client_leaves_ends_in_the_app_and_is_counted() -> None:
    ended = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n")
        assert await reader.read() == b""
        ended.set()

    async def test() -> None:
        async with between(endless) as (proxy, connect):
            reader, writer = await connect()
            writer.write(GET)
            await reader.readuntil(b"data: 1\n\n")
            writer.close()
            await ended.wait()
        assert (proxy.losses.unfinished, proxy.exchanges) == (1, [])

    go(test)


def test_a_body_in_chunks_passes_as_it_comes_with_its_trailers() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"transfer-encoding: chunked" in (await head(reader)).lower()
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while (line := await reader.readuntil(b"\r\n")) != b"0\r\n":
            writer.write(line + await reader.readuntil(b"\r\n"))
            await writer.drain()
        writer.write(b"0\r\n" + await reader.readuntil(b"\r\n\r\n"))
        await writer.drain()

    async def test() -> None:
        async with between(echo) as (proxy, connect):
            reader, writer = await connect()
            writer.write(b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            await head(reader)
            for word in (b"one", b"two"):
                writer.write(b"3\r\n%s\r\n" % word)
                assert await reader.readuntil(word + b"\r\n") == b"3\r\n%s\r\n" % word
            writer.write(b"0\r\nSum: 2\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"0\r\nSum: 2\r\n\r\n"
        assert proxy.exchanges[0].body == b"onetwo" == proxy.exchanges[0].answer.body

    go(test)


def test_an_upload_that_is_too_long_to_record_passes() -> None:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        left = LONGEST_BODY + 1
        while left:
            left -= len(await reader.read(min(left, 1 << 20)))
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def test() -> None:
        async with between(count) as (proxy, connect):
            reader, writer = await connect()
            writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (LONGEST_BODY + 1))
            for _ in range(LONGEST_BODY >> 20):
                writer.write(bytes(1 << 20))
                await writer.drain()
            writer.write(b"x")
            assert b" 201 Created" in await head(reader)
        assert (proxy.losses.large, proxy.exchanges) == (1, [])

    go(test)


def test_the_app_is_asked_before_a_body_is_sent() -> None:
    async def wary(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"100-continue" in await head(reader)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(2)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body)
        await writer.drain()

    async def test() -> None:
        async with between(wary) as (_, connect):
            reader, writer = await connect()
            writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            assert (await head(reader)).startswith(b"HTTP/1.1 100 ")
            writer.write(b"ok")
            await head(reader)
            assert await reader.readexactly(2) == b"ok"

    go(test)


def test_a_websocket_passes_and_is_counted() -> None:
    async def socket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await head(reader)).lower()
        assert b"upgrade: websocket" in asked and b"connection: upgrade" in asked and b"sec-websocket-key: k" in asked
        writer.write(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX: y\r\n\r\nhello")
        while data := await reader.read(100):
            writer.write(data.upper())
            await writer.drain()

    async def test() -> None:
        async with between(socket) as (proxy, connect):
            reader, writer = await connect()
            keys = b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\nearly"
            writer.write(b"GET /ws HTTP/1.1\r\nHost: h\r\n" + keys)
            answer = await head(reader)
            assert answer.startswith(b"HTTP/1.1 101") and b"x: y" in answer.lower()
            assert await reader.readexactly(10) == b"helloEARLY"
            writer.write(b"late")
            assert await reader.readexactly(4) == b"LATE"
            writer.write_eof()
            assert await reader.read() == b""
        assert (proxy.losses.websockets, proxy.losses.unfinished, proxy.exchanges) == (1, 0, [])

    go(test)


def test_a_connection_is_used_again_and_answers_stay_apart() -> None:
    numbers = iter(range(10))

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method = (await head(reader)).split()[0]
        number = b"%d" % next(numbers)
        body = b"" if method == b"HEAD" else number
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-Number: " + number + b"\r\n\r\n" + body)
        await writer.drain()

    async def test() -> None:
        async with between(handler) as (proxy, connect):
            reader, writer = await connect()
            writer.write(GET + GET.replace(b"GET", b"HEAD") + GET)  # pipelined
            for number in range(3):
                assert b"X-Number: %d" % number in await head(reader)
                if number != 1:
                    assert await reader.readexactly(1) == b"%d" % number
        assert [(each.method, each.connection) for each in proxy.exchanges] == [
            ("GET", 0),
            ("HEAD", 0),
            ("GET", 0),
        ]

    go(test)


def test_a_cut_answer_is_cut_for_the_client_as_well() -> None:
    async def test() -> None:
        async with between(fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")) as (proxy, connect):
            reader, writer = await connect()
            writer.write(GET)
            await head(reader)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b"half"
        assert (proxy.losses.unfinished, proxy.exchanges) == (1, [])

    go(test)


@pytest.mark.parametrize("answer", [b"", b"SMTP ready\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
def test_no_answer_is_a_502_that_is_not_recorded(answer: bytes) -> None:
    async def test() -> None:
        async with between(fixed(answer)) as (proxy, connect):
            reader, writer = await connect()
            writer.write(GET)
            assert b" 502 " in await head(reader)
        assert (proxy.losses.unreachable, proxy.exchanges) == (1, [])

    go(test)


def test_an_app_that_is_not_there_is_a_502() -> None:
    async def test() -> None:
        async with recording("unix@/nonexistent/socket") as (proxy, url):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(GET)
            assert b" 502 " in await head(reader)
            writer.close()
        assert proxy.losses.unreachable == 1

    go(test)


@pytest.mark.parametrize("head_line", [b"CONNECT other:443 HTTP/1.1", b"GET http://other/ HTTP/1.1"])
def test_requests_to_other_hosts_are_refused(head_line: bytes) -> None:
    async def test() -> None:
        async with between(fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as (proxy, connect):
            reader, writer = await connect()
            writer.write(head_line + b"\r\nHost: shop.test\r\n\r\n")
            assert b" 421 " in await head(reader)
        assert proxy.exchanges == []

    go(test)


def test_an_early_answer_reaches_a_client_that_still_sends() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def test() -> None:
        async with between(handler) as (_, connect):
            reader, writer = await connect()
            writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n")
            for _ in range(20):
                writer.write(bytes(10000))
            assert b" 413 " in await head(reader)

    go(test)


def test_packed_answers_are_asked_for_and_read() -> None:
    asked: list[bytes] = []
    packed = gzip.compress(b'{"id": "4fK9xPq2LmZ8"}')

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await head(reader)).lower())
        start = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
        writer.write(start + packed)
        await writer.drain()

    async def test() -> None:
        async with between(handler) as (proxy, connect):
            reader, writer = await connect()
            writer.write(GET.replace(b"\r\n\r\n", b"\r\nAccept-Encoding: br, gzip;q=0.5, zstd\r\n\r\n"))
            await head(reader)
            assert await reader.readexactly(len(packed)) == packed
            assert b"accept-encoding: gzip;q=0.5\r\n" in asked[0]
        assert proxy.exchanges[0].answer.body == b'{"id": "4fK9xPq2LmZ8"}'

    go(test)


def test_what_is_under_way_at_the_end_is_counted() -> None:
    begun = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        begun.set()
        await reader.read()

    async def test() -> None:
        async with between(handler) as (proxy, connect):
            _, writer = await connect()
            writer.write(GET)
            await begun.wait()
            await connect()
            await proxy.stop()
        assert (proxy.losses.unfinished, proxy.exchanges) == (1, [])

    go(test)


def test_only_what_concerns_the_connection_is_changed() -> None:
    headers = [
        (b"Host", b"h"),
        (b"Connection", b"x-hop, Host"),
        (b"X-Hop", b"1"),
        (b"Keep-Alive", b"5"),
        (b"TE", b"x"),
    ]
    assert end_to_end(headers) == [(b"Host", b"h")]
    assert for_app(headers, upgrade=None) == [(b"Host", b"h"), (b"Connection", b"close")]
    assert for_client([(b"Upgrade", b"h2c"), (b"Set-Cookie", b"a"), (b"Set-Cookie", b"b")]) == [
        (b"Set-Cookie", b"a"),
        (b"Set-Cookie", b"b"),
    ]


@given(st.lists(st.tuples(st.sampled_from([b"A", b"Cookie", b"Via", b"Date"]), st.binary(max_size=5))))
def test_other_headers_keep_their_order_case_and_number(headers: list[tuple[bytes, bytes]]) -> None:
    assert for_client(headers) == headers


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://127.0.0.1:5000", Upstream("127.0.0.1", 5000)),
        ("https://localhost/", Upstream("localhost", 443, tls=True)),
        ("127.0.0.1:81", Upstream("127.0.0.1", 81)),
        ("unix@/run/s", Upstream(path="/run/s")),
    ],
)
def test_addresses(address: str, expected: Upstream) -> None:
    assert upstream_of(address) == expected


@pytest.mark.parametrize("address", ["ftp://h", "http://h/shop", "http://", "http://h:x", "http://h?a"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(Problem, match="--url"):
        upstream_of(address)
