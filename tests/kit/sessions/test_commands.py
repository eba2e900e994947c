"""Exactly what a request costs at the store, told by the store's own servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from fungible_kit import Sessions
from fungible_kit.services.sql import Statement
from tests.kit.sessions import apps
from tests.kit.sessions.clients import AsgiBrowser, WsgiBrowser
from tests.kit.sessions.servers import asked


@pytest.fixture(params=["valkey", "redis", "memcached"])
def words(request: pytest.FixtureRequest, servers: dict[str, str]) -> tuple[str, str, str, str]:
    names = ("get", "set", "delete") if request.param == "memcached" else ("HGETALL", "EVALSHA", "DEL")
    return (servers[request.param], *names)


def warmed(url: str) -> Sessions:
    """Connected, and with the scripts known to the server."""
    sessions = Sessions(url, deadline="5s")
    browser = WsgiBrowser(apps.wsgi(sessions))
    for path in ("/set/warm/1", "/setread/warm", "/take/warm", "/login/warm", "/logout"):
        browser.get(path)
    return sessions


def test_commands_of_each_request_wsgi(words: tuple[str, str, str, str]) -> None:
    url, read, write, end = words
    sessions = warmed(url)
    browser = WsgiBrowser(apps.wsgi(sessions))

    def costs(path: str, *expected: str, cookie: str | None = None) -> None:
        with asked(url) as commands:
            assert browser.get(path, cookie).status == 200
        assert commands == list(expected), path

    costs("/untouched")
    costs("/all")  # anonymous, and read
    costs("/who")
    costs("/logout")
    assert not browser.jar.cookies
    costs("/set/a/1", write)  # the first write
    costs("/untouched")
    costs("/all", read)
    costs("/has/a", read)
    costs("/setread/a", read, write)
    costs("/set/list/[]", *([write] if read == "HGETALL" else [read, write]))  # without having read
    costs("/append/list/1", read, write)
    costs("/append/list/2", read, write)
    costs("/set/a/7", *([write] if read == "HGETALL" else [read, write]))
    costs("/incr/a", *([write] if read == "HGETALL" else [read, write]))
    costs("/all", read, cookie=f"__Host-sid={'x' * 43}")  # well-formed, not ours
    costs("/all", cookie="__Host-sid=junk")
    costs("/logout", end)
    costs("/all")


def test_a_value_assigned_as_it_was_costs_no_write(valkey_url: str) -> None:
    browser = WsgiBrowser(apps.wsgi(warmed(valkey_url)))
    browser.get("/set/a/1")
    app = browser.app

    def same(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        session = environ["fungible.session"]
        session["a"] = session["a"]
        session.setdefault("a", 5)
        start_response("200 OK", [])
        return [b""]

    app._app = same
    with asked(valkey_url) as commands:
        browser.get("/")
    assert commands == ["HGETALL"]


@pytest.mark.parametrize("preload", [True, False])
def test_commands_of_each_request_asgi(words: tuple[str, str, str, str], preload: bool) -> None:
    url, read, write, end = words
    warmed(url)

    async def talk() -> None:
        sessions = Sessions(url, deadline="5s")

        async def loaded(scope: Any, receive: Any, send: Any) -> None:
            if not scope["path"].endswith(("/untouched", "/logout")):
                await scope["session"].aload()
            await inner(scope, receive, send)

        app = apps.asgi(sessions, preload=preload, exclude=("/assets",))
        inner, app._app = app._app, loaded
        browser = AsgiBrowser(app)

        async def costs(path: str, *expected: str) -> None:
            await sessions.aof("nobody") if read == "HGETALL" else None  # the connection is there
            with asked(url) as commands:
                assert (await browser.aget(path)).status == 200
            assert commands == list(expected), path

        await costs("/untouched")
        await costs("/all")
        assert not browser.jar.cookies
        await costs("/set/a/1", write)
        await costs("/untouched", *([read] if preload else []))
        await costs("/assets/untouched")
        await costs("/all", read)
        await costs("/setread/a", read, write)
        await costs("/incr/a", read, write)
        await costs("/logout", *([read, end] if preload else [end]))
        await costs("/all")
        await sessions.aclose()

    asyncio.run(talk())


def test_the_session_of_two_middlewares_is_read_once(valkey_url: str) -> None:
    """As where an app is mounted in another, and each adds the sessions they share."""
    sessions = warmed(valkey_url)

    async def talk() -> None:
        inner = apps.asgi(sessions, exclude=("/assets", "/static/"))
        browser = AsgiBrowser(sessions.asgi(inner, exclude=("/assets", "/static/")))
        await browser.aget("/set/a/1")
        assert len(browser.jar.cookies) == 1
        for path, expected in {
            "/all": ["HGETALL"],
            "/setread/a": ["HGETALL", "EVALSHA"],
            "/assets": [],
            "/assets/a": [],
            "/static/a": [],
            "/assets-of-ann": ["HGETALL"],  # a prefix ends where a segment ends
        }.items():
            with asked(valkey_url) as commands:
                assert (await browser.aget(path)).status == 200
            assert commands == expected, path
        await sessions.aclose()

    asyncio.run(talk())


def test_a_login_is_two_commands_and_one_for_the_index(valkey_url: str) -> None:
    browser = WsgiBrowser(apps.wsgi(warmed(valkey_url)))
    browser.get("/set/a/1")
    with asked(valkey_url) as commands:
        browser.get("/login/ann")
    assert commands == ["HGETALL", "EVALSHA", "EVALSHA", "EVALSHA"]


def test_sqlite_is_not_touched_where_a_session_is_not(sqlite_url: str) -> None:
    calls: list[str] = []
    sessions = Sessions(sqlite_url)
    store = sessions._sync_store()
    for name in ("read", "create", "patch", "take", "move", "delete"):
        method = getattr(store, name)
        setattr(store, name, lambda *a, name=name, method=method: calls.append(name) or method(*a))
    browser = WsgiBrowser(apps.wsgi(sessions))
    expected = {
        "/untouched": [],
        "/all": [],
        "/set/a/1": ["create"],
        "/len": ["read"],
        "/setread/a": ["read", "patch"],
    }
    for path, wanted in expected.items():
        calls.clear()
        browser.get(path)
        assert calls == wanted, path


def test_statements_of_each_request_at_postgres(servers: dict[str, str]) -> None:
    sessions = Sessions(servers["postgres"], deadline="10s")
    connections = sessions._sync_store()._connections  # type: ignore[attr-defined]
    run, asked = connections.run, []

    def counted(statements: Sequence[Statement], **options: bool) -> Any:
        asked.extend(each.text.split()[0] for each in statements)
        return run(statements, **options)

    connections.run = counted
    browser = WsgiBrowser(apps.wsgi(sessions))
    for path, expected in (
        ("/untouched", []),
        ("/all", []),
        ("/set/a/1", ["INSERT"]),
        ("/untouched", []),
        ("/all", ["SELECT"]),
        ("/setread/a", ["SELECT", "UPDATE"]),
        ("/set/a/7", ["SELECT", "UPDATE"]),  # without having read
        ("/login/ann", ["SELECT", "SELECT", "WITH"]),
        ("/logout", ["DELETE"]),
    ):
        asked.clear()
        assert browser.get(path).status == 200
        assert asked == expected, path
    sessions.close()


def test_scripts_that_a_server_has_forgotten_are_sent_again(valkey_url: str) -> None:
    import valkey

    browser = WsgiBrowser(apps.wsgi(warmed(valkey_url)))
    browser.get("/set/a/1")
    valkey.Valkey.from_url(valkey_url).script_flush()
    with asked(valkey_url) as commands:
        browser.get("/set/a/2")
    assert commands == ["EVALSHA", "EVAL"]
    assert browser.get("/all").text == '{"a": 2}'
