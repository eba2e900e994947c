"""What forked slots have of the import: what is theirs, what is renewed, what forbids a fork."""

from __future__ import annotations

import json
import signal

import pytest

from fungible.verify.world.fork.birth import ForkBirth
from fungible.verify.world.fork.unforkable import Unforkable
from tests.verify.fork.bench import FLASK, Bench, ask

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
