"""Sessions for any ASGI app: HTTP and websockets, saved before the response starts."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from fungible_kit.sessions.answer import Answer
from fungible_kit.sessions.cookie import Headers, set_cookie, with_session
from fungible_kit.sessions.errors import SessionError, StoreUnavailable
from fungible_kit.sessions.session import Session

if TYPE_CHECKING:
    from fungible_kit.sessions.sessions import Sessions

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = logging.getLogger("fungible_kit.sessions")

_CLOSED_BY_STORE = 1013  # "try again later", the websocket twin of a 503 (IANA WebSocket close codes)


class SessionASGI:
    """ASGI 3 middleware; made by `Sessions.asgi`."""

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        sessions: Sessions,
        preload: bool | Callable[[dict[str, Any]], bool],
        exclude: tuple[str, ...],
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._preload = preload
        self._exclude = exclude

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        held = scope.get("session")
        if isinstance(held, Session) and held.policy is self._sessions.policy:
            await self._app(scope, receive, send)  # another middleware of these sessions is outside of this one
            return
        header = "; ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie")
        id = self._sessions.cookie.id_in(header)
        session = scope["session"] = self._sessions.open_id(id, in_loop=True)
        if id is not None and self._wanted(scope):
            try:
                await session.aload()
            except StoreUnavailable as failure:
                session.unavailable(failure)  # who does not look at the session need not notice
        response = _Response(self._sessions, session, id, scope, send)
        try:
            await self._app(scope, receive, response.send)
        except SessionError as error:
            await response.end(failed=True)
            answer = response.answer(error)
            if answer is None or session.sent:
                raise
            await response.replace(answer)
        except BaseException:
            await response.end(failed=True)
            raise
        else:
            await response.end(failed=False)

    def _wanted(self, scope: Scope) -> bool:
        if self._exclude and _below(scope["path"], self._exclude):
            return False
        return self._preload(dict(scope)) if callable(self._preload) else self._preload


class _Response:
    """The app's messages on their way out."""

    def __init__(self, sessions: Sessions, session: Session, id: str | None, scope: Scope, send: Send) -> None:
        self._sessions = sessions
        self._session = session
        self._id = id
        self._scope = scope
        self._send = send
        self._replaced = False

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if self._replaced:
            return  # the rest of what the app would have answered
        if self._session.sent or kind not in ("http.response.start", "websocket.accept"):
            await self._send(message)
            return
        session = self._session
        if kind == "http.response.start" and message["status"] >= 500:
            await self.end(failed=True)
            if session.failure is not None and self._sessions.policy.on_store_error == "unavailable":
                answer = self.answer(session.failure)
                if answer is not None:
                    await self.replace(answer)
                    return
        else:
            try:
                await session.asave()
            except SessionError as error:
                answer = self.answer(error)
                if answer is None:
                    raise
                await self.replace(answer)
                return
        session.sent = True
        cookie = set_cookie(self._sessions.cookie, session, self._id)
        if cookie is not None:
            plain = self._scope.get("scheme") in ("http", "ws")
            self._sessions.sent_over("http" if plain else "https", self._header(b"x-forwarded-proto"))
        headers = message.get("headers", ())
        if cookie is None and session.accessed and not any(name.lower() == b"vary" for name, _ in headers):
            message = {**message, "headers": [*headers, (b"vary", b"Cookie")]}  # as `with_session` does
        elif session.accessed or cookie is not None:
            given = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
            message = {**message, "headers": _raw(with_session(given, session, cookie))}
        await self._send(message)

    def answer(self, error: SessionError) -> Answer | None:
        scope = self._scope
        return self._sessions.answer(error, scope.get("method", ""), scope["path"], self._header(b"accept"))

    def _header(self, wanted: bytes) -> str:
        return next((value.decode("latin-1") for name, value in self._scope["headers"] if name == wanted), "")

    async def replace(self, answer: Answer) -> None:
        """Answer in the app's place; its own messages go nowhere from here on."""
        self._replaced = True
        self._session.discard()
        self._session.sent = True
        if self._scope["type"] == "websocket":
            await self._send({"type": "websocket.close", "code": _CLOSED_BY_STORE, "reason": answer.reason})
            return
        headers = _raw(with_session(answer.headers, self._session, None))
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": answer.body})

    async def end(self, *, failed: bool) -> None:
        """Save what is left, where no answer can tell of a failure any more."""
        if failed:
            self._session.discard()
        else:
            self._session.sent = True  # a websocket that was not accepted got no cookie: no record for it
        try:
            await self._session.asave()
        except SessionError as error:
            what = self._session.unsaved()
            if isinstance(error, StoreUnavailable):
                self._session.unavailable(error)
            log.error("%s was not saved: %s", what, error)


def _below(path: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a path is one of these or below one; a prefix ends where a segment ends."""
    for prefix in prefixes:
        if path == prefix or path.startswith(prefix if prefix.endswith("/") else f"{prefix}/"):
            return True
    return False


def dependency() -> Callable[..., Awaitable[Session]]:
    """What FastAPI calls for a handler that asks for the loaded session."""
    from starlette.requests import HTTPConnection

    async def required(connection: HTTPConnection) -> Session:
        session: Session = connection.scope["session"]
        await session.aload()
        return session

    # FastAPI looks names of annotations up in the module, where these two are not loaded.
    required.__annotations__ = {"connection": HTTPConnection, "return": Session}
    return required


def _raw(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
