"""Slots of WSGI apps, forked from real imports: each has what is its own, and speaks HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

from fungible.sandbox.spec import Mount
from fungible.verify.world.fork.birth import ForkBirth
from fungible.verify.world.fork.slot import ForkSlot
from tests.verify.fork.bench import FLASK, Bench, ask, parse, talk


def test_two_children_share_nothing(bench: Bench) -> None:
    bench.write(web=FLASK)
    bench.command = "gunicorn -w 4 -b 127.0.0.1:$PORT web:app"

    async def scenario(birth: ForkBirth) -> None:
        first, second = await asyncio.gather(birth.bear(bench.site(0)), birth.bear(bench.site(2)))
        assert (await ask(first.address, "/seen/ann", "POST")).body == b'{"file":"ann","seen":["ann"]}\n'
        assert json.loads((await ask(first.address, "/seen/bob", "POST")).body)["seen"] == ["ann", "bob"]
        assert json.loads((await ask(second.address, "/seen/eve", "POST")).body) == {"file": "eve", "seen": ["eve"]}
        ended = await first.end(signal.SIGKILL)
        assert (ended.status, ended.wrote) == (-signal.SIGKILL, ("seen.txt",))
        assert not os.path.exists(f"/proc/{first.pid}")
        ended = await second.end(signal.SIGTERM)
        assert ended.status == 0
        assert set(ended.wrote) == {"seen.txt", "exit"}
        assert "at exit" in ended.output

    bench.run(scenario)
    assert [path.name for path in bench.app.iterdir()] == ["web.py"]


def test_each_slot_has_its_own_place_and_the_two_imports_their_hash_seeds(bench: Bench) -> None:
    bench.write(web=FLASK)

    async def scenario(birth: ForkBirth) -> None:
        slots = await asyncio.gather(*(birth.bear(bench.site(number)) for number in range(4)))
        places = [json.loads((await ask(slot.address, "/place")).body) for slot in slots]
        for number, place in enumerate(places):
            private = str(bench.site(number).private)
            assert place["host"] == f"host-{number}"
            assert place["home"] == f"{private}/own/home"
            assert place["tmp"] == f"{private}/own/tmp"
            assert place["cwd"] == str(bench.app)
            assert place["seed"] == str(number % 2 + 1)
            assert place["threads"] is None
        assert places[0]["hash"] == places[2]["hash"] != places[1]["hash"] == places[3]["hash"]
        assert len({place["port"] for place in places}) == 4
        assert "asked" in (await slots[0].end(signal.SIGKILL)).output

    bench.run(scenario, lazy=False)


def test_an_attached_folder_shines_through(bench: Bench) -> None:
    store = bench.base / "store"
    store.mkdir()
    bench.mounts = (Mount(str(store), str(store), writable=True),)
    bench.environment = {"STORE": str(store)}
    bench.write(web=FLASK)

    async def scenario(birth: ForkBirth) -> None:
        for expected in (b"y", b"yy"):
            slot = await birth.bear(bench.site(0))
            assert (await ask(slot.address, "/attached", "POST")).body == expected
            await slot.end(signal.SIGTERM)

    bench.run(scenario)
    assert sorted(path.name for path in store.iterdir()) == ["exit", "x"]


HTTP = """
import io
CLOSED = []
class Body:
    def __iter__(self):
        yield b"a"; yield b"bc"
    def close(self):
        CLOSED.append(1)
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/echo":
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    if path == "/lines":
        lines = list(environ["wsgi.input"])
        start_response("200 OK", [("X-Lines", str(len(lines)))])
        return lines
    if path == "/iterate":
        start_response("200 OK", [("X-Closed", str(len(CLOSED)))])
        return Body()
    if path == "/file":
        start_response("200 OK", [("Content-Length", "5")])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"hello"), 2)
    if path == "/write":
        start_response("200 OK", [])(b"written ")
        return [b"returned"]
    if path == "/raise":
        raise RuntimeError("broken on purpose")
    if path == "/half":
        def half():
            yield b"x" * 10
            raise RuntimeError("broken half way")
        start_response("200 OK", [("Content-Length", "20")])
        return half()
    start_response("200 OK", [("Content-Length", "4"), ("X-Query", environ["QUERY_STRING"]),
        ("X-Cookie", environ.get("HTTP_COOKIE", "")), ("X-Under", environ.get("HTTP_UNDER_SCORE", "none"))])
    return [b"root"]
