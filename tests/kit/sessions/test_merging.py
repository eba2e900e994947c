"""Requests at the same time, through whole apps: nothing is lost, nothing comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from fungible_kit import Session, Sessions
from fungible_kit.sessions import NotStorable, SessionConflict, SessionError, SessionNotLoaded
from fungible_kit.sessions.conformance.case import together
from tests.kit.sessions import apps
from tests.kit.sessions.clients import AsgiBrowser, Jar, WsgiBrowser


def test_parallel_requests_on_different_names_both_keep_what_they_wrote(url: str) -> None:
    sessions = Sessions(url, deadline="5s")
    app = apps.wsgi(sessions)
    browser = WsgiBrowser(app)
    browser.get("/set/n/0")
    jar = Jar(dict(browser.jar.cookies))
    for round in range(3):
        paths = [f"/setread/r{round}w{i}" for i in range(8)]
        together([lambda path=path: WsgiBrowser(app, jar).get(path) for path in paths])
    assert len(json.loads(browser.get("/all").text)) == 25


def test_parallel_requests_through_asgi(url: str) -> None:
    async def talk() -> None:
        sessions = Sessions(url, deadline="5s")
        app = apps.asgi(sessions)
        browser = AsgiBrowser(app)
        await browser.aget("/set/n/0")
        await asyncio.gather(*(AsgiBrowser(app, browser.jar).aget(f"/setread/w{i}") for i in range(16)))
        sums = await asyncio.gather(*(AsgiBrowser(app, browser.jar).aget("/incr/n") for _ in range(16)))
        assert sorted(int(answer.text) for answer in sums) == list(range(1, 17))
        assert len(json.loads((await browser.aget("/all")).text)) == 17
        await sessions.aclose()

    asyncio.run(talk())


def test_one_session_is_shared_by_wsgi_and_asgi(url: str) -> None:
    there, back = Sessions(url, deadline="5s"), Sessions(url, deadline="5s")
    one = WsgiBrowser(apps.wsgi(there))
    one.get('/set/a/{"x":[1]}')
    two = AsgiBrowser(apps.asgi(back), one.jar)
    assert two.get("/all").text == '{"a": {"x": [1]}}'
    two.get("/login/ann")
    assert one.get("/who").text.startswith('["ann", true')


def test_conflict_raise_refuses_the_second_writer_of_one_name(url: str) -> None:
    sessions = Sessions(url, deadline="5s", conflict="raise")
    browser = WsgiBrowser(apps.wsgi(sessions))
    browser.get("/set/a/1")
    one, two, three = (sessions.open(browser.jar.header) for _ in range(3))
    assert one["a"] == two["a"] == three["a"] == 1
    one["a"], two["a"], three["b"] = 2, 3, 3
    one.save()
    with pytest.raises(SessionConflict, match="another request changed 'a'") as refused:
        two.save()
    assert refused.value.names == ("a",)
    three.save()
    assert dict(sessions.open(browser.jar.header)) == {"a": 2, "b": 3}

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        session = environ["fungible.session"]
        session["a"] += 1
        other = sessions.open(browser.jar.header)
        other["a"] = 99
        other.save()
        start_response("200 OK", [])
        return [b"done"]

    answer = WsgiBrowser(sessions.wsgi(app), browser.jar).get("/")
    assert answer.status == 409 and b"done" not in answer.body


def test_an_error_of_the_server_drops_changes_and_a_save_keeps_them(sqlite_url: str) -> None:
    sessions = Sessions(sqlite_url)
    browser = WsgiBrowser(apps.wsgi(sessions))
    browser.get('/set/a/"kept"')
    with pytest.raises(RuntimeError, match="the app's own"):
        browser.get("/fail")
    failing = WsgiBrowser(apps.wsgi(sessions, "503 Busy"), browser.jar)
    failing.get("/set/a/2")
    failing.get("/login/ann")
    assert browser.get("/all").text == '{"a": "kept"}' and browser.get("/who").text == "[null, false, false]"

    def saving(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        session = environ["fungible.session"]
        session["a"] = "saved"
        session.save()
        session["a"] = "dropped"
        start_response("500 Oops", [])
        return [b""]

    WsgiBrowser(sessions.wsgi(saving), browser.jar).get("/")
    assert browser.get("/all").text == '{"a": "saved"}'


def test_nested_changes_are_seen_and_unchanged_values_are_not_written(url: str) -> None:
    sessions = Sessions(url, deadline="5s")
    browser = WsgiBrowser(apps.wsgi(sessions))
    browser.get('/set/cart/{"items":[]}')
    session = sessions.open(browser.jar.header)
    session["cart"]["items"].append({"id": 1})
    session.save()
    session["cart"]["items"][0]["n"] = 2  # after a save, on the same object
    session.save()
    again = sessions.open(browser.jar.header)
    assert again["cart"] == {"items": [{"id": 1, "n": 2}]}
    assert again._changes.pending() == ({}, frozenset())


def test_the_mapping_behaves_as_a_dict(sqlite_url: str) -> None:
    sessions = Sessions(sqlite_url)
    session = sessions.open("")
    twin: dict[str, Any] = {}
    for mapping in (session, twin):
        mapping.update(a=1, b=[1], c=None)
        mapping.setdefault("d", {})["x"] = 1
        del mapping["c"]
        assert mapping.pop("a") == 1 and mapping.pop("a", 7) == 7
        with pytest.raises(KeyError):
            mapping["a"]
        with pytest.raises(KeyError):
            del mapping["a"]
    assert dict(session) == twin and session == twin and list(session) == list(twin) and len(session) == 2
    session.save()
    session.clear()
    session.save()
    assert len(session) == 0 and session.new
    assert not sessions.open(f"__Host-sid={session.issued}").new


def test_atomic_steps_see_what_this_request_did_before(url: str) -> None:
    sessions = Sessions(url, deadline="5s")
    new = sessions.open("")
    assert [new.incr("n"), new.incr("n", 5), new.take("n"), new.take("n", "none")] == [1, 6, 6, "none"]
    assert new.compute("list", lambda value: [*value, 1], []) == [1]
    new.save()
    header = f"__Host-sid={new.issued}"
    for blind in (True, False):
        session = sessions.open(header)
        if not blind:
            session.load()
        session["n"] = 10
        assert session.incr("n", -3) == 7 and session["n"] == 7
        session["once"] = "t"
        assert session.take("once") == "t" and "once" not in session
        del session["list"]
        assert session.compute("list", lambda value: value, ["default"]) == ["default"]
        session.save()
        assert dict(sessions.open(header)) == {"n": 7, "list": ["default"]}
    with pytest.raises(SessionError, match="no whole number"):
        sessions.open(header).incr("list")


def test_an_ended_session_takes_atomic_steps_without_coming_back(url: str) -> None:
    sessions = Sessions(url, deadline="5s")
    first = sessions.open("")
    first["n"] = 1
    first.save()
    late = sessions.open(f"__Host-sid={first.issued}")
    assert late["n"] == 1
    first.logout()
    first.save()
    assert late.incr("n") == 2 and late.take("n") is None and late.compute("m", lambda v: 5) == 5
    late["x"] = 1
    late.save()
    assert late.issued is None and sessions._sync_store().read(str(late.key)) is None


def test_who_signs_in_after_the_session_was_ended_gets_a_new_one(url: str) -> None:
    sessions = Sessions(url, deadline="5s")
    first = sessions.open("")
    first["of"] = "the old one"
    first.save()
    late = sessions.open(f"__Host-sid={first.issued}")
    assert late["of"] == "the old one"
    first.logout()
    first.save()
    late["x"] = 1
    late.save()
    late.login("ann")
    late["y"] = 1
    late.save()
    found = sessions.open(f"__Host-sid={late.issued}")
    assert dict(found) == {"y": 1} and found.user == "ann"


def test_a_rotated_id_that_lasts_is_not_sent_again_by_a_request_under_way(sqlite_url: str) -> None:
    import time

    from fungible_kit import Cookie

    now = [time.time()]
    cookie = Cookie(persistent=True)
    sessions = Sessions(sqlite_url, cookie=cookie, rotate_every="1m", clock=lambda: now[0])
    sessions._sync_store()._clock = lambda: now[0]  # type: ignore[attr-defined]
    browser = WsgiBrowser(apps.wsgi(sessions))
    browser.get("/set/a/1")
    under_way = WsgiBrowser(browser.app, Jar(dict(browser.jar.cookies)))
    now[0] += 61
    assert "Max-Age" in str(browser.get("/setread/b").one("set-cookie"))
    answer = under_way.get("/set/c/1")
    assert answer.status == 200 and not answer.all("set-cookie")
    assert browser.get("/all").text == '{"a": 1, "b": 1, "c": 1}'


def test_in_an_event_loop_a_session_that_is_not_loaded_says_how(sqlite_url: str) -> None:
    async def talk() -> None:
        sessions = Sessions(sqlite_url, deadline="5s")
        browser = AsgiBrowser(apps.asgi(sessions, preload=False))
        await browser.aget("/set/a/1")
        with pytest.raises(SessionNotLoaded, match=r"await session.aload\(\)"):
            await browser.aget("/all")
        session = sessions.open(browser.jar.header, in_loop=True)
        for call in (session.load, session.save, lambda: session.incr("n"), lambda: session.take("n")):
            with pytest.raises(SessionError, match=r"write `await session\.a"):
                call()
        await session.aload()
        assert session["a"] == 1
        thread = sessions.open(browser.jar.header, in_loop=True)
        assert await asyncio.to_thread(lambda: thread["a"]) == 1  # a thread may just look
        await sessions.aclose()

    asyncio.run(talk())


def test_a_websocket_has_the_session_and_keeps_what_it_changes(url: str) -> None:
    sessions = Sessions(url, deadline="5s")
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session: Session = scope["session"]
        session["at"] = "accept"
        await send({"type": "websocket.accept"})
        session["at"] = "message"
        await session.asave()
        session["left"] = True
        await send({"type": "websocket.close", "code": 1000})

    async def talk(header: str) -> None:
        headers = [(b"cookie", header.encode())] if header else []
        scope = {"type": "websocket", "path": "/", "headers": headers}

        async def send(message: Any) -> None:
            sent.append(message)

        await sessions.asgi(app)(scope, None, send)  # type: ignore[arg-type]

    asyncio.run(talk(""))
    cookie = dict(sent[0]["headers"])[b"set-cookie"].decode().partition(";")[0]
    assert dict(sessions.open(cookie)) == {"at": "message", "left": True}


def test_a_websocket_that_is_turned_away_leaves_no_record(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    sessions = Sessions(sqlite_url, deadline="5s")
    created: list[Any] = []
    sessions._async_store().create = lambda *given: created.append(given)  # type: ignore[assignment,method-assign,return-value]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["a"] = 1
        await send({"type": "websocket.close", "code": 1008})

    async def send(message: Any) -> None: ...

    asyncio.run(sessions.asgi(app)({"type": "websocket", "path": "/", "headers": []}, None, send))  # type: ignore[arg-type]
    assert not created and "needs a cookie" in caplog.text


def test_a_persistent_cookie_lasts_as_long_as_the_session(sqlite_url: str) -> None:
    from fungible_kit import Cookie

    now = [0.0]
    import time

    now[0] = time.time()
    sessions = Sessions(sqlite_url, cookie=Cookie(persistent=True), idle="30m", clock=lambda: now[0])
    browser = WsgiBrowser(apps.wsgi(sessions))
    assert "Max-Age=1800;" in str(browser.get("/set/a/1").one("set-cookie")).replace("1799", "1800")
    now[0] += 100
    assert browser.get("/all").one("set-cookie") is None
    now[0] += 100  # the read is worth moving the limit on, and the cookie with it
    assert "Max-Age=1" in str(browser.get("/all").one("set-cookie"))


def test_a_change_inside_a_value_is_seen_whatever_it_was_before(sqlite_url: str) -> None:
    """What is compared is what the store holds, not what the request read first."""
    sessions = Sessions(sqlite_url)
    browser = WsgiBrowser(apps.wsgi(sessions))
    browser.get('/set/a/{"list": [1, 2], "n": 1}')

    def held() -> Any:
        return sessions.open(browser.jar.header)["a"]

    for change, expected in (
        (lambda a: a.update(list=(1, 2)), {"list": (1, 2), "n": 1}),  # a tuple for a list, nothing else
        (lambda a: a.update(list=[1, 2]), {"list": [1, 2], "n": 1}),
        (lambda a: a.update(n=True), {"list": [1, 2], "n": True}),
        (lambda a: a.update(n=1.0), {"list": [1, 2], "n": 1.0}),
        (lambda a: a.update(n=1), {"list": [1, 2], "n": 1}),
    ):
        session = sessions.open(browser.jar.header)
        change(session["a"])
        session.save()
        assert repr(held()) == repr(expected)
    session = sessions.open(browser.jar.header)
    for values in ([3], [1, 2], [4], [1, 2]):  # there and back, with a save between
        session["a"]["list"][:] = values
        session.save()
        assert held()["list"] == values
    session["a"] = {"list": [5]}
    session.save()
    session["a"]["list"] = [1, 2]
    session["a"]["n"] = 1  # as it was when it was read
    session.save()
    assert held() == {"list": [1, 2], "n": 1}
    session["a"]["list"].append(session["a"])
    with pytest.raises(NotStorable, match="contains itself"):
        session.save()
