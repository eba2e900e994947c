"""Slots of WSGI apps, forked from real imports."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fungible.sandbox.probe import probe_outbound
from fungible.sandbox.spec import Mount
from fungible.verify.world.fork.birth import ForkBirth
from fungible.verify.world.fork.slot import ForkSlot
from fungible.verify.world.fork.unforkable import Unforkable
from fungible.verify.world.slot import BootFailure
from tests.verify.fork.bench import Bench, ask, parse, talk

FLASK = """
import atexit, os, socket, sys, tempfile
from flask import Flask, request
app = Flask(__name__)
SEEN = []
print("imported", flush=True)

@app.post("/seen/<name>")
def add(name):
    SEEN.append(name)
    with open("seen.txt", "a") as file:
        file.write(name)
    return {"seen": SEEN, "file": open("seen.txt").read()}

@app.get("/place")
def place():
    print("asked", file=sys.stderr, flush=True)
    return {"hash": hash("x"), "host": socket.gethostname(), "home": os.environ["HOME"], "tmp": tempfile.gettempdir(),
            "cwd": os.getcwd(), "seed": os.environ["PYTHONHASHSEED"], "threads": os.environ.get("OMP_NUM_THREADS"),
            "port": os.environ["PORT"]}

@app.post("/attached")
def attached():
    with open(os.environ["STORE"] + "/x", "a") as file:
        file.write("y")
    return open(os.environ["STORE"] + "/x").read()

atexit.register(lambda: (print("at exit"), open(os.environ.get("STORE", ".") + "/exit", "w").close()))
"""


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


LAZY = """
from flask import Flask
app = Flask(__name__)
MADE = []

class Lazy:
    @property
    def __class__(self):
        MADE.append("made")
        raise LookupError("it cannot be made yet")

LATER = Lazy()

@app.get("/made")
def made():
    return {"made": MADE}
"""


def test_an_object_that_is_made_when_it_is_looked_at_is_not_made(bench: Bench) -> None:
    bench.write(web=LAZY)

    async def scenario(birth: ForkBirth) -> None:
        slot = await birth.bear(bench.site(0))
        assert json.loads((await ask(slot.address, "/made")).body) == {"made": []}

    bench.run(scenario)


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


LEAVES = """
import logging, os, random, tempfile
os.makedirs("uploads", exist_ok=True)
open("uploads/made", "w").write("at import")
os.makedirs("/tmp/ours"); open("/tmp/ours/x", "w").write("tmp")
PLACE = tempfile.mkdtemp()
LOG = open("app.log", "a"); LOG.write("import\\n")
WORDS = open("words.txt")
LUCKY, FIXED = random.Random(), random.Random(7)
os.environ["MADE"] = "at import"
def app(environ, start_response):
    LOG.write("request\\n"); LOG.flush()
    open(PLACE + "/new", "a").write("n")
    said = [open("uploads/made").read(),
            open("/tmp/ours/x").read(), open(PLACE + "/new").read(), WORDS.readline(),
            open("app.log").read(), str(LUCKY.random()), str(FIXED.random()), os.environ["MADE"],
            str(random.random())]
    start_response("200 OK", [])
    return [repr(said).encode()]
