"""S13: the store is away, and nobody is logged out, nothing hangs, nothing is kept elsewhere."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import redis
import redis.asyncio
from flask import Flask

from fungible_kit import Sessions
from fungible_kit.services import valkey as valkey_service
from fungible_kit.services.breaker import Breaker, Circuit
from fungible_kit.sessions import Misconfigured, Outage, Page, StoreUnavailable
from tests.kit.sessions import apps
from tests.kit.sessions.clients import Answer, AsgiBrowser, Jar, WsgiBrowser
from tests.kit.sessions.servers import running

ID = {"__Host-sid": "A" * 43}


@pytest.fixture(params=["valkey", "memcached"])
def refused(request: pytest.FixtureRequest) -> Iterator[str]:
    """A URL at whose port nobody listens, and nobody else can."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"{request.param}://127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture(params=["valkey", "memcached"])
def silent(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"{request.param}://127.0.0.1:{server.getsockname()[1]}"


def browsers(url: str, **settings: Any) -> Iterator[tuple[Sessions, WsgiBrowser | AsgiBrowser]]:
    for build, kind in ((apps.wsgi, WsgiBrowser), (apps.asgi, AsgiBrowser)):
        sessions = Sessions(url, **settings)
        yield sessions, kind(build(sessions), Jar(dict(ID)))


@pytest.mark.parametrize("path", ["/all", "/setread/a", "/login/ann", "/has/a"])
def test_s13_a_session_that_cannot_be_read_is_503_and_the_cookie_stays(refused: str, path: str) -> None:
    for sessions, browser in browsers(refused):
        answer = browser.get(path)
        assert answer.status == 503 and answer.one("retry-after") == "1"
        assert not answer.all("set-cookie") and answer.one("cache-control") == "no-store"
        assert browser.jar.cookies == ID
        assert sessions.events["session.store_unavailable"] >= 1


@pytest.mark.parametrize("path", ["/set/a/1", "/login/ann", "/logout"])
def test_s13_a_session_that_cannot_be_written_is_503_before_anything_is_sent(refused: str, path: str) -> None:
    for _, browser in browsers(refused):
        if path != "/logout":
            browser.jar.cookies.clear()
        before = dict(browser.jar.cookies)
        answer = browser.get(path)
        assert answer.status == 503 and not answer.all("set-cookie") and browser.jar.cookies == before


def test_s13_who_does_not_look_at_the_session_does_not_notice(refused: str) -> None:
    for _, browser in browsers(refused):
        assert browser.get("/untouched").status == 200
        browser.jar.cookies.clear()
        assert browser.get("/all").status == 200


def test_s13_anonymous_reads_nothing_and_writes_nothing(refused: str) -> None:
    for _, browser in browsers(refused, on_store_error="anonymous"):
        answer = browser.get("/all")
        assert answer.status == 200 and answer.text == "{}" and not answer.all("set-cookie")
        assert browser.get("/who").text == "[null, false, true]"
        for path in ("/set/a/1", "/login/ann"):
            answer = browser.get(path)
            assert answer.status == 503 and not answer.all("set-cookie")
        assert browser.jar.cookies == ID


def test_s13_a_server_that_says_nothing_is_given_up_in_time(silent: str) -> None:
    """The test's own time limit is the judge: without a deadline this never ends."""
    for sessions, browser in browsers(silent, deadline="100ms"):
        for _ in range(5):
            assert browser.get("/all").status == 503
        assert sessions._breaker.circuit is not Circuit.CLOSED
        assert browser.jar.cookies == ID


def test_s13_a_store_of_somebody_else_that_never_answers_is_given_up_too() -> None:
    class Forgetful:
        async def read(self, key: str) -> None:
            await asyncio.Event().wait()

    sessions = Sessions(Forgetful(), deadline="50ms")  # type: ignore[arg-type]
    browser = AsgiBrowser(apps.asgi(sessions), Jar(dict(ID)))
    assert browser.get("/all").status == 503
    assert WsgiBrowser(apps.wsgi(Sessions(Forgetful())), Jar()).get("/all").status == 200  # type: ignore[arg-type]


def test_s13_the_breaker_spares_a_server_that_fails(silent: str) -> None:
    sessions = Sessions(silent, deadline="50ms")
    sessions._breaker._pause = 3600
    browser = WsgiBrowser(apps.wsgi(sessions), Jar(dict(ID)))
    for _ in range(3):
        browser.get("/all")
    asked: list[str] = []
    store = sessions._sync_store()
    store.read = lambda key: asked.append(key)  # type: ignore[method-assign,assignment,return-value,func-returns-value]
    assert [browser.get("/all").status for _ in range(3)] == [503] * 3 and not asked


@pytest.mark.pure
def test_s13_the_breaker_probes_once_and_closes_on_an_answer() -> None:
    now = [0.0]
    breaker = Breaker(StoreUnavailable, "the store", failures=3, pause=1.0, clock=lambda: now[0])

    def call(fails: bool) -> str:
        try:
            with breaker:
                if fails:
                    raise StoreUnavailable("away")
        except StoreUnavailable as error:
            return "failed" if str(error) == "away" else "spared"
        return "answered"

    assert [call(True), call(True), call(False)] == ["failed", "failed", "answered"]
    assert [call(True) for _ in range(5)] == ["failed"] * 3 + ["spared"] * 2
    now[0] = 1.1
    assert [call(True), call(True)] == ["failed", "spared"]  # one probe
    now[0] = 2.2
    with breaker:
        assert call(False) == "spared"  # while a probe is out
    assert breaker.circuit is Circuit.CLOSED and call(False) == "answered"
    with pytest.raises(KeyError), breaker:
        raise KeyError("an app's error is no outage")
    assert call(False) == "answered"


@pytest.mark.parametrize("kind", ["valkey", "memcached"])
def test_s13_a_server_that_comes_back_serves_the_same_browser(kind: str, tmp_path: Path) -> None:
    from tests.kit.sessions.servers import KINDS

    async def life() -> None:
        server = KINDS[kind]("STORE_URL", tmp_path / kind)
        await server.start()
        url = server.url
        sessions = Sessions(url, deadline="5s")
        sessions._breaker._pause = 0.0
        browser = AsgiBrowser(apps.asgi(sessions))
        await browser.aget("/set/a/1")
        jar = dict(browser.jar.cookies)
        await server.stop()
        assert (await browser.aget("/all")).status == 503
        await server.start()
        if server.url != url:
            pytest.skip("another process took the port meanwhile")
        answer = await browser.aget("/all")
        assert answer.status == 200 and browser.jar.cookies == jar
        assert answer.text == ('{"a": 1}' if kind == "valkey" else "{}")  # Memcached keeps nothing
        await sessions.aclose()
        await server.stop()

    asyncio.run(life())


def test_s13_a_framework_that_turns_the_error_into_500_does_not_hide_the_outage(refused: str) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        try:
            len(environ["fungible.session"])
            start_response("200 OK", [])
        except Exception:
            start_response("500 Oops", [("Set-Cookie", "x=y")])
        return [b"what the framework says"]

    answer = WsgiBrowser(Sessions(refused).wsgi(app), Jar(dict(ID))).get("/")
    assert answer.status == 503 and b"framework" not in answer.body and not answer.all("set-cookie")

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        try:
            len(scope["session"])
        except Exception:
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b"what the framework says"})

    answer = AsgiBrowser(Sessions(refused).asgi(asgi), Jar(dict(ID))).get("/")
    assert answer.status == 503 and b"framework" not in answer.body


