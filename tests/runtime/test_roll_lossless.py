"""Rolls under load: no request is lost, whatever is rolled, whatever serves, kept connections or fresh ones."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import pytest

from tests.runtime.harness import Home
from tests.runtime.load import load_on

ASGI = """
import asyncio, os
ME = os.environ["FUNGIBLE_INSTANCE"]
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(0.01)
    body = f"{ME} {scope['method']} {scope['path']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""
WSGI = """
import os, time
ME = os.environ["FUNGIBLE_INSTANCE"]
def app(environ, start_response):
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    time.sleep(0.01)
    body = f"{ME} {environ['REQUEST_METHOD']} {environ['PATH_INFO']}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
NODE = """
const me = process.env.FUNGIBLE_INSTANCE;
require("http").createServer((request, answer) => {
  const say = () => answer.end(`${me} ${request.method} ${request.url}`);
  request.on("data", () => {}).on("end", () => setTimeout(say, 10));
}).listen(process.env.PORT, "127.0.0.1");
"""


@dataclass(frozen=True)
class Serving:
    """An app's file and the command that serves it."""

    file: str
    code: str
    command: str


SERVERS = {
    "gunicorn": Serving("app.py", WSGI, "gunicorn -w 1 -k gthread --threads 8 -b 127.0.0.1:$PORT app:app"),
    "uvicorn": Serving("app.py", ASGI, "uvicorn --port $PORT --log-level warning app:app"),
    "granian": Serving("app.py", ASGI, "granian --interface asgi --port $PORT --workers 1 app:app"),
    "node": Serving("app.js", NODE, "node app.js"),
}
ROLLS = (("release",), ("config", "set", "A=1"), ("restart",), ("scale", "web=1"), ("scale", "web=2"))


@pytest.mark.parametrize("name", SERVERS)
def test_no_request_is_lost_in_a_roll(home: Home, name: str) -> None:
    serving = SERVERS[name]
    if shutil.which(serving.command.split()[0], path=home.variables["PATH"]) is None:
        pytest.skip(f"{name} is not installed")
    home.write({"Procfile": f"web: {serving.command}\n", serving.file: serving.code})
    with home.start("web=2") as formation:
        with load_on(formation.url) as load:
            for roll in ROLLS:
                if roll == ("release",):
                    home.write({"changed.txt": "a change"})
                done = home.run(*roll)
                assert done.returncode == 0, (done.stdout, done.stderr, formation.say())
                load.wait_for_more(10)
        count = load.count
        assert count.lost == [], f"of {count.answered}"
        # Two of the first release, two each of release, config and restart, and one that was scaled up.
        assert len(count.by) >= 8
        print(f"{name}: 0 of {count.answered} lost in {len(ROLLS)} rolls (below {count.bound:.2%})")
        assert not any(event.get("cause") for event in formation.of("router.request"))
        assert formation.stop() == 0
