"""Requests are transactions, under WSGI and ASGI servers and frameworks; what would outlive one is wiped and told."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import fastapi
import flask
import httpx
import pytest
import uvicorn
from starlette.responses import StreamingResponse
from werkzeug.test import Client, EnvironBuilder, TestResponse, run_wsgi_app

from fungible_kit import Leak, ScratchError, Transactions, scratch, transaction_cache
from fungible_kit.transactions.scope import current
from tests.examples.example_apps import until


class Ledger:
    """The leaks that were told."""

    def __init__(self) -> None:
        self.leaks: list[Leak] = []

    def __call__(self, leak: Leak) -> None:
        self.leaks.append(leak)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


RATES = {"EUR": 1}
CALLS: list[str] = []


@transaction_cache
def rate(code: str) -> int:
    CALLS.append(code)
    return RATES[code]


@pytest.fixture(autouse=True)
def fresh() -> None:
    CALLS.clear()
    RATES["EUR"] = 1


def flask_app() -> flask.Flask:
    app = flask.Flask(__name__)

    @app.get("/rate")
    def show() -> str:
        return f"{rate('EUR')} {rate('EUR')}"

    @app.get("/stream")
    def stream() -> flask.Response:
        def rows() -> Iterator[str]:
            for _ in range(3):
                yield f"{rate('EUR')} "

        rate("EUR")
        return flask.Response(rows())

    @app.get("/leak")
    def leak() -> str:
        tmp = scratch().__enter__()
        with tmp.open("left", "wb") as file:
            file.write(b"x" * 1000)
        return str(tmp.path)

    @app.get("/kept")
    def kept() -> flask.Response:
        tmp = scratch().for_transaction()
        with tmp.open("big", "w") as file:
            file.write("x" * 1000)

        def rows() -> Iterator[str]:
            with tmp.open("big") as file:
                while part := file.read(100):
                    yield part

        return flask.Response(rows(), headers={"X-Path": str(tmp.path)})

    @app.get("/file")
    def file() -> flask.Response:
        with scratch() as tmp:
            (tmp / "out").write_bytes(b"y" * 5000)
            return flask.send_file(tmp / "out")

    @app.get("/error")
    def error() -> str:
        scratch().__enter__()
        raise RuntimeError

    @app.get("/tempfile")
    def left() -> str:
        with tempfile.NamedTemporaryFile(delete=False) as kept:
            kept.write(b"12345")
        with tempfile.NamedTemporaryFile():
            pass
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "a").write_text("a")
        return kept.name

    @app.get("/own")
    def own() -> str:
        path = os.path.join(os.environ["FUNGIBLE_SCRATCH"], "mine")
        os.mkdir(path)
        Path(path, "a.part").write_text("a")
        os.rename(os.path.join(path, "a.part"), os.path.join(path, "a"))
        return path

    return app


class ClosingClient(Client):
    """As a server does, it closes what it was answered (PEP 3333)."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        return super().open(*args, buffered=True, **kwargs)


@pytest.fixture
def client(base: Path, ledger: Ledger) -> Client:
    app = flask_app()
    app.wsgi_app = Transactions(on_leak=ledger).wsgi(app.wsgi_app)  # type: ignore[method-assign,assignment]
    return ClosingClient(app)


def test_a_request_is_a_transaction(client: Client) -> None:
    assert client.get("/rate").text == "1 1"
    RATES["EUR"] = 2  # written elsewhere: the next request sees it
    assert client.get("/rate").text == "2 2"
    assert CALLS == ["EUR", "EUR"]
    assert current() is None


def test_a_stream_is_in_it_to_the_last_byte(client: Client) -> None:
    assert client.get("/stream").text == "1 1 1 "
    assert CALLS == ["EUR"]


def test_f4_a_space_that_would_outlive_its_request_is_wiped_and_told(
    client: Client, base: Path, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "fungible_kit"):
        path = client.get("/leak").text
    assert list(base.iterdir()) == []
    (leak,) = ledger.leaks
    line = Path(__file__).read_text().splitlines().index("        tmp = scratch().__enter__()") + 1
    assert leak.made_at.endswith(f"test_middleware.py:{line}")
    assert (leak.kind, leak.path, leak.bytes, leak.files, leak.wiped) == ("scratch", path, 1000, 1, True)
    assert "scratch.leak: scratch" in caplog.text and f"test_middleware.py:{line}" in caplog.text