"""


def test_what_the_import_wrote_is_there_and_is_each_slots_own(bench: Bench) -> None:
    bench.write(web=LEAVES)
    (bench.app / "words.txt").write_text("one\ntwo\n" * 5000)

    async def scenario(birth: ForkBirth) -> None:
        answers = []
        for number in (0, 2):
            slot = await birth.bear(bench.site(number))
            raw = (await ask(slot.address)).body
            answers.append(eval(raw[raw.index(b"[") : raw.rindex(b"]") + 1]))
            assert (await slot.end(signal.SIGKILL)).wrote == ("app.log",)
        for answer in answers:
            assert answer[:3] == ["at import", "tmp", "n"]
            assert answer[3] == "one\n"
            assert answer[4] == "import\nrequest\n"
            assert answer[7] == "at import"
        assert answers[0][5] != answers[1][5], "generators that were not seeded differ"
        assert answers[0][6] == answers[1][6], "seeded generators do not"
        assert answers[0][8] != answers[1][8]

    bench.run(scenario)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("import threading, time; threading.Thread(target=time.sleep, args=(99,), name='beat', daemon=True).start()",
         "thread `beat`"),
        ("from concurrent.futures import ThreadPoolExecutor as P; p = P(1); p.submit(int).result()", "thread"),
        ("import socket; l = socket.create_server(('127.0.0.1', 0))", "listens"),
        ("import socket; l = socket.create_server(('127.0.0.1', 0)); a = socket.create_connection(l.getsockname())",
         "connection to `127.0.0.1:"),
        ("import asyncio; loop = asyncio.new_event_loop()", "eventpoll"),
        ("import sqlite3; db = sqlite3.connect('x.db'); db.execute('create table t (a)')", "SQLite database"),
        ("import fcntl; f = open('lock', 'w'); fcntl.flock(f, fcntl.LOCK_EX)", "file lock (FLOCK)"),
        ("import multiprocessing; v = multiprocessing.Value('i', 0)", "shared"),
        ("import subprocess; p = subprocess.Popen(['sleep', '99'])", "child process"),
        ("import tempfile; f = tempfile.TemporaryFile()", "unlinked file"),
        ("import signal; signal.setitimer(signal.ITIMER_REAL, 99)", "interval timer"),
    ],
)  # fmt: skip
def test_what_does_not_survive_a_fork_is_refused(bench: Bench, line: str, reason: str) -> None:
    bench.write(web=f"{line}\ndef app(environ, start_response): ...\n")

    async def scenario(birth: ForkBirth) -> None:
        with pytest.raises(Unforkable) as caught:
            await birth.bear(bench.site(0))
        assert reason in caught.value.reason

    bench.run(scenario)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("db = sqlite3.connect('x.db'); db.execute('create table t (a)')",
         "an SQLite database (x.db), opened at web.py:2, is open for writing after import"),
        ("f = os.open('log.txt', os.O_WRONLY | os.O_CREAT); os.write(f, b'begun')",
         "a file (log.txt), opened at web.py:2, is open"),
        ("threading.Thread(target=threading.Event().wait, name='beat', daemon=True).start()",
         "a thread `beat`, started at web.py:2, runs after import"),
        ("[threading.Thread(target=threading.Event().wait, name=n, daemon=True).start() for n in 'ab']",
         "2 threads (a started at web.py:2, b started at web.py:2) run after import"),
        ("l = socket.create_server(('127.0.0.1', 0)); a = socket.create_connection(l.getsockname())",
         ", opened at web.py:2, is open after import"),
        ("p = subprocess.Popen(['sleep', '99'])", "1 child process runs, started at web.py:2, after import"),
        ("os.mkdir('l-packages'); open('l-packages/opener.py', 'w').write(OPENER); import opener",
         "a file (log.txt), opened at web.py:2, is open for writing after import"),
    ],
)  # fmt: skip
def test_the_line_that_made_it_is_told(bench: Bench, line: str, reason: str) -> None:
    imports = "import os, socket, sqlite3, subprocess, sys, threading; sys.path.append('l-packages')"
    imports += "; OPENER = 'import os\\nf = os.open(\"log.txt\", os.O_WRONLY | os.O_CREAT)'"
    bench.write(web=f"{imports}\n{line}\ndef app(environ, start_response): ...\n")

    async def scenario(birth: ForkBirth) -> None:
        with pytest.raises(Unforkable) as caught:
            await birth.bear(bench.site(0))
        assert reason in caught.value.reason

    bench.run(scenario)


def test_pools_that_open_again_are_closed(bench: Bench) -> None:
    pytest.importorskip("sqlalchemy")
    bench.write(
        web="""
from sqlalchemy import create_engine, text
engine = create_engine("sqlite:///x.db")
memory = create_engine("sqlite://")
with engine.begin() as c: c.execute(text("create table t (a)"))
with memory.begin() as c: c.execute(text("create table t (a)"))
def app(environ, start_response):
    counts = []
    for each in (engine, memory):
        with each.begin() as c:
            c.execute(text("insert into t values (1)"))
            counts.append(c.execute(text("select count(*) from t")).scalar())
    start_response("200 OK", [])
    return [repr(counts).encode()]
"""
    )

    async def scenario(birth: ForkBirth) -> None:
        for number in (0, 2):
            slot = await birth.bear(bench.site(number))
            assert b"[1, 1]" in (await ask(slot.address)).body
            assert "x.db" in (await slot.end(signal.SIGKILL)).wrote

    bench.run(scenario)


def test_a_log_listener_hands_on_what_each_child_says(bench: Bench) -> None:
    bench.write(
        web=FLASK
        + """
