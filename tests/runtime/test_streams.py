"""WebSockets and server-sent events in rolls: they live until their process is told to stop, and ends them itself."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.runtime.harness import PATIENCE, Formation, Home
from tests.runtime.load import load_on

UVICORN = """
import asyncio, os
import uvicorn
ME = os.environ["FUNGIBLE_INSTANCE"]
told = asyncio.Event()
class Server(uvicorn.Server):
    def handle_exit(self, number, frame):
        told.set()
        super().handle_exit(number, frame)
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": ME})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/events":
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": f"data: {ME}\\n\\n".encode(), "more_body": True})
        await told.wait()
        await send({"type": "http.response.body", "body": b"data: bye\\n\\n"})
        return
    await asyncio.sleep(0.01)
    body = f"{ME} {scope['method']} {scope['path']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
Server(uvicorn.Config(app, port=int(os.environ["PORT"]), log_level="warning", lifespan="off")).run()
"""
# RFC 6455 by hand: frames of less than 126 bytes, those of a client masked.
NODE = """
const crypto = require("crypto"), me = process.env.FUNGIBLE_INSTANCE;
const sockets = new Set(), events = new Set();
const text = (opcode, body) => Buffer.concat([Buffer.from([0x80 | opcode, body.length]), body]);
const server = require("http").createServer((request, answer) => {
  if (request.url === "/events") {
    answer.writeHead(200, {"Content-Type": "text/event-stream"});
    answer.write(`data: ${me}\\n\\n`);
    events.add(answer);
    answer.on("close", () => events.delete(answer));
    return;
  }
  const say = () => answer.end(`${me} ${request.method} ${request.url}`);
  request.on("data", () => {}).on("end", () => setTimeout(say, 10));
});
server.on("upgrade", (request, socket) => {
  const key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const accept = crypto.createHash("sha1").update(key).digest("base64");
  socket.write("HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n" +
               `Sec-WebSocket-Accept: ${accept}\\r\\n\\r\\n`);
  socket.write(text(1, Buffer.from(me)));
  sockets.add(socket);
  socket.on("close", () => sockets.delete(socket)).on("error", () => {});
  socket.on("data", data => {
    if ((data[0] & 15) === 8) return socket.end();
    const mask = data.subarray(2, 6), body = data.subarray(6).map((byte, at) => byte ^ mask[at % 4]);
    socket.write(text(1, Buffer.from(body)));
  });
});
process.on("SIGTERM", () => {
  server.close();
  for (const answer of events) answer.end("data: bye\\n\\n");
  for (const socket of sockets) socket.write(text(8, Buffer.from([0x03, 0xf4])));
});
server.listen(process.env.PORT, "127.0.0.1");
"""
SERVERS = {"uvicorn": ("app.py", UVICORN, "python app.py"), "node": ("app.js", NODE, "node app.js")}
RESTARTING = 1012
"""The close code of a server that restarts (IANA, WebSocket Close Code Number Registry)."""


class Events:
    """A client of server-sent events: the process that it met, and what came until the end of the body."""

    def __init__(self, url: str) -> None:
        self.lines: list[str] = []
        self.error: Exception | None = None
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(url,), daemon=True)
        self._thread.start()
        assert self._begun.wait(PATIENCE)

    @property
    def instance(self) -> str:
        return self.lines[0].removeprefix("data: ")

    @property
    def open(self) -> bool:
        return self._thread.is_alive()

    def ended(self) -> list[str]:
        """The lines after the first one, once the body has come to its end."""
        self._thread.join(PATIENCE)
        assert not self.open
        assert self.error is None, self.error
        return self.lines[1:]

    def _read(self, url: str) -> None:
        try:
            asked = {"Accept": "text/event-stream"}
            with httpx.stream("GET", url, trust_env=False, headers=asked, timeout=None) as stream:
                for line in stream.iter_lines():
                    if line:
                        self.lines.append(line)
                        self._begun.set()
        except httpx.HTTPError as error:
            self.error = error


class Socket:
    """A WebSocket: the process that it met, and how it was closed."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.instance = str(connection.recv(PATIENCE))

    def echoes(self, text: str) -> bool:
        self._connection.send(text)
        return self._connection.recv(PATIENCE) == text

    def closed_with(self) -> int | None:
        """The code of the server's close frame; None where the connection was cut without one."""
        with pytest.raises(ConnectionClosed) as closed:
            self._connection.recv(PATIENCE)
        return closed.value.rcvd.code if closed.value.rcvd else None


