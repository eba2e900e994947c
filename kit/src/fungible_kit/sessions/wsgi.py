"""Sessions for any WSGI app: read when first touched, saved before the response starts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fungible_kit.sessions.answer import Answer, answer_to
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
        response = _Response(self._sessions, session, id, start_response)
        try:
            body = self._app(environ, response.start)
        except SessionError as error:
            answer = answer_to(error)
            end(self._sessions, session, failed=True)
            if answer is None or session.sent:
                raise
            return response.replace(answer)
        except BaseException:
            end(self._sessions, session, failed=True)
            raise
        if not session.accessed and response.started and isinstance(body, (list, tuple)):
            return body  # it is complete, and nobody looked at the session
        return _Body(body, response)


class _Response:
    """The app's response on its way out."""

    def __init__(self, sessions: Sessions, session: Session, id: str | None, start: StartResponse) -> None:
        self.sessions = sessions
        self.session = session
        self.started = False
        self.replaced: bytes | None = None
        self._id = id
        self._start = start

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        session = self.session
        if self.started:
            return self._start(status, headers, exc_info)
        self.started = True
        if status[:1] == "5":
            end(self.sessions, session, failed=True)
            if session.failure is not None and self.sessions.policy.on_store_error == "unavailable":
                answer = answer_to(session.failure)
                if answer is not None:
                    return self._replace(answer, exc_info)
        else:
            try:
                self.sessions.runner.run(session.save_steps())
            except SessionError as error:
                answer = answer_to(error)
                if answer is None:
                    raise
                return self._replace(answer, exc_info)
        session.sent = True
        changed = with_session(headers, session, set_cookie(self.sessions.cookie, session, self._id))
        return self._start(status, changed, exc_info) if exc_info else self._start(status, changed)

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
                if response.replaced is not None:
                    break
                yield chunk
        except SessionError as error:  # an app that begins only when its body is asked for
            answer = answer_to(error)
            if answer is None or response.started:
                raise
            response.replace(answer)
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
    try:
        sessions.runner.run(session.save_steps())
    except SessionError as error:
        if isinstance(error, StoreUnavailable):
            session.unavailable(error)
        log.error("a change of session %s was not saved: %s", session.public_id, error)
