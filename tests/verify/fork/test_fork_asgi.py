"""Slots of ASGI apps, and of a Django app in one file."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

from fungible.verify.world.fork.birth import ForkBirth
from fungible.verify.world.slot import BootFailure
from tests.verify.fork.bench import Bench, ask, parse, talk

FASTAPI = """
import asyncio, contextlib
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
SEEN = []
@contextlib.asynccontextmanager
async def lifespan(app):
    SEEN.append("started")
    app.lock = asyncio.Lock()
    yield {"who": "state"}
    print("stopped")
app = FastAPI(lifespan=lifespan)
@app.get("/a")
async def a(request: Request):
    async with app.lock:
        SEEN.append("a")
    return {"seen": SEEN, "who": request.state.who, "path": request.scope["raw_path"].decode()}
@app.get("/sync")
def sync():
    SEEN.append("sync")
    return SEEN
@app.post("/echo")
async def echo(request: Request):
    return {"length": len(await request.body())}
@app.get("/stream")
async def stream():
    async def parts():
        for each in "abc":
            yield each
            await asyncio.sleep(0)
    return StreamingResponse(parts())
@app.get("/raise")
async def broken():
    raise RuntimeError("broken on purpose")
def make():
    return app
"""


def test_fastapi(bench: Bench) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    bench.write(main=FASTAPI)
    bench.command = "uvicorn --factory main:make --port $PORT"

    async def scenario(birth: ForkBirth) -> None:
        first, second = await asyncio.gather(birth.bear(bench.site(0)), birth.bear(bench.site(2)))
        assert json.loads((await ask(first.address, "/sync")).body) == ["started", "sync"]
        got = json.loads((await ask(first.address, "/a")).body)
        assert got == {"seen": ["started", "sync", "a"], "who": "state", "path": "/a"}
        assert json.loads((await ask(second.address, "/a")).body)["seen"] == ["started", "a"]
        assert json.loads((await ask(second.address, "/echo", "POST", b"x" * 500_000)).body) == {"length": 500_000}
        chunked = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        both = await talk(second.address, chunked + b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b'{"length":3}' in both
        assert both.endswith(b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n")
        assert (await ask(second.address, "/raise")).status == 500
        assert parse(await talk(second.address, b"NONSENSE\r\n\r\n")).status == 400
        ended = await second.end(signal.SIGTERM)
        assert ended.status == 0
        assert "broken on purpose" in ended.output
        assert "stopped" in ended.output
        assert (await first.end(signal.SIGKILL)).status == -signal.SIGKILL

    bench.run(scenario)


def test_a_plain_asgi_app_and_one_that_does_not_start(bench: Bench) -> None:
    bench.write(
        plain="""
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"plain"})
""",
        failing="""
async def app(scope, receive, send):
    print("no database")
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "cannot start"})
""",
    )

    async def plain(birth: ForkBirth) -> None:
        slot = await birth.bear(bench.site(0))
        assert b"plain" in (await ask(slot.address)).body
        assert (await slot.end(signal.SIGTERM)).status == 0

    async def failing(birth: ForkBirth) -> None:
        with pytest.raises(BootFailure, match="cannot start") as caught:
            await birth.bear(bench.site(0))
        assert "no database" in caught.value.output

    bench.command = "gunicorn plain:app"  # the kind is seen from the callable
    bench.run(plain)
    bench.options = {"setting": "asgi:failing:app"}
    bench.command = "python serve.py"
    bench.run(failing)


DJANGO = """
import sys
from django.conf import settings
settings.configure(DEBUG=False, SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}})
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import JsonResponse
from django.urls import path
application = get_wsgi_application()
with connection.cursor() as cursor:
    cursor.execute("create table hits (n integer)")
COUNT = 0
def hit(request):
    global COUNT
    COUNT += 1
    with connection.cursor() as cursor:
        cursor.execute("insert into hits values (1)")
        cursor.execute("select count(*) from hits")
        return JsonResponse({"memory": COUNT, "rows": cursor.fetchone()[0]})
urlpatterns = [path("hit", hit)]
"""


def test_django_in_one_file(bench: Bench) -> None:
    pytest.importorskip("django")
    bench.write(shop=DJANGO)
    bench.command = "python -m gunicorn --workers 4 shop"

    async def scenario(birth: ForkBirth) -> None:
        for number in (0, 2):
            slot = await birth.bear(bench.site(number))
            for count in (1, 2):
                assert json.loads((await ask(slot.address, "/hit")).body) == {"memory": count, "rows": count}
            assert (await slot.end(signal.SIGTERM)).wrote == ("db.sqlite3",)

    bench.run(scenario)
