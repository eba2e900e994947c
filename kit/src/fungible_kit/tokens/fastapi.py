"""FastAPI: a dependency that gives the Grant, and tells OpenAPI so."""

# No `from __future__ import annotations`: FastAPI reads the signature of an object, which has no globals.
from collections.abc import AsyncIterator, Collection
from typing import TYPE_CHECKING, NoReturn

from fastapi import HTTPException, WebSocketException
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection

from fungible_kit.tokens.answers import has_handler
from fungible_kit.tokens.errors import StoreUnavailable, TokenError
from fungible_kit.tokens.record import Grant, each_a_text

if TYPE_CHECKING:
    from fungible_kit.tokens.tokens import Tokens


class Bearer(HTTPBearer):
    """See `Tokens.bearer`. Two with the same scopes are equal, so that one request asks the store once."""

    def __init__(self, tokens: "Tokens", scopes: Collection[str]) -> None:
        super().__init__(scheme_name="bearer", auto_error=False)
        self._tokens, self._scopes = tokens, each_a_text(scopes)

    async def __call__(self, request: HTTPConnection) -> AsyncIterator[Grant]:  # type: ignore[override]
        try:
            grant = await self._tokens.averify(request.scope, *self._scopes)
        except (TokenError, StoreUnavailable) as error:
            self._refuse(request, error)
        try:
            yield grant
        except (TokenError, StoreUnavailable) as error:  # of `grant.require`, or of tokens that the handler asked
            if has_handler(error, request.app.exception_handlers):
                raise
            self._refuse(request, error)

    def _refuse(self, request: HTTPConnection, error: TokenError | StoreUnavailable) -> NoReturn:
        answer = self._tokens.answer(error)
        if request.scope["type"] == "websocket":
            raise WebSocketException(1013 if answer.status == 503 else 1008) from error
        kept = {name: value for name, value in answer.headers if not name.startswith("Content-")}
        raise HTTPException(answer.status, detail=answer.reason, headers=kept) from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bearer) and (self._tokens, self._scopes) == (other._tokens, other._scopes)

    def __hash__(self) -> int:
        return hash((id(self._tokens), self._scopes))
