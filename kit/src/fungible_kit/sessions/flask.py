"""Sessions for Flask: `flask.session` and everything built on it, through Flask's own session interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import has_request_context, make_response, request
from flask.sessions import SessionInterface, SessionMixin

from fungible_kit.sessions.answer import Answer
from fungible_kit.sessions.cookie import set_cookie, with_session
from fungible_kit.sessions.errors import SessionConflict, SessionError, StoreUnavailable
from fungible_kit.sessions.session import Session
from fungible_kit.sessions.wsgi import end

if TYPE_CHECKING:
    from flask import Flask, Request, Response

    from fungible_kit.sessions.sessions import Sessions


class FlaskSession(Session, SessionMixin):  # type: ignore[override]  # `new` is for reading
    """A session with what Flask's code expects. `permanent` makes the cookie outlive the browser.

    `modified` tells whether anything has changed; setting it is not needed, changes inside values are seen.
    """

    _marked = False

    @property  # a plain attribute in Flask
    def modified(self) -> bool:
        return self._marked or any(self._changes.pending())

    @modified.setter
    def modified(self, value: bool) -> None:
        self._marked = value

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self._marked = True

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self._marked = True

    def __bool__(self) -> bool:
        return len(self) > 0


class FlaskSessions(SessionInterface):
    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    def open_session(self, app: Flask, request: Request) -> FlaskSession:
        session = self.sessions.open(request.environ.get("HTTP_COOKIE", ""), kind=FlaskSession)
        assert isinstance(session, FlaskSession)
        return session

    def is_null_session(self, obj: object) -> bool:
        return False

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Called with the whole response, before any of it is sent."""
        assert isinstance(session, FlaskSession)
        sessions = self.sessions
        if response.status_code >= 500:
            end(sessions, session, failed=True)
            if session.failure is not None and sessions.policy.on_store_error == "unavailable":
                _replace(response, _answer(sessions, session.failure))
        else:
            try:
                sessions.runner.run(session.save_steps())
            except SessionError as error:
                answer = _answer(sessions, error)
                if answer is None:
                    raise
                session.discard()
                _replace(response, answer)
        session.sent = True
        # What a stream still changes is saved with its last byte.
        response.call_on_close(lambda: end(sessions, session, failed=False))
        if not session.accessed:
            return
        cookie = None
        if session.issued or session.touched or session.signed_out:
            # A session that is opened outside a request (a test client's) has been sent nothing.
            header = ""
            if has_request_context():
                header = request.environ.get("HTTP_COOKIE", "")
                sessions.sent_over(request.scheme, request.headers.get("X-Forwarded-Proto", ""))
            persistent = sessions.cookie.persistent or (not session.signed_out and session.permanent)
            cookie = set_cookie(sessions.cookie, session, sessions.cookie.id_in(header), persistent=persistent)
        given = list(response.headers)
        headers = with_session(given, session, cookie)
        if headers[: len(given)] == given:
            for name, value in headers[len(given) :]:
                response.headers.add(name, value)
        else:
            response.headers.clear()
            response.headers.extend(headers)


def install(app: Flask, sessions: Sessions) -> Flask:
    def answered(error: SessionError) -> Response:
        response = make_response()
        _replace(response, _answer(sessions, error))
        return response

    app.session_interface = FlaskSessions(sessions)
    app.register_error_handler(StoreUnavailable, answered)
    app.register_error_handler(SessionConflict, answered)
    return app


def _answer(sessions: Sessions, error: SessionError) -> Answer | None:
    if not has_request_context():  # a session that a test client opens
        return sessions.answer(error, "", "", "")
    return sessions.answer(error, request.method, request.path, request.headers.get("Accept", ""))


def _replace(response: Response, answer: Answer | None) -> None:
    if answer is None:
        return
    response.status_code = answer.status
    response.headers.clear()
    response.set_data(answer.body)
    for name, value in answer.headers:
        response.headers[name] = value