def test_s13_the_idle_limit_not_moved_on_fails_no_response(tmp_path: Path) -> None:
    with running("sqlite", tmp_path) as url:
        now = [1_000_000.0]
        sessions = Sessions(url, clock=lambda: now[0], idle="30m")
        store = sessions._sync_store()
        store._clock = lambda: now[0]  # type: ignore[attr-defined]
        browser = WsgiBrowser(apps.wsgi(sessions))
        browser.get("/set/a/1")
        now[0] += 600

        def away(*given: Any) -> Any:
            raise StoreUnavailable("away")

        store.patch = away  # type: ignore[method-assign]
        assert browser.get("/all").text == '{"a": 1}'
        assert browser.get("/setread/a").status == 503


def test_s13_a_logout_that_the_store_did_not_hear_clears_no_cookie(
    refused: str,
) -> None:
    for policy, status in (("unavailable", 503), ("anonymous", 500)):
        sessions = Sessions(refused, on_store_error=policy)  # type: ignore[arg-type]
        for browser in (
            WsgiBrowser(apps.wsgi(sessions, "500 Oops"), Jar(dict(ID))),
            AsgiBrowser(apps.asgi(sessions, 500, preload=False), Jar(dict(ID))),
        ):
            answer = browser.get("/logout")
            assert answer.status == status and not answer.all("set-cookie")


