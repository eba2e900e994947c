"""Security requirements S1 to S17, each by its number, on real stores."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import flask
import psycopg
import pymemcache
import pytest
import valkey

from fungible_kit import Cookie, Session, Sessions
from fungible_kit.sessions import (
    Misconfigured,
    NotStorable,
    NotSupported,
    Sealed,
    SessionAlreadySent,
    SessionError,
    SessionTooLarge,
    identity,
)
from fungible_kit.sessions.conformance.case import together
from fungible_kit.sessions.stores import valkey as valkey_store
from tests.kit.sessions import apps
from tests.kit.sessions.clients import AsgiBrowser, Jar, WsgiBrowser


class Clock:
    """Time that a test moves; begins now, for stores that look at their own as well."""

    def __init__(self) -> None:
        import time

        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def open_sessions(url: str, **settings: Any) -> Sessions:
    return Sessions(url, deadline="5s", **settings)


def browser_of(url: str, **settings: Any) -> WsgiBrowser:
    return WsgiBrowser(apps.wsgi(open_sessions(url, **settings)))


def sid(browser: WsgiBrowser | AsgiBrowser) -> str:
    return browser.jar.cookies["__Host-sid"]


def everything_in(url: str) -> bytes:
    """All that a store holds, as bytes."""
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    if url.startswith("postgres"):
        with psycopg.connect(url) as connection:
            rows = connection.execute("SELECT key, user_hash, record FROM fungible_session").fetchall()
        return b"".join(key.encode() + str(user).encode() + bytes(record) for key, user, record in rows)
    if url.startswith("memcached"):
        host, port = url.partition("://")[2].split(":")
        client = pymemcache.Client((host, int(port)))
        keys = [k.encode() for k in _memcached_keys(host, int(port))]
        return b"".join(key + (client.get(key) or b"") for key in keys)
    client = valkey.Valkey.from_url(url)
    found = b""
    for key in client.scan_iter():
        kind = client.type(key)  # of other tests, too; one may expire meanwhile
        if kind == b"hash":
            found += key + b"".join(name + value for name, value in client.hgetall(key).items())
        elif kind == b"set":
            found += key + b"".join(client.smembers(key))
        elif kind == b"string":
            found += key + (client.get(key) or b"")
    return found


def _memcached_keys(host: str, port: int) -> list[str]:
    import socket

    with socket.create_connection((host, port)) as wire:
        data = b"BUSY"
        while data.startswith(b"BUSY"):  # the crawler works for the server itself now and then
            wire.sendall(b"lru_crawler metadump all\r\n")
            data = b""
            while not data.endswith(b"END\r\n") and not data.startswith(b"BUSY"):
                data += wire.recv(65536)
    lines = [line for line in data.splitlines() if line.startswith(b"key=")]
    return [unquote(line.split()[0].removeprefix(b"key=").decode()) for line in lines]


def test_s1_ids_have_256_random_bits_and_anything_else_is_never_asked_for() -> None:
    ids = {identity.new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(base64.urlsafe_b64decode(id + "=")) == 32 for id in ids)
    cookie = Cookie()
    for bad in (
        "",
        "x" * 42,
        "x" * 44,
        "x" * 42 + "é",
        "x" * 42 + "\n",
        "../" + "x" * 40,
        "x" * 3000,
        "x" * 42 + "=",
    ):
        assert not identity.well_formed(bad)
        assert cookie.id_in(f"__Host-sid={bad}") is None


def test_s2_an_id_that_is_not_ours_never_becomes_a_key(url: str) -> None:
    sessions = open_sessions(url)
    browser = WsgiBrowser(apps.wsgi(sessions))
    planted = "A" * 43
    answer = browser.get("/all", f"__Host-sid={planted}")
    assert answer.text == "{}" and not answer.all("set-cookie")  # read only: nothing issued, nothing cleared
    assert sessions.events["session.unknown_id"] == 1
    for path in ("/set/a/1", "/setread/a"):  # without and with having read
        answer = browser.get(path, f"__Host-sid={planted}")
        assert answer.status == 200 and sid(browser) != planted
        assert browser.get("/all", f"__Host-sid={planted}").text == "{}"
        assert browser.get("/all").text == '{"a": 1}'
    assert sessions._sync_store().read(identity.key_of(planted)) is None


def test_s3_the_store_and_the_log_hold_the_hash_and_never_the_id(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sessions = open_sessions(url)
    browser = WsgiBrowser(apps.wsgi(sessions))
    browser.get("/set/a/1")
    id = sid(browser)
    held = everything_in(url)
    digest = base64.urlsafe_b64encode(hashlib.sha256(id.encode()).digest()).rstrip(b"=")
    assert id.encode() not in held and digest in held
    sessions._sync_store().delete(identity.key_of(id))
    browser.get("/all")
    assert "session.unknown_id" in caplog.text and id not in caplog.text
    session = sessions.open(browser.jar.header)
    assert session.public_id == hashlib.sha256(id.encode()).hexdigest()[:12]
    assert id not in repr(session) and id not in str(vars(session))


def test_s4_a_login_changes_the_id_and_ends_the_old_one_at_once(url: str) -> None:
    browser = browser_of(url)
    browser.get("/set/cart/[1]")
    before = sid(browser)
    browser.get("/login/ann")
    assert sid(browser) != before
    assert browser.get("/all", f"__Host-sid={before}").text == "{}"
    assert browser.get("/all").text == '{"cart": [1]}'
    assert browser.get("/who").text == '["ann", true, false]'
    after = sid(browser)
    browser.get("/rotate")  # a change of privileges
    assert sid(browser) != after and browser.get("/all", f"__Host-sid={after}").text == "{}"
    assert browser.get("/who").text == '["ann", true, false]'
    browser.get("/login/bob")  # another user never sees the first one's values
    assert browser.get("/all").text == "{}"


def test_s4_a_periodic_rotation_keeps_the_old_id_for_thirty_seconds_at_most(url: str) -> None:
    clock = Clock()
    sessions = open_sessions(url, rotate_every="5m", idle="2h", clock=clock)
    browser = WsgiBrowser(apps.wsgi(sessions))
    browser.get("/login/ann")
    first = sid(browser)
    clock.now += 301
    old = WsgiBrowser(browser.app, Jar({"__Host-sid": first}))
    assert browser.get("/set/a/1").status == 200
    assert browser.get("/setread/a").status == 200
    assert sid(browser) != first
    answer = old.get("/setread/a")  # a request under way with the old id reaches the same session
    assert answer.status == 200 and not answer.all("set-cookie")
    assert browser.get("/all").text == '{"a": 3}'
    key = identity.key_of(first)
    pointer = sessions._sync_store().read(key)
    if pointer is not None:  # stores look at their own clock, and this one's was moved on
        assert pointer.moved_to and pointer.expire_at <= clock.now + 30 and not pointer.fields


def test_s5_both_limits_hold_together_and_the_absolute_one_is_in_the_record(url: str) -> None:
    clock = Clock()
    sessions = open_sessions(url, idle="10m", absolute="1h", clock=clock)
    browser = WsgiBrowser(apps.wsgi(sessions))
    browser.get("/set/a/1")
    record = sessions._sync_store().read(identity.key_of(sid(browser)))
    assert record is not None and record.absolute == record.created + 3600
    for _ in range(8):
        clock.now += 400
        assert browser.get("/all").text == '{"a": 1}'  # each read moves the idle limit on
    clock.now += 401
    assert browser.get("/all").text == "{}"  # and never beyond the absolute one
    browser.jar.cookies.clear()
    browser.get("/set/a/1")
    clock.now += 601
    assert browser.get("/all").text == "{}"


def test_s5_defaults_are_thirty_minutes_and_twelve_hours() -> None:
    lifetime = Sessions("sqlite:///unused.db").policy.lifetime
    assert (lifetime.idle, lifetime.absolute) == (1800, 43200)


def test_s5_a_login_begins_a_new_absolute_limit(sqlite_url: str) -> None:
    clock = Clock()
    browser = browser_of(sqlite_url, idle="1h", absolute="2h", clock=clock)
    browser.get("/set/a/1")
    clock.now += 3000
    browser.get("/login/ann")
    clock.now += 3000
    browser.get("/all")
    clock.now += 3000
    assert browser.get("/all").text == '{"a": 1}'


@pytest.mark.parametrize("slow", ["read", "write"])
def test_s6_whatever_is_under_way_a_logout_is_a_logout(url: str, slow: str) -> None:
    """A request that read before the logout, and answers after it, neither revives the session nor fails."""
    clock = Clock()
    sessions = open_sessions(url, clock=clock)
    browser = WsgiBrowser(apps.wsgi(sessions))
    browser.get("/login/ann")
    browser.get("/set/a/1")
    id = sid(browser)
    clock.now += 400  # so that a read is worth moving the idle limit on
    here, go = threading.Event(), threading.Event()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        session: Session = environ["fungible.session"]
        assert session["a"] == 1
        here.set()
        assert go.wait(30)
        if slow == "write":
            session["a"] = 2
        start_response("200 OK", [])
        return [b"done"]

    slow_browser = WsgiBrowser(sessions.wsgi(app), Jar({"__Host-sid": id}))
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(slow_browser.get("/")))
    thread.start()
    assert here.wait(30)
    logout = browser.get("/logout")
    assert "Max-Age=0" in str(logout.one("set-cookie"))
    go.set()
    thread.join(30)
    assert answers[0].status == 200 and answers[0].body == b"done" and not answers[0].all("set-cookie")
    assert sessions.events["session.ended_write"] == 1
    assert browser.get("/all", f"__Host-sid={id}").text == "{}"
    assert sessions._sync_store().read(identity.key_of(id)) is None


def test_s6_a_logout_stays_even_where_the_request_fails(sqlite_url: str) -> None:
    sessions = open_sessions(sqlite_url)
    browser = WsgiBrowser(apps.wsgi(sessions))
    browser.get("/set/a/1")
    id = sid(browser)
    failing = WsgiBrowser(apps.wsgi(sessions, "500 Internal Server Error"), browser.jar)
    failing.get("/logout")
    assert browser.get("/all", f"__Host-sid={id}").text == "{}"


def test_s7_a_users_sessions_are_listed_and_ended(url: str) -> None:
    sessions = open_sessions(url)
    app = apps.wsgi(sessions)
    user = f"u{os.urandom(6).hex()}"
    if url.startswith("memcached"):
        with pytest.raises(NotSupported, match="valkey:// or sqlite://"):
            sessions.revoke(user)
        return
    browsers = [WsgiBrowser(app) for _ in range(3)]
    for browser in browsers:
        browser.get("/set/a/1")
        browser.get(f"/login/{user}")
    listed = sessions.of(user)
    mine = sessions.open(browsers[0].jar.header)
    assert len(listed) == 3 and mine.public_id in {one.public_id for one in listed}
    assert sessions.revoke(user, keep=mine) == 2
    assert [browser.get("/all").text for browser in browsers] == ['{"a": 1}', "{}", "{}"]
    assert sessions.end(sessions.of(user)[0]) and browsers[0].get("/all").text == "{}"
    assert asyncio.run(_async_list(url, user)) == []


async def _async_list(url: str, user: str) -> list[Any]:
    sessions = open_sessions(url)
    assert await sessions.arevoke(user) == 0
    found = await sessions.aof(user)
    await sessions.aclose()
    return found


def test_s8_the_cookie_is_bound_to_host_https_and_http(sqlite_url: str) -> None:
    answer = browser_of(sqlite_url).get("/set/a/1")
    cookie = str(answer.one("set-cookie"))
    assert re.fullmatch(r"__Host-sid=[\w-]{43}; Path=/; Secure; HttpOnly; SameSite=Lax", cookie)
    assert len(cookie) < 4096


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"secure": False}, "needs secure=True, path='/' and no domain"),
        ({"domain": "example.org"}, "needs secure=True, path='/' and no domain"),
        ({"path": "/shop"}, "needs secure=True, path='/' and no domain"),
        ({"name": "sid", "secure": False, "samesite": "none"}, "samesite='none' needs secure=True"),
        ({"name": "__Secure-sid", "secure": False}, "needs secure=True"),
        ({"name": "9f8e7d6c5b4a" * 8}, "sessions need no secret key"),
        ({"name": "a b"}, "1 to 64 letters"),
        ({"samesite": "Sometimes"}, "none of 'lax', 'strict' and 'none'"),
        ({"name": "sid", "domain": "a;b"}, "cannot stand in a cookie"),
    ],
)
def test_s8_a_cookie_that_browsers_refuse_is_refused_first(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(Misconfigured, match=re.escape(said)) as refused:
        Cookie(**settings)
    assert "9f8e7d6c5b4a" not in str(refused.value)


def test_s8_without_https_only_in_development(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Cookie(name="sid", secure=False)
    with pytest.raises(Misconfigured, match="FUNGIBLE_SESSION_DEVELOPMENT=1"):
        Sessions("sqlite:///x.db", cookie=plain)
    assert Sessions("sqlite:///x.db", cookie=plain, development=True).cookie is plain
    monkeypatch.setenv("FUNGIBLE_SESSION_DEVELOPMENT", "1")
    assert Sessions("sqlite:///x.db").cookie == plain


@pytest.mark.parametrize("face", ["wsgi", "asgi", "flask"])
def test_s8_a_login_that_plain_http_will_lose_is_told_once(
    face: str, sqlite_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def login(sessions: Sessions, **headers: str) -> None:
        if face == "flask":
            app = flask.Flask(__name__)
            sessions.flask(app)
            app.add_url_rule("/", "login", lambda: str(flask.session.login("ann")))  # type: ignore[attr-defined]
            app.test_client().get("/", base_url="http://shop.example.org", headers=headers)
        elif face == "wsgi":
            environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
            environ |= {"wsgi.url_scheme": "http", "PATH_INFO": "/login/ann", "REQUEST_METHOD": "GET"}
            list(apps.wsgi(sessions)(environ, lambda *_: None))
        else:
            raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
            scope = {"type": "http", "scheme": "http", "method": "GET", "path": "/login/ann", "headers": raw}

            async def send(message: Any) -> None: ...

            asyncio.run(apps.asgi(sessions)(scope, None, send))

    sessions = open_sessions(sqlite_url)
    login(sessions, **{"X-Forwarded-Proto": "https"})
    assert not caplog.text
    login(sessions)
    login(sessions)
    assert caplog.text.count("FUNGIBLE_SESSION_DEVELOPMENT=1") == 1 and "does not stick" in caplog.text
    caplog.clear()
    monkeypatch.setenv("FUNGIBLE_SESSION_DEVELOPMENT", "1")
    login(open_sessions(sqlite_url))
    assert not caplog.text


def test_s8_two_cookies_of_our_name_are_none(sqlite_url: str) -> None:
    browser = browser_of(sqlite_url)
    browser.get("/set/a/1")
    mine, planted = sid(browser), "A" * 43
    both = (f"__Host-sid={planted}; __Host-sid={mine}", f"__Host-sid={mine}; x=y; __Host-sid={mine}")
    assert [browser.get("/all", header).text for header in both] == ["{}", "{}"]
    assert browser.get("/all", f"other={mine}; __Host-sid={mine}; x__Host-sid={planted}").text == '{"a": 1}'


@pytest.mark.parametrize("path", ["/has/a", "/len", "/iter", "/all", "/who", "/set/a/1", "/setread/a", "/logout"])
@pytest.mark.parametrize("face", ["wsgi", "asgi"])
def test_s9_whoever_looks_at_the_session_says_vary(path: str, face: str, sqlite_url: str) -> None:
    sessions = open_sessions(sqlite_url)
    browser: Any = WsgiBrowser(apps.wsgi(sessions)) if face == "wsgi" else AsgiBrowser(apps.asgi(sessions))
    browser.get("/set/a/1")
    assert browser.get("/untouched").one("vary") is None
    assert browser.get(path).one("vary") == "Cookie"


def test_s9_nothing_that_sets_a_cookie_is_kept_by_a_shared_cache() -> None:
    from fungible_kit.sessions.cookie import with_session

    session = Sessions("sqlite:///unused.db").open("")
    session.accessed = True

    def told(*headers: tuple[str, str], cookie: str | None = "sid=1") -> dict[str, str]:
        found = with_session(headers, session, cookie)
        assert len({name.lower() for name, _ in found}) == len(found)
        return dict(found)

    assert told()["Cache-Control"] == "no-store"
    assert told(("cache-control", "public, max-age=60, s-maxage=99"))["Cache-Control"] == "private, max-age=60"
    assert told(("Cache-Control", "no-store"))["Cache-Control"] == "no-store"
    assert told(("Cache-Control", "Private, max-age=5"))["Cache-Control"] == "Private, max-age=5"
    assert "Cache-Control" not in told(cookie=None)
    assert told(("Vary", "Accept-Encoding"), cookie=None)["Vary"] == "Accept-Encoding, Cookie"
    assert told(("vary", "accept, COOKIE"), cookie=None)["vary"] == "accept, COOKIE"
    assert told(("Vary", "*"), cookie=None)["Vary"] == "*"


class Foreign:
    pass


@pytest.mark.parametrize(
    "value", [Foreign(), {1: 2}, {1, 2}, float("nan"), float("inf"), object, lambda: 1, [[Foreign()]], 1j, range(3)]
)
def test_s10_what_does_not_come_back_is_refused_at_assignment(value: Any, sqlite_url: str) -> None:
    session = open_sessions(sqlite_url).open("")
    session["a"] = 1
    with pytest.raises(NotStorable, match=r"session\['b'\]") as refused:
        session["b"] = value
    assert "\n" not in str(refused.value)
    assert dict(session) == {"a": 1}


def test_s10_there_is_no_pickle_in_the_house() -> None:
    import fungible_kit

    folder = Path(str(fungible_kit.__file__)).parent / "sessions"
    for file in folder.rglob("*.py"):
        assert not re.search(r"^\s*(import|from) (pickle|marshal|shelve|dill)", file.read_text(), re.MULTILINE), file


@pytest.mark.parametrize("planted", [b"\x80\x04\x95", b"cos\nsystem\n(S'id'\ntR.", b"", b"{", b'{"@tuple": 1}'])
def test_s10_what_another_codec_wrote_is_one_sentence(planted: bytes, valkey_url: str) -> None:
    browser = browser_of(valkey_url)
    browser.get("/set/a/1")
    key = identity.key_of(sid(browser))
    valkey.Valkey.from_url(valkey_url).hset(key, "a", planted)
    with pytest.raises(SessionError, match="not written by this codec"):
        browser.get("/all")


def test_s11_visitors_who_write_nothing_get_no_record_and_no_cookie(valkey_url: str) -> None:
    client = valkey.Valkey.from_url(valkey_url)
    before = client.dbsize()
    browser = browser_of(valkey_url)
    for path in ("/untouched", "/all", "/len", "/who", "/logout", "/rotate", "/take/x"):
        answer = browser.get(path)
        assert not [cookie for cookie in answer.all("set-cookie") if "Max-Age=0" not in cookie]
    assert client.dbsize() == before


def test_s12_a_session_has_limits_and_says_so_at_assignment(sqlite_url: str) -> None:
    session = open_sessions(sqlite_url).open("")
    session["a"] = "x" * 65000
    refusals: list[tuple[str, Any, str]] = [
        ("b", "x" * 65536, "a session holds 65536"),
        ("b", "x" * 600, "the session takes"),
        ("n" * 129, 1, "1 to 128 characters"),
        ("", 1, "1 to 128 characters"),
        ("\0v", 1, "does not begin with a zero byte"),
    ]
    for name, value, said in refusals:
        with pytest.raises(SessionTooLarge, match=re.escape(said)):
            session[name] = value
    assert list(session) == ["a"]
    many = open_sessions(sqlite_url).open("")
    for i in range(256):
        many[f"n{i}"] = i
    with pytest.raises(SessionTooLarge, match="one name more than the 256"):
        many["one more"] = 1
    del many["n0"]
    many["one more"] = 1


def test_s12_parallel_requests_do_not_get_past_the_limit_together(url: str) -> None:
    sessions = open_sessions(url, max_bytes=1000)
    browser = WsgiBrowser(apps.wsgi(sessions))
    browser.get("/set/a/1")
    one, two = (sessions.open(browser.jar.header) for _ in range(2))
    assert dict(one) == dict(two) == {"a": 1}
    one["b"] = "x" * 600
    two["c"] = "x" * 600
    one.save()
    with pytest.raises(SessionTooLarge, match="what other requests wrote"):
        two.save()
    blind = sessions.open(browser.jar.header)
    blind["d"] = "x" * 600
    with pytest.raises(SessionTooLarge):
        blind.save()


# S13 is in test_outage.py.


def test_s14_one_time_values_and_sums_are_one_step_at_the_store(url: str) -> None:
    sessions = open_sessions(url)
    browser = WsgiBrowser(apps.wsgi(sessions))
    browser.get("/set/token/5")
    taken = together([lambda: sessions.open(browser.jar.header).take("token")] * 6)
    assert sorted(value or 0 for value in taken) == [0, 0, 0, 0, 0, 5]
    sums = together([lambda: sessions.open(browser.jar.header).incr("n")] * 6)
    assert sorted(sums) == [1, 2, 3, 4, 5, 6]
    carts = [lambda i=i: sessions.open(browser.jar.header).compute("cart", lambda c: [*c, i], []) for i in range(6)]
    together(carts)
    assert sorted(sessions.open(browser.jar.header)["cart"]) == [0, 1, 2, 3, 4, 5]


def test_s15_the_operator_is_told_of_an_open_link(sqlite_url: str, valkey_url: str, monkeypatch: Any) -> None:
    def said(url: str, **facts: Any) -> str:
        steps, words = valkey_store.check(url), ""
        try:
            steps.send(None)
            steps.send({b"maxmemory-policy": facts.pop("policy", b"noeviction")})
            saves = facts.pop("save", b"3600 1")
            info = {"aof_enabled": 1, "evicted_keys": 0, **facts}
            steps.send("".join(f"{name}:{value}\r\n" for name, value in info.items()).encode())
            steps.send([b"save", saves])
        except StopIteration as end:
            words = " / ".join(end.value)
        return words

    assert "not encrypted" in said("valkey://cache.example.org") and "no password" in said(
        "redis://cache.example.org"
    )
    assert "the user 'default'" in said("valkeys://:pw@cache.example.org")
    assert said("valkeys://app:pw@cache.example.org") == "" == said("redis://127.0.0.1:6379/0")
    assert said("redis://localhost", policy=b"allkeys-lru").startswith("maxmemory-policy is allkeys-lru: ")
    assert "keeps nothing over a restart" in said("redis://localhost", aof_enabled=0, save=b"", rdb_last_save_time=1)
    assert said("redis://localhost", aof_enabled=0) == ""
    assert "were evicted" in said("redis://localhost", evicted_keys=3)
    (word,) = open_sessions(valkey_url).check()  # it is started without persistence
    assert "keeps nothing over a restart" in word and "\n" not in word
    monkeypatch.setenv("DYNO", "web.1")
    assert "Heroku" in open_sessions(sqlite_url).check()[0]


def test_s15_the_least_rights_that_the_docs_name_are_enough(valkey_url: str) -> None:
    page = (Path(__file__).parents[3] / "docs" / "sessions.md").read_text()
    rule = re.search(r"ACL SETUSER (\S+) on >\S+ (.+)", page)
    assert rule is not None
    admin = valkey.Valkey.from_url(valkey_url)
    admin.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">pw", *rule[2].split())
    limited = re.sub(r"//[^@]*@", "//limited:pw@", valkey_url)
    sessions = open_sessions(limited, rotate_every="1h")
    browser = WsgiBrowser(apps.wsgi(sessions))
    for path in ("/set/a/1", "/setread/a", "/incr/n", "/take/n", "/login/limited", "/rotate", "/all"):
        assert browser.get(path).status == 200
    assert browser.get("/all").text == '{"a": 2}'
    assert len(sessions.of("limited")) == 1 and sessions.revoke("limited") == 1
    with pytest.raises(valkey.ValkeyError):
        valkey.Valkey.from_url(limited).execute_command("KEYS", "*")
    admin.execute_command("ACL", "DELUSER", "limited")


# S16, a cancelled read, is in test_conformance.py; its whole-request twin:


def test_s16_a_request_that_is_given_up_leaves_nothing_for_the_next(url: str) -> None:
    async def talk() -> None:
        sessions = open_sessions(url)
        browsers = {}
        for name in ("ann", "bob"):
            browsers[name] = AsgiBrowser(apps.asgi(sessions))
            await browsers[name].aget(f"/switch/{name}")
        for spins in range(30):
            given_up = asyncio.ensure_future(browsers["ann"].aget("/all"))
            for _ in range(spins):
                await asyncio.sleep(0)
            given_up.cancel()
            answers = await asyncio.gather(*(browsers["bob"].aget("/all") for _ in range(3)))
            assert {json.loads(answer.text)["of"] for answer in answers} == {"bob"}
            await asyncio.gather(given_up, return_exceptions=True)
        await sessions.aclose()

    asyncio.run(talk())


def test_s17_sealed_values_are_not_in_the_store_and_cannot_be_changed_there(url: str) -> None:
    keys = {"k2": os.urandom(32), "k1": os.urandom(32)}
    sessions = open_sessions(url, codec=Sealed(keys, names=["card"]))
    browser = WsgiBrowser(apps.wsgi(sessions))
    browser.get('/set/card/["4711-0815"]')
    browser.get('/set/plain/"visible-word"')
    held = everything_in(url)
    assert b"visible-word" in held and b"4711-0815" not in held
    session = sessions.open(browser.jar.header)
    assert session["card"] == ["4711-0815"]
    assert session._changes.pending() == ({}, frozenset())  # a fresh nonce is no change
    record = sessions._sync_store().read(str(session.key))
    assert record is not None
    sealed = record.fields["card"]
    codec = Sealed(keys, names=["card", "other"])
    assert codec.encode("card", 1) != codec.encode("card", 1)
    old = Sealed({"k1": keys["k1"]}, ["card"]).encode("card", "old")
    assert codec.decode("card", old) == "old"  # sealed before the keys were rotated
    for name, data in (
        ("card", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        ("other", sealed),
        ("card", b'"plain"'),
        ("card", b""),
        ("card", Sealed({"k9": os.urandom(32)}, ["card"]).encode("card", 1)),
    ):
        with pytest.raises(SessionError, match="not read"):
            codec.decode(name, data)
    with pytest.raises(Misconfigured, match="32 bytes"):
        Sealed({"k": b"short"}, ["card"])


def test_after_the_response_has_started_only_what_needs_no_cookie_is_taken(url: str) -> None:
    sessions = open_sessions(url)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        session: Session = environ["fungible.session"]
        start_response("200 OK", [])
        yield b"one"
        session["late"] = 1
        yield b"two"
        if environ["PATH_INFO"] == "/login":
            session.login("ann")

    with pytest.raises(SessionAlreadySent, match="the response has started"):
        WsgiBrowser(sessions.wsgi(app)).get("/")
    browser = WsgiBrowser(apps.wsgi(sessions))
    browser.get("/set/a/1")
    streaming = WsgiBrowser(sessions.wsgi(app), browser.jar)
    assert streaming.get("/").text == "onetwo"
    assert browser.get("/all").text == '{"a": 1, "late": 1}'
    with pytest.raises(SessionAlreadySent):
        streaming.get("/login")


def test_every_requirement_has_a_test_that_names_it() -> None:
    text = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    assert {int(number) for number in re.findall(r"^def test_s(\d+)_", text, re.MULTILINE)} == set(range(1, 18))