import logging, logging.handlers, queue
lines = queue.Queue()
logging.getLogger("shop").addHandler(logging.handlers.QueueHandler(lines))
listener = logging.handlers.QueueListener(lines, logging.StreamHandler(sys.stderr))
listener.start()

@app.get("/said")
def said():
    logging.getLogger("shop").warning("said in %s", os.getpid())
    listener.stop()
    return {}
"""
    )

    async def scenario(birth: ForkBirth) -> None:
        slots = [await birth.bear(bench.site(number)) for number in (0, 2)]
        for slot in slots:
            assert (await ask(slot.address, "/said")).status == 200
            said = (await slot.end(signal.SIGKILL)).output
            assert said.count("said in") == 1

    bench.run(scenario)


def test_failures_say_what_the_app_said(bench: Bench) -> None:
    bench.write(
        web="print('so far')\nimport not_there\n", ends="import os, sys; print('bye', flush=True); os._exit(4)"
    )

    async def scenario(birth: ForkBirth) -> None:
        with pytest.raises(BootFailure, match="not_there") as caught:
            await birth.bear(bench.site(0))
        assert "so far" in caught.value.output
        assert "ModuleNotFoundError" in caught.value.output

    bench.run(scenario)

    async def ends(birth: ForkBirth) -> None:
        with pytest.raises(BootFailure, match="ended while it imported") as caught:
            await birth.bear(bench.site(0))
        assert "bye" in caught.value.output

    bench.command = "gunicorn ends:app"
    bench.run(ends)

    async def missing(birth: ForkBirth) -> None:
        with pytest.raises(BootFailure, match="has no nothing"):
            await birth.bear(bench.site(0))

    bench.write(there="")
    bench.command = "gunicorn there:nothing"
    bench.run(missing)

    bench.write(slow="import time; time.sleep(99)")
    bench.command = "gunicorn slow:app"

    async def slow(birth: ForkBirth) -> None:
        with pytest.raises(BootFailure, match="did not end in"):
            await birth.bear(bench.site(0))

    bench.run(slow, boot_timeout=0.5)


def test_what_cannot_be_forked_is_said_before_anything_runs(bench: Bench) -> None:
    async def refused(reason: str, **options: object) -> None:
        with pytest.raises(Unforkable, match=reason):
            await bench.open(**options)

    asyncio.run(refused("level full", level="copy"))
    bench.command = "./serve | tee log"
    asyncio.run(refused("does not tell its callable"))


def test_an_environment_that_the_import_did_not_see_is_refused(bench: Bench) -> None:
    bench.environment = {"DATABASE_URL": "sqlite:///a", "DATA": str(bench.site(1000).private / "own")}
    bench.write(web="def app(environ, start_response):\n    start_response('200 OK', [])\n    return []")

    async def scenario(birth: ForkBirth) -> None:
        site = bench.site(0)
        own = {**site.environment, "DATA": str(site.private / "own")}
        await (await birth.bear(replace(site, environment=own))).end(signal.SIGKILL)
        with pytest.raises(Unforkable, match="DATABASE_URL"):
            await birth.bear(replace(site, environment={**own, "DATABASE_URL": "sqlite:///b"}))

    bench.run(scenario)


def test_everything_that_a_slot_started_ends_with_it(bench: Bench) -> None:
    sleeper = f"7321.{os.getpid()}"  # a command line that no other test run has
    bench.write(
        web=f"""
import os, signal, subprocess, time
def app(environ, start_response):
    start_response("200 OK", [])
    hangs = environ["PATH_INFO"] == "/hang"
    if hangs:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sleep", "{sleeper}"], start_new_session=True)
    time.sleep(99 if hangs else 0)
    return [b"ok"]
"""
    )

    def sleeps() -> bool:
        return f"sleep\0{sleeper}\0".encode() in _command_lines()

    async def until_it_sleeps() -> None:
        while not sleeps():
            await asyncio.sleep(0.01)

    async def scenario(birth: ForkBirth) -> None:
        slot = await birth.bear(bench.site(0))
        await ask(slot.address)
        await asyncio.wait_for(until_it_sleeps(), 30)
        await slot.end(signal.SIGKILL)
        assert not sleeps()
        slot = await birth.bear(bench.site(2))
        hanging = asyncio.ensure_future(ask(slot.address, "/hang"))
        await asyncio.wait_for(until_it_sleeps(), 30)
        ended = await slot.end(signal.SIGTERM)  # ignored: KILL follows
        assert ended.status == -signal.SIGKILL
        with contextlib.suppress(OSError, IndexError):
            await hanging
        assert not sleeps()

    bench.run(scenario, stop_timeout=0.3)


def _command_lines() -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return found


def test_another_folder_is_an_alias_and_layers_may_be_in_memory(bench: Bench) -> None:
    bench.layer = "memory"
    bench.write(
        web="""