def test_threads_share_one_breaker_without_harm(refused: str) -> None:
    sessions = Sessions(refused)
    app = apps.wsgi(sessions)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(WsgiBrowser(app, Jar(dict(ID))).get("/all").status))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert statuses == [503] * 8


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_s13_what_an_operator_asks_of_a_silent_store_ends_in_time_as_well(
    silent: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request's deadline is around these: the store has its own."""
    if silent.startswith("memcached"):
        pytest.skip("it lists nothing")
    if kind == "redis":
        monkeypatch.setattr(valkey_service, "client_library", lambda: (redis, False))
    sessions = Sessions(silent)

    async def ask() -> None:
        for call in (sessions.aof("ann"), sessions.arevoke("ann")):
            with pytest.raises(StoreUnavailable, match="did not answer in time") as failed:
                await call
            assert failed.value.timed_out

    asyncio.run(ask())


def away_page(outage: Outage) -> Page | str | None:
    if outage.path.startswith("/api"):
        return Page(b'{"error": "away"}', "application/json")
    if outage.path == "/broken":
        raise RuntimeError("no template")
    return f"<h1>{outage.method} {outage.path} in {outage.retry_after} s</h1>" if outage.wants_html else None


@pytest.mark.parametrize("refused", ["valkey"], indirect=True)
@pytest.mark.parametrize("framework", ["wsgi", "asgi", "flask"])
def test_s13_an_app_shows_a_page_of_its_own_and_the_rest_of_the_answer_stays(
    refused: str, framework: str, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = Sessions(refused, on_outage=away_page)
    browser = browser_in(framework, sessions)
    for path, accept, body in (
        ("/page", "text/html,*/*", b"<h1>GET /page in 1 s</h1>"),
        ("/api/items", "", b'{"error": "away"}'),
        ("/page", "application/json", b"The session store is not available. Please try again in a moment.\n"),
        ("/broken", "text/html", b"The session store is not available. Please try again in a moment.\n"),
    ):
        answer = browser(path, accept)
        assert answer.status == 503 and answer.body == body
        assert answer.one("retry-after") == "1" and answer.one("cache-control") == "no-store"
        assert answer.one("content-length") == str(len(body)) and not answer.all("set-cookie")
        kind = {b"<": "text/html; charset=utf-8", b"{": "application/json"}.get(body[:1], "text/plain; charset=utf-8")
        assert answer.one("content-type") == kind
    assert "on_outage failed" in caplog.text


def browser_in(framework: str, sessions: Sessions) -> Callable[[str, str], Answer]:
    """Asks an app that looks at its session, with a cookie."""
    if framework == "flask":
        app = Flask(__name__)
        sessions.flask(app)
        app.add_url_rule("/<path:path>", "view", lambda path: str(len(flask.session)))
        client = app.test_client()
        client.set_cookie("__Host-sid", "A" * 43, domain="localhost")

        def ask(path: str, accept: str) -> Answer:
            response = client.get(path, headers={"Accept": accept})
            return Answer(response.status_code, list(response.headers), response.data)

        return ask

    def looks(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        len(environ["fungible.session"])
        raise AssertionError("the session was read")

    async def alooks(scope: Any, receive: Any, send: Any) -> None:
        len(scope["session"])
        raise AssertionError("the session was read")

    kind = WsgiBrowser if framework == "wsgi" else AsgiBrowser
    browser = kind(sessions.wsgi(looks) if framework == "wsgi" else sessions.asgi(alooks), Jar(dict(ID)))
    return lambda path, accept: browser.get(path, accept=accept)


def test_what_is_no_page_of_an_outage_is_refused() -> None:
    with pytest.raises(Misconfigured, match="on_outage=7 is no function of an Outage"):
        Sessions("sqlite:///x.db", on_outage=7)  # type: ignore[arg-type]