"""


def test_http(bench: Bench) -> None:
    bench.write(web=HTTP)

    async def scenario(birth: ForkBirth) -> None:
        slot = await birth.bear(bench.site(0))

        async def raw(text: str) -> bytes:
            return await talk(slot.address, text.replace("\n", "\r\n").encode())

        host = "Host: x\n"
        two = await raw(f"GET /?a=b HTTP/1.1\n{host}\nHEAD / HTTP/1.1\n{host}Connection: close\n\n")
        assert two.count(b"HTTP/1.1 200 OK") == 2
        assert two.count(b"root") == 1
        assert b"X-Query: a=b" in two
        chunked = f"POST /echo HTTP/1.1\n{host}Transfer-Encoding: chunked\nConnection: close\n\n3\nabc\n2\nde\n0\n\n"
        assert parse(await raw(chunked)).body == b"abcde"
        assert parse(await raw("POST /lines HTTP/1.0\nContent-Length: 4\n\na\nb")).headers["x-lines"] == "2"
        for closed in ("0", "1"):
            reply = parse(await raw(f"GET /iterate HTTP/1.1\n{host}Connection: close\n\n"))
            assert reply.headers["x-closed"] == closed
            assert reply.raw.endswith(b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")
        assert parse(await raw("GET /iterate HTTP/1.0\n\n")).body == b"abc"
        assert (await ask(slot.address, "/file")).body == b"hello"
        assert b"written" in (await ask(slot.address, "/write")).body
        assert (await ask(slot.address, "/raise")).status == 500
        assert (await ask(slot.address, "/half")).body == b"x" * 10
        assert parse(await raw("BAD\n\n")).status == 400
        # a body that the app does not read must not be taken for the next request
        skipped = await raw(
            f"POST / HTTP/1.1\n{host}Content-Length: 5\n\nhelloGET / HTTP/1.1\n{host}Connection: close\n\n"
        )
        assert skipped.count(b"root") == 2
        cookies = parse(await raw("GET / HTTP/1.0\nCookie: a=b\nCookie: c=d\nUnder_Score: x\n\n"))
        assert cookies.headers["x-cookie"] == "a=b; c=d"
        assert cookies.headers["x-under"] == "none"
        assert "broken on purpose" in (await slot.end(signal.SIGTERM)).output

    bench.run(scenario)


def test_an_idle_connection_does_not_keep_others_waiting(bench: Bench) -> None:
    bench.write(web=HTTP)

    async def scenario(birth: ForkBirth) -> None:
        slot = await birth.bear(bench.site(0))
        reader, writer = await asyncio.open_unix_connection(slot.address.removeprefix("unix@"))
        for _ in range(2):
            writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"h")
            await asyncio.sleep(0.02)  # so that it is read in two parts: it must be asked for once
            writer.write(b"i")
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(2) == b"hi"
            assert (await ask(slot.address)).body == b"root"
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")  # its body is not read by the app
        assert (await reader.readuntil(b"root")).startswith(b"HTTP/1.1 200")
        writer.write(b"helloGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"root")).startswith(b"HTTP/1.1 200")
        writer.close()
        assert (await slot.end(signal.SIGTERM)).status == 0

    bench.run(scenario)


def test_a_slot_with_one_thread_has_nothing_under_way_when_it_accepts(bench: Bench) -> None:
    bench.write(
        web="""
import subprocess, threading

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/thread":
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    elif path == "/process":
        subprocess.Popen(["sleep", "60"])
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""
    )
    bench.command = "gunicorn web:app"

    async def scenario(birth: ForkBirth) -> None:
        for number, (path, alone) in enumerate((("/", True), ("/thread", False), ("/process", False))):
            slot = await birth.bear(bench.site(number))
            assert slot.one_at_a_time()
            await ask(slot.address, path)
            assert slot.one_at_a_time() is alone, path
            await slot.end(signal.SIGKILL)

    bench.run(scenario)


def test_a_slot_that_says_nothing_leaves_no_reader_behind(tmp_path: Path) -> None:
    """What has the descriptor next is heard: the loop would take it for the one that it knows."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        slot = ForkSlot(tmp_path / "slot", 1.0, lambda sent: slot.ended(-sent), lambda: None)
        channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near, far = socket.socketpair()
        number = channel.fileno()
        assert "did not listen" in str(await slot.listens(channel, 0.05))
        os.dup2(near.fileno(), number)
        heard = asyncio.Event()
        loop.add_reader(number, heard.set)
        far.send(b"x")
        await asyncio.wait_for(heard.wait(), 5)
        loop.remove_reader(number)
        os.close(number)
        for each in (other, near, far):
            each.close()

    asyncio.run(scenario())