@contextlib.contextmanager
def streams(url: str, count: int) -> Iterator[tuple[list[Socket], list[Events]]]:
    """WebSockets and event streams, `count` of each; the router gives them to the processes in turn."""
    with contextlib.ExitStack() as stack:
        at = url.replace("http", "ws") + "/socket"
        sockets = [
            Socket(stack.enter_context(connect(at, proxy=None, ping_interval=None, open_timeout=PATIENCE)))
            for _ in range(count)
        ]
        yield sockets, [Events(url + "/events") for _ in range(count)]


def instances(home: Home) -> set[str]:
    return {each["instance"] for each in json.loads(home.run("ps", "--json").stdout)["processes"]}


def requests(formation: Formation, path: str, count: int) -> list[dict[str, Any]]:
    """What the log says of `count` requests for `path`, or more."""

    def logged() -> list[dict[str, Any]] | None:
        found = formation.of("router.request", path=path)
        return found if len(found) >= count else None

    return list(formation.wait_for(logged))


@pytest.mark.parametrize("name", SERVERS)
def test_streams_end_as_their_process_ends_them_and_nothing_else_is_lost(home: Home, name: str) -> None:
    file, code, command = SERVERS[name]
    home.write({"Procfile": f"web: {command}\n", file: code})
    # An hour: a drain that waited for a stream would not end.
    home.write({"fungible.toml": 'drain_timeout = "1h"\n'})
    with home.start("web=2") as formation:
        with load_on(formation.url, fresh=1, kept=1) as load:
            for roll in (("restart",), ("scale", "web=1"), ("config", "set", "A=1")):
                with streams(formation.url, 4) as (sockets, events):
                    assert all(socket.echoes("hello") for socket in sockets)
                    done = home.run(*roll)
                    assert done.returncode == 0, (done.stderr, formation.say())
                    still = instances(home)
                    assert {socket.instance for socket in sockets} - still
                    for socket in sockets:
                        if socket.instance in still:
                            assert socket.echoes("still there")
                        else:
                            assert socket.closed_with() == RESTARTING
                    for each in events:
                        if each.instance in still:
                            assert each.open
                        else:
                            assert each.ended() == ["data: bye"]
                    with streams(formation.url, 2) as (later, _):
                        assert {socket.instance for socket in later} <= still
        assert load.count.lost == []
        with streams(formation.url, 1) as (sockets, events):
            assert formation.stop() == 0
            assert sockets[0].closed_with() == RESTARTING
            assert events[0].ended() == ["data: bye"]
        assert not formation.of("process.drain_timeout") and not formation.of("process.killed")


STUBBORN = UVICORN.replace("await told.wait()", "await asyncio.Event().wait()").replace(
    "super().handle_exit(number, frame)", "pass"
)


def test_streams_that_their_process_does_not_end_are_cut_and_it_is_said(home: Home) -> None:
    settings = 'stop_timeout = "2s"\ndrain_timeout = "1h"\n'
    home.write({"Procfile": "web: python app.py\n", "app.py": STUBBORN, "fungible.toml": settings})
    with home.start("web=2") as formation:
        with load_on(formation.url, fresh=1, kept=1) as load, streams(formation.url, 2) as (sockets, events):
            assert home.run("restart").returncode == 0
            assert [socket.closed_with() for socket in sockets] == [None, None]
            for each in events:
                with pytest.raises(AssertionError, match="incomplete chunked read"):
                    each.ended()
        assert load.count.lost == []
        assert len(formation.of("process.killed")) == 2
        causes = [each["cause"] for path in ("/socket", "/events") for each in requests(formation, path, 2)]
        assert causes == ["closed"] * 4
        assert formation.stop() == 0