def test_f4_and_after_an_error(client: Client, base: Path, ledger: Ledger) -> None:
    assert client.get("/error").status_code == 500
    assert list(base.iterdir()) == [] and len(ledger.leaks) == 1


def test_a_space_of_the_transaction_lives_to_the_last_byte(client: Client, base: Path, ledger: Ledger) -> None:
    answer = client.get("/kept")
    assert answer.text == "x" * 1000
    assert not Path(answer.headers["X-Path"]).exists() and list(base.iterdir()) == []
    assert ledger.leaks == []
    with pytest.raises(ScratchError, match="no transaction here"):
        scratch().for_transaction()


def test_a_client_that_goes_ends_it_too(client: Client, base: Path) -> None:
    body, _, _ = run_wsgi_app(client.application, EnvironBuilder("/kept").get_environ(), buffered=False)
    assert next(iter(body)) and len(list(base.iterdir())) == 1
    body.close()  # type: ignore[attr-defined]
    assert list(base.iterdir()) == []


def test_an_answer_that_is_never_closed_ends_when_it_is_forgotten(client: Client, base: Path) -> None:
    body, _, _ = run_wsgi_app(client.application, EnvironBuilder("/kept").get_environ(), buffered=False)
    assert len(list(base.iterdir())) == 1
    del body
    gc.collect()
    assert list(base.iterdir()) == []


def test_files_left_in_the_temporary_folder_are_told(client: Client, base: Path, ledger: Ledger) -> None:
    path = client.get("/tempfile").text
    (leak,) = ledger.leaks
    assert (leak.kind, leak.path, leak.bytes, leak.wiped) == ("file", path, 5, False)
    line = [text.strip() for text in Path(__file__).read_text().splitlines()].index(
        "with tempfile.NamedTemporaryFile(delete=False) as kept:"
    )
    assert leak.made_at.endswith(f"test_middleware.py:{line + 1}")
    assert Path(path).exists()  # somebody's cache, perhaps: only told


def test_files_left_in_our_own_folder_are_wiped(client: Client, base: Path, ledger: Ledger) -> None:
    path = client.get("/own").text
    (leak,) = ledger.leaks  # the folder, not each file in it
    assert (leak.kind, leak.path, leak.files, leak.wiped) == ("folder", path, 1, True)
    assert list(base.iterdir()) == []


@pytest.mark.parametrize(("rule", "told", "there"), [("wipe", 1, False), ("ignore", 0, True)])
def test_the_rule_for_temporary_files(base: Path, ledger: Ledger, rule: Any, told: int, there: bool) -> None:
    app = flask_app()
    app.wsgi_app = Transactions(on_leak=ledger, temporary=rule).wsgi(app.wsgi_app)  # type: ignore[method-assign,assignment]
    path = ClosingClient(app).get("/tempfile").text
    assert (len(ledger.leaks), Path(path).exists()) == (told, there)
    with pytest.raises(ValueError, match='give "report", "wipe" or "ignore"'):
        Transactions(temporary="delete")  # type: ignore[arg-type]


def test_wrapping_twice_is_wrapping_once(base: Path) -> None:
    app = flask_app()
    transactions = Transactions()
    app.wsgi_app = transactions.wsgi(transactions.wsgi(app.wsgi_app))  # type: ignore[method-assign,assignment]
    assert Client(app).get("/rate").text == "1 1"


