"""Flask: a decorator of views."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from typing import TYPE_CHECKING, Any

from flask import Response, current_app, g, request

from fungible_kit.tokens.answers import has_handler
from fungible_kit.tokens.errors import StoreUnavailable, TokenError
from fungible_kit.tokens.record import each_a_text

if TYPE_CHECKING:
    from fungible_kit.tokens.tokens import Tokens

_BRACKETS = "write the scopes in brackets, and brackets where there are none: @tokens.flask()"


class Decorator:
    """See `Tokens.flask`."""

    def __init__(self, tokens: Tokens, scopes: Collection[str]) -> None:
        if any(callable(scope) for scope in scopes):
            raise TypeError(_BRACKETS)
        self._tokens, self._scopes = tokens, each_a_text(scopes)

    def __call__(self, view: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(view):
            raise TypeError(_BRACKETS)

        @wraps(view)
        def guarded(*arguments: Any, **words: Any) -> Any:
            try:
                g.grant = self._tokens.verify(request.environ, *self._scopes)
            except (TokenError, StoreUnavailable) as error:
                return self._refuse(error)
            try:
                return current_app.ensure_sync(view)(*arguments, **words)
            except (TokenError, StoreUnavailable) as error:  # of `g.grant.require`, or of tokens that the view asked
                handlers = current_app.error_handler_spec
                if any(has_handler(error, handlers[name][None]) for name in (*request.blueprints, None)):
                    raise
                return self._refuse(error)

        return guarded

    def _refuse(self, error: TokenError | StoreUnavailable) -> Response:
        answer = self._tokens.answer(error)
        return Response(answer.body, answer.status, list(answer.headers))
