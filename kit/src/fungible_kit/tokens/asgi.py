"""ASGI: a request or WebSocket without a good token does not reach the app."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from fungible_kit.tokens.errors import StoreUnavailable, TokenError
from fungible_kit.tokens.public import is_public
from fungible_kit.tokens.record import each_a_text

if TYPE_CHECKING:
    from fungible_kit.tokens.tokens import Tokens

GRANT = "fungible.grant"
_POLICY_VIOLATION, _TRY_AGAIN_LATER = 1008, 1013  # RFC 6455, section 7.4; the second by IANA's registry


class Middleware:
    """See `Tokens.asgi`."""

    def __init__(self, tokens: Tokens, app: Any, scopes: Collection[str], public: Collection[str]) -> None:
        self._tokens, self._app, self._scopes, self._public = tokens, app, each_a_text(scopes), tuple(public)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        grant = None
        if not is_public(scope["path"], self._public):
            try:
                grant = await self._tokens.averify(scope, *self._scopes)
            except (TokenError, StoreUnavailable) as error:
                await self._refuse(scope, receive, send, error)
                return
        if scope["type"] == "websocket":
            await self._app({**scope, GRANT: grant}, receive, send)
            return
        started = False

        async def noting(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app({**scope, GRANT: grant}, receive, noting)
        except (TokenError, StoreUnavailable) as error:
            if started:
                raise
            await self._refuse(scope, receive, send, error)

    async def _refuse(self, scope: Any, receive: Any, send: Any, error: TokenError | StoreUnavailable) -> None:
        answer = self._tokens.answer(error)
        kind = "http.response"
        if scope["type"] == "websocket":
            await receive()  # websocket.connect
            if "websocket.http.response" not in (scope.get("extensions") or {}):
                code = _TRY_AGAIN_LATER if isinstance(error, StoreUnavailable) else _POLICY_VIOLATION
                await send({"type": "websocket.close", "code": code})  # the server answers the handshake with 403
                return
            kind = "websocket.http.response"
        headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers]
        await send({"type": f"{kind}.start", "status": answer.status, "headers": headers})
        await send({"type": f"{kind}.body", "body": b"" if scope.get("method") == "HEAD" else answer.body})