def test_a_real_wsgi_server_gets_its_files_and_lists(base: Path, ledger: Ledger) -> None:
    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    app = flask_app()

    def plain(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] != "/list":
            return app(environ, start_response)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(rate("EUR")).encode()]

    server = make_server("127.0.0.1", 0, Transactions(on_leak=ledger).wsgi(plain), handler_class=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        assert httpx.get(f"{url}/file").content == b"y" * 5000
        assert httpx.get(f"{url}/kept").text == "x" * 1000
        one = httpx.get(f"{url}/list")
        assert (one.text, one.headers["Content-Length"]) == ("1", "1")  # the server could count the items
    finally:
        server.shutdown()
        server.server_close()
    assert list(base.iterdir()) == [] and ledger.leaks == []


# ASGI


def fastapi_app(seen: dict[str, Any]) -> fastapi.FastAPI:
    app = fastapi.FastAPI()

    def in_threadpool() -> int:
        return rate("EUR")

    @app.get("/rate")
    async def show(one: int = fastapi.Depends(in_threadpool)) -> int:
        return one + await asyncio.to_thread(rate, "EUR")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        tmp = scratch().for_transaction()
        seen["path"] = tmp.path
        (tmp / "a").write_text("a")

        async def rows() -> Any:
            for _ in range(3):
                yield f"{rate('EUR')}{(tmp / 'a').read_text()} "

        return StreamingResponse(rows())

    @app.get("/background")
    async def background(tasks: fastapi.BackgroundTasks) -> str:
        def after() -> None:
            seen["after"] = (current(), list(Path(os.environ["FUNGIBLE_SCRATCH"]).iterdir()))

        scratch().__enter__()
        tasks.add_task(after)
        return "ok"

    @app.get("/error")
    async def error() -> None:
        scratch().__enter__()
        raise RuntimeError

    @app.get("/slow")
    async def slow() -> None:
        async with scratch() as tmp:
            tmp.open("a", "w").close()
            seen["open"].set()
            await asyncio.Event().wait()

    @app.websocket("/socket")
    async def socket(websocket: fastapi.WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(str(current()))
        await websocket.close()

    return app


@pytest.fixture
def seen() -> dict[str, Any]:
    return {"open": threading.Event()}


@pytest.fixture
def url(base: Path, ledger: Ledger, seen: dict[str, Any]) -> Iterator[str]:
    """A real uvicorn with the wrapped app."""
    app = fastapi_app(seen)
    app.add_middleware(Transactions(on_leak=ledger).asgi)  # type: ignore[arg-type]
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="critical", lifespan="on", timeout_graceful_shutdown=1)
    )
    started = threading.Event()
    startup = server.startup

    async def noted(*args: Any, **kwargs: Any) -> None:
        await startup(*args, **kwargs)
        started.set()

    server.startup = noted  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(60)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(60)


def test_asgi_requests_are_transactions(url: str, base: Path, ledger: Ledger, seen: dict[str, Any]) -> None:
    assert httpx.get(f"{url}/rate").json() == 2
    RATES["EUR"] = 2
    assert httpx.get(f"{url}/rate").json() == 4
    assert CALLS == ["EUR", "EUR"]
    assert httpx.get(f"{url}/stream").text == "2a 2a 2a "
    assert CALLS == ["EUR"] * 3
    until(lambda: list(base.iterdir()) == [], "the space is gone after the last byte")
    assert ledger.leaks == []


def test_f4_asgi_what_would_outlive_it_is_wiped_at_the_last_byte(
    url: str, base: Path, ledger: Ledger, seen: dict[str, Any]
) -> None:
    assert httpx.get(f"{url}/background").json() == "ok"
    assert httpx.get(f"{url}/error").status_code == 500
    until(lambda: [leak.kind for leak in ledger.leaks] == ["scratch", "scratch"], "both are told")
    assert seen["after"] == (None, [])  # a background task runs after the transaction
    assert list(base.iterdir()) == []


def test_a_websocket_is_no_transaction(url: str) -> None:
    from websockets.sync.client import connect

    with connect(f"{url.replace('http', 'ws')}/socket") as socket:
        assert socket.recv() == "None"


def test_f4_a_request_that_is_cancelled_is_wiped(base: Path) -> None:
    async def main() -> None:
        seen: dict[str, Any] = {"open": threading.Event()}
        app = Transactions().asgi(fastapi_app(seen))
        scope = {"type": "http", "method": "GET", "path": "/slow", "query_string": b"", "headers": []}
        never = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await never.wait()
            return {"type": "http.disconnect"}

        async def send(_: Any) -> None:
            pass

        task = asyncio.create_task(app(scope, receive, send))  # type: ignore[arg-type]
        await asyncio.to_thread(seen["open"].wait)
        assert len(list(base.iterdir())) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(base.iterdir()) == []

    asyncio.run(main())


def test_an_on_leak_that_fails_is_not_the_answers_error(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: Leak) -> None:
        raise RuntimeError("of the ledger")

    app = flask_app()
    app.wsgi_app = Transactions(on_leak=fails).wsgi(app.wsgi_app)  # type: ignore[method-assign,assignment]
    assert ClosingClient(app).get("/leak").status_code == 200
    assert "of the ledger" in caplog.text and list(base.iterdir()) == []
