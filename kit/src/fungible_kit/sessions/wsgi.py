"""Sessions for any WSGI app: read when first touched, saved before the response starts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fungible_kit.sessions.answer import Answer
from fungible_kit.sessions.cookie import set_cookie, with_session
from fungible_kit.sessions.errors import SessionError, StoreUnavailable

if TYPE_CHECKING:
    from fungible_kit.sessions.session import Session
    from fungible_kit.sessions.sessions import Sessions

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]

log = logging.getLogger("fungible_kit.sessions")


class SessionWSGI:
    """PEP 3333 middleware; made by `Sessions.wsgi`."""

    def __init__(
        self, app: Callable[[Environ, StartResponse], Iterable[bytes]], sessions: Sessions, name: str
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._name = name

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        id = self._sessions.cookie.id_in(environ.get("HTTP_COOKIE", ""))
        session = environ[self._name] = self._sessions.open_id(id)
        response = _Response(self._sessions, session, id, environ, start_response)
        try:
            body = self._app(environ, response.start)
            response.commit()
        except SessionError as error:
            answer = response.answer(error)
            end(self._sessions, session, failed=True)
            if answer is None or session.sent:
                raise
            return response.replace(answer)
        except BaseException:
            end(self._sessions, session, failed=True)
            raise
        if response.started and type(body) in (list, tuple):
            return body if response.replaced is None else [response.replaced]  # the app is done with the session
        return _Body(body, response)


class _Response:
    """The app's response on its way out. It starts when the app has returned, or first writes: until then the
    session may change, and an error may take its place.
    """

    def __init__(
        self, sessions: Sessions, session: Session, id: str | None, environ: Environ, start: StartResponse
    ) -> None:
        self.sessions = sessions
        self.session = session
        self.started = False
        self.replaced: bytes | None = None
        self._id = id
        self._environ = environ
        self._start = start
        self._waiting: tuple[str, list[tuple[str, str]], Any] | None = None
        self._write: Callable[[bytes], object] | None = None

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        """What the app gets as `start_response`."""
        if self.started:
            return self._start(status, headers, exc_info)
        if self._waiting is not None and exc_info is None:
            raise AssertionError("start_response was called a second time without exc_info")  # PEP 3333
        self._waiting = status, headers, exc_info
        return self._written

    def commit(self) -> None:
        """Save the session and start the response, if the app has said what it is."""
        if self._waiting is None or self.started:
            return
        status, headers, exc_info = self._waiting
        self.started = True
        self._write = self._send(status, headers, exc_info)

    def _written(self, data: bytes) -> object:
        self.commit()
        return self._write(data) if self._write is not None else None

    def _send(self, status: str, headers: list[tuple[str, str]], exc_info: Any) -> Callable[[bytes], object]:
        session = self.session
        if status[:1] == "5":
            end(self.sessions, session, failed=True)
            if session.failure is not None and self.sessions.policy.on_store_error == "unavailable":
                answer = self.answer(session.failure)
                if answer is not None:
                    return self._replace(answer, exc_info)
        elif session.accessed:  # else there is nothing to save
            try:
                self.sessions.runner.run(session.save_steps())
            except SessionError as error:
                answer = self.answer(error)
                if answer is None:
                    raise
                return self._replace(answer, exc_info)
        session.sent = True
        cookie = set_cookie(self.sessions.cookie, session, self._id)
        if cookie is not None:
            environ = self._environ
            self.sessions.sent_over(environ.get("wsgi.url_scheme", ""), environ.get("HTTP_X_FORWARDED_PROTO", ""))
        changed = with_session(headers, session, cookie)
        return self._start(status, changed, exc_info) if exc_info else self._start(status, changed)

    def answer(self, error: SessionError) -> Answer | None:
        get = self._environ.get
        return self.sessions.answer(error, get("REQUEST_METHOD", ""), get("PATH_INFO", ""), get("HTTP_ACCEPT", ""))

    def replace(self, answer: Answer) -> Iterable[bytes]:
        self._replace(answer, None)
        return [answer.body]

    def _replace(self, answer: Answer, exc_info: Any) -> Callable[[bytes], object]:
        self.replaced = answer.body
        self.session.discard()
        self.session.sent = True
        headers = with_session(answer.headers, self.session, None)
        self._start(answer.line, headers, exc_info) if exc_info else self._start(answer.line, headers)
        return lambda data: None


class _Body:
    """The app's body, and after its last byte what a stream still changed."""

    def __init__(self, body: Iterable[bytes], response: _Response) -> None:
        self._body = body
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        response = self._response
        try:
            for chunk in self._body:
                response.commit()
                if response.replaced is not None:
                    break
                yield chunk
            response.commit()  # without a byte
        except SessionError as error:  # an app that begins only when its body is asked for
            answer = response.answer(error)
            if answer is None or response.started:
                raise
            response.replace(answer)
        except BaseException:
            if not response.started:
                response.session.discard()
            raise
        if response.replaced is not None:
            yield response.replaced

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            end(self._response.sessions, self._response.session, failed=False)


def end(sessions: Sessions, session: Session, *, failed: bool) -> None:
    """Save what is left, where no answer can tell of a failure any more."""
    if failed:
        session.discard()
    if not session.accessed:
        return
    try:
        sessions.runner.run(session.save_steps())
    except SessionError as error:
        what = session.unsaved()
        if isinstance(error, StoreUnavailable):
            session.unavailable(error)
        log.error("%s was not saved: %s", what, error)