import os
open("made", "w").write("import")
def app(environ, start_response):
    open(os.environ["SEEN_AT"] + "/other", "w").write("x")
    start_response("200 OK", [])
    return [open("made").read().encode(), open("other").read().encode()]
"""
    )
    elsewhere = bench.base / "elsewhere"
    elsewhere.mkdir()
    bench.environment = {"SEEN_AT": str(bench.app)}

    async def scenario(birth: ForkBirth) -> None:
        site = bench.site(0)
        moved = replace(site, folder=elsewhere, environment={**site.environment, "SEEN_AT": str(elsewhere)})
        slot = await birth.bear(moved)
        assert b"import" in (await ask(slot.address)).raw
        assert (await slot.end(signal.SIGKILL)).wrote == ("other",)

    bench.run(scenario)
    assert not list(elsewhere.iterdir())


def test_imports_and_slots_reach_nothing_outside(bench: Bench) -> None:
    if asyncio.run(probe_outbound(str(bench.base / "probe"), "full", bench.layer)) is not None:
        pytest.skip("outbound traffic cannot be refused here")
    bench.write(
        web="""
import socket
def reach(host):
    with socket.socket() as client:
        return client.connect_ex((host, 9))
AT_IMPORT = reach("198.51.100.1")
def app(environ, start_response):
    start_response("200 OK", [])
    return [repr((AT_IMPORT, reach("198.51.100.2"))).encode()]
"""
    )
    noted: list[Mapping[str, Any]] = []

    async def scenario(birth: ForkBirth) -> None:
        slot = await birth.bear(bench.site(0))
        assert (await ask(slot.address)).body == repr((errno.ECONNREFUSED, errno.ECONNREFUSED)).encode()
        await slot.end(signal.SIGKILL)

    bench.run(scenario, outbound="refused", note=noted.append)
    assert {"198.51.100.1:9", "198.51.100.2:9"} <= {each["to"] for each in noted if not each["allowed"]}


def test_the_current_folder_may_be_a_slots_own(bench: Bench) -> None:
    (bench.base / "lib").mkdir()
    bench.mounts = (Mount(str(bench.base / "lib"), str(bench.base / "lib")),)
    (bench.base / "lib" / "web.py").write_text("""
import os
def app(environ, start_response):
    open("here", "a").write("x")
    start_response("200 OK", [])
    return [open(os.environ["TMPDIR"] + "/here").read().encode()]
""")
    bench.command = f"gunicorn --chdir $TMPDIR --pythonpath {bench.base}/lib web:app"

    async def scenario(birth: ForkBirth) -> None:
        for number in (0, 2):
            slot = await birth.bear(bench.site(number))
            assert (await ask(slot.address)).body == b"x"
            assert (await slot.end(signal.SIGKILL)).wrote == ()

    bench.run(scenario)


def test_a_disk_that_outlives_its_slot(bench: Bench) -> None:
    bench.write(
        web="""
import os
os.makedirs("/tmp/made"); open("/tmp/made/n", "w").write("0")
open("n", "w").write("0")
def app(environ, start_response):
    said = []
    for path in ("n", "/tmp/made/n", os.environ["HOME"] + "/n"):
        count = int(open(path).read() if os.path.exists(path) else "0") + 1
        open(path, "w").write(str(count))
        said.append(count)
    start_response("200 OK", [])
    return [repr(said).encode()]
"""
    )
    disk = bench.base / "private" / "disk"
    environment = {**bench.site(0).environment, "HOME": f"{disk}/own/home", "TMPDIR": f"{disk}/own/tmp"}

    async def scenario(birth: ForkBirth) -> None:
        for count in (1, 2, 3):
            site = bench.site(0, private=disk, wipe=count == 3, environment=environment)
            slot = await birth.bear(site)
            assert (await ask(slot.address)).body == repr([count] * 3).encode()
            assert (await slot.end(signal.SIGKILL)).wrote == ("n",)
            assert slot.servers() == 1

    bench.run(scenario)


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
