"""The WSGI middleware as PEP 3333 wants it: when the response starts, and what may still change until then."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest

from fungible_kit import Session, Sessions
from fungible_kit.sessions import SessionAlreadySent
from tests.kit.sessions.clients import WsgiBrowser

Start = Callable[..., Callable[[bytes], object]]
PLAIN = [("Content-Type", "text/plain")]


@pytest.fixture
def sessions(sqlite_url: str) -> Sessions:
    return Sessions(sqlite_url)


def browser(sessions: Sessions, app: Callable[[Session, Start], Any], valid: bool = True) -> WsgiBrowser:
    def wsgi(environ: dict[str, Any], start: Start) -> Any:
        return app(environ["fungible.session"], start)

    return WsgiBrowser(validator(sessions.wsgi(validator(wsgi))) if valid else sessions.wsgi(wsgi))


def held(sessions: Sessions, of: WsgiBrowser) -> dict[str, Any]:
    return dict(sessions.open(of.jar.header))


@pytest.mark.parametrize("valid", [True, False])
def test_until_the_app_returns_the_session_may_change(sessions: Sessions, valid: bool) -> None:
    def app(session: Session, start: Start) -> list[bytes]:
        start("200 OK", PLAIN)
        session["a"] = 1  # needs a cookie
        return [b"done"]

    visitor = browser(sessions, app, valid)
    answer = visitor.get("/")
    assert answer.status == 200 and answer.body == b"done" and answer.one("set-cookie")
    assert held(sessions, visitor) == {"a": 1}


def test_a_stream_saves_before_its_first_byte_and_after_its_last(sessions: Sessions) -> None:
    def app(session: Session, start: Start) -> Iterator[bytes]:
        session["a"] = 1
        start("200 OK", PLAIN)
        yield b"one"
        assert session.sent
        session["b"] = 2
        yield b"two"
        with pytest.raises(SessionAlreadySent):
            session.rotate()

    visitor = browser(sessions, app)
    answer = visitor.get("/")
    assert answer.body == b"onetwo" and answer.one("set-cookie")
    assert held(sessions, visitor) == {"a": 1, "b": 2}


def test_what_is_written_the_old_way_comes_after_the_cookie(sessions: Sessions) -> None:
    def app(environ: dict[str, Any], start: Start) -> list[bytes]:
        session = environ["fungible.session"]
        session["a"] = 1
        write = start("200 OK", PLAIN)
        assert not session.sent
        write(b"one")
        assert session.sent
        return [b"two"]

    written: list[bytes] = []
    said: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        said.append((status, dict(headers)))
        return written.append

    body = sessions.wsgi(app)({"PATH_INFO": "/"}, start_response)
    assert list(body) == [b"two"] and written == [b"one"]
    assert [status for status, _ in said] == ["200 OK"] and "Set-Cookie" in said[0][1]


def test_an_answer_that_has_not_begun_is_replaced_and_its_changes_dropped(sessions: Sessions) -> None:
    def app(session: Session, start: Start) -> list[bytes]:
        session["a"] = 1
        start("200 OK", PLAIN)
        try:
            raise RuntimeError
        except RuntimeError:
            start("500 Internal Server Error", PLAIN, sys.exc_info())
        return [b"sorry"]

    visitor = browser(sessions, app)
    answer = visitor.get("/")
    assert answer.status == 500 and answer.body == b"sorry" and not answer.all("set-cookie")


@pytest.mark.parametrize("lazy", [False, True])
def test_an_app_that_fails_before_its_first_byte_has_changed_nothing(sessions: Sessions, lazy: bool) -> None:
    def fill(session: Session, start: Start) -> list[bytes]:
        session["a"] = 1
        start("200 OK", PLAIN)
        return [b""]

    def app(session: Session, start: Start) -> Any:
        session["a"] = 2
        start("200 OK", PLAIN)
        raise RuntimeError("the app's own")
        yield b""

    def eager(session: Session, start: Start) -> Any:
        return list(app(session, start))

    visitor = browser(sessions, fill, valid=False)
    visitor.get("/")
    visitor.app = browser(sessions, app if lazy else eager, valid=False).app
    with pytest.raises(RuntimeError, match="the app's own"):
        visitor.get("/")
    assert held(sessions, visitor) == {"a": 1}


def test_a_response_is_not_started_twice(sessions: Sessions) -> None:
    def app(session: Session, start: Start) -> list[bytes]:
        start("200 OK", PLAIN)
        start("200 OK", PLAIN)
        return [b""]

    with pytest.raises(AssertionError, match="a second time without exc_info"):
        browser(sessions, app, valid=False).get("/")
