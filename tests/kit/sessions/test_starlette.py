"""`request.session` in Starlette and FastAPI, in place of Starlette's SessionMiddleware."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import Depends, FastAPI, Request, WebSocket
from starlette.testclient import TestClient

from fungible_kit import Session, Sessions
from tests.kit.sessions.servers import asked


def app_of(sessions: Sessions, **options: Any) -> FastAPI:
    app = FastAPI()
    app.add_middleware(sessions.asgi, **options)

    @app.get("/add")
    async def add(request: Request) -> list[int]:
        request.session.setdefault("cart", []).append(len(request.session["cart"]))
        return request.session["cart"]  # type: ignore[no-any-return]

    @app.get("/thread")
    def thread(request: Request) -> Any:  # FastAPI runs it in a thread
        return request.session.get("cart")

    @app.get("/cart")
    async def cart(request: Request) -> Any:
        return request.session.get("cart")

    loaded = Depends(sessions.required)

    @app.get("/required")
    async def required(session: Session = loaded) -> Any:
        return [session.get("cart"), await session.aincr("seen")]

    @app.get("/login")
    async def login(request: Request) -> Any:
        request.session.login("ann")  # type: ignore[attr-defined]
        return request.session.user  # type: ignore[attr-defined]

    @app.get("/nothing")
    async def nothing() -> None: ...

    @app.get("/boom")
    async def boom(request: Request) -> None:
        request.session["cart"] = "lost"
        raise RuntimeError("boom")

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.session["cart"] = [*websocket.session.get("cart", []), "ws"]
        await websocket.session.asave()  # type: ignore[attr-defined]
        await websocket.send_json(websocket.session["cart"])
        await websocket.close()

    return app


@pytest.fixture
def client(url: str) -> Iterator[TestClient]:
    with TestClient(app_of(Sessions(url, deadline="5s")), base_url="https://testserver") as client:
        yield client


def test_the_drop_in_keeps_nested_changes_in_the_store(client: TestClient) -> None:
    assert [client.get("/add").json() for _ in range(3)] == [[0], [0, 1], [0, 1, 2]]
    answer = client.get("/cart")
    assert answer.json() == [0, 1, 2] and answer.headers["vary"] == "Cookie"
    assert client.get("/thread").json() == [0, 1, 2]
    assert client.get("/required").json() == [[0, 1, 2], 1]
    with pytest.raises(RuntimeError):
        client.get("/boom")
    assert client.get("/cart").json() == [0, 1, 2]
    before = client.cookies["__Host-sid"]
    assert client.get("/login").json() == "ann" and client.cookies["__Host-sid"] != before
    with client.websocket_connect("wss://testserver/ws") as websocket:
        assert websocket.receive_json() == [0, 1, 2, "ws"]
    assert client.get("/cart").json() == [0, 1, 2, "ws"]


def test_without_preload_only_who_asks_pays(valkey_url: str) -> None:
    sessions = Sessions(valkey_url, deadline="5s")
    with TestClient(app_of(sessions, preload=False), base_url="https://testserver") as client:
        assert client.get("/required").json() == [None, 1]
        assert client.get("/required").json() == [None, 2]
        for path, commands in {
            "/nothing": [],
            "/required": ["HGETALL", "EVALSHA"],
            "/thread": ["HGETALL"],
        }.items():
            with asked(valkey_url) as found:
                assert client.get(path).status_code == 200
            assert found == commands, path


def test_s13_a_store_that_is_away_is_503_though_starlette_made_it_500() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        sessions = Sessions(f"valkey://127.0.0.1:{held.getsockname()[1]}")
        for app in (app_of(sessions), sessions.asgi(app_of(sessions))):
            client = TestClient(app, base_url="https://testserver", raise_server_exceptions=False)
            client.cookies.set("__Host-sid", "A" * 43)
            answer = client.get("/cart")
            assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
            assert "set-cookie" not in answer.headers
            assert client.get("/nothing").status_code == 200
