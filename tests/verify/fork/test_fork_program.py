"""Slots of programs that hide their callable: run up to the moment where they would serve."""

from __future__ import annotations

import asyncio
import signal

import pytest

from fungible.verify.world.fork.birth import ForkBirth
from fungible.verify.world.fork.unforkable import Unforkable
from tests.verify.fork.bench import Bench, ask

FLASK = """
import os, sys
from flask import Flask
app = Flask(__name__)
N = []
@app.get("/")
def index():
    N.append(1)
    return f"{len(N)} {__name__} {sys.argv}"
if __name__ == "__main__":
    try:
        app.run(port=int(os.environ["PORT"]), debug=True)
    except Exception:
        pass
"""
UVICORN = """
import uvicorn
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"1 by uvicorn"})
if __name__ == "__main__":
    uvicorn.run("web:app", lifespan="off")
"""
WSGIREF = """
from wsgiref.simple_server import make_server
N = []
def app(environ, start_response):
    N.append(1)
    start_response("200 OK", [])
    return [b"%d" % len(N)]
with make_server("", 8000, app) as server:
    server.serve_forever()
"""
CHEROOT = """
from cheroot.wsgi import Server
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"1 by cheroot"]
server = Server(("127.0.0.1", 8000), app)
try:
    server.start()
except KeyboardInterrupt:
    server.stop()
"""
CHEROOT_IN_A_THREAD = """
import os, threading
from cheroot.wsgi import Server
thread = threading.Thread(target=Server(("127.0.0.1", int(os.environ["PORT"])), None).start)
thread.start()
thread.join()
"""
ODD_MODULES = """
import sys
class Stub:
    def __init__(self, name):
        self._name = name
class Stubs:
    def __getattr__(self, name):
        return Stub(name)
class Wilful:
    def __getattr__(self, name):
        raise RuntimeError(name)
sys.modules["stubs"], sys.modules["wilful"], sys.modules["absent"] = Stubs(), Wilful(), None
"""
GUNICORN = """
from gunicorn.app.base import BaseApplication
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"1 by gunicorn"]
class Mine(BaseApplication):
    def load_config(self): pass
    def load(self): return app
Mine().run()
"""


@pytest.mark.parametrize(
    ("text", "command", "expected"),
    [
        (FLASK, "python web.py --debug", b"1 __main__ "),
        (FLASK, "python -m web", b"1 __main__ "),
        (UVICORN, "python web.py", b"1 by uvicorn"),
        (WSGIREF, "python -u web.py", b"1"),
        (CHEROOT, "python web.py", b"1 by cheroot"),
        (GUNICORN, "python web.py", b"1 by gunicorn"),
        (ODD_MODULES + WSGIREF, "python web.py", b"1"),
    ],
)
def test_a_program_is_run_until_it_would_serve(bench: Bench, text: str, command: str, expected: bytes) -> None:
    bench.write(web=text)
    bench.command = command

    async def scenario(birth: ForkBirth) -> None:
        for number in (0, 2):
            slot = await birth.bear(bench.site(number))
            assert (await ask(slot.address)).body.startswith(expected)
            assert (await slot.end(signal.SIGTERM)).status == 0

    bench.run(scenario)


def test_what_a_script_of_the_shell_runs_is_forked(bench: Bench) -> None:
    bench.write(shop__web=WSGIREF)
    (bench.app / "start.sh").write_text("set -e\nexport SHOP=1\ncd shop && exec python web.py\n")
    bench.command = "bash start.sh"

    async def scenario(birth: ForkBirth) -> None:
        slot = await birth.bear(bench.site(0))
        assert (await ask(slot.address)).body == b"1"
        await slot.end(signal.SIGTERM)

    bench.run(scenario)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (CHEROOT_IN_A_THREAD, "not known"),
        ("print('done')", "ended before it served"),
        ("raise SystemExit(2)", r"ended \(2\) before"),
        ("import os, socket; socket.create_server(('127.0.0.1', int(os.environ['PORT'])))", "not known"),
    ],
)
def test_what_serves_in_another_way_is_refused(bench: Bench, text: str, reason: str) -> None:
    bench.write(web=text)
    bench.command = "python web.py"

    async def scenario(birth: ForkBirth) -> None:
        with pytest.raises(Unforkable, match=reason):
            await birth.bear(bench.site(0))

    bench.run(scenario)


def test_a_console_script_of_another_language_is_refused(bench: Bench) -> None:
    bench.command = "sh web.sh"

    async def refused() -> None:
        birth = await bench.open()
        with pytest.raises(Unforkable, match="not a Python script"):
            await birth.bear(bench.site(0))
        await birth.close()

    asyncio.run(refused())
