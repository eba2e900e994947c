"""WSGI: a request without a good token does not reach the app."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from fungible_kit.tokens.errors import StoreUnavailable, TokenError
from fungible_kit.tokens.public import is_public
from fungible_kit.tokens.record import each_a_text

if TYPE_CHECKING:
    from fungible_kit.tokens.tokens import Tokens

GRANT = "fungible.grant"


class Middleware:
    """See `Tokens.wsgi`."""

    def __init__(self, tokens: Tokens, app: Any, scopes: Collection[str], public: Collection[str]) -> None:
        self._tokens, self._app, self._scopes, self._public = tokens, app, each_a_text(scopes), tuple(public)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[GRANT] = None
        started = False

        def noting(*arguments: Any, **words: Any) -> Any:
            nonlocal started
            started = True
            return start_response(*arguments, **words)

        def refuse(error: TokenError | StoreUnavailable) -> list[bytes]:
            if started:
                raise error
            answer = self._tokens.answer(error)
            start_response(f"{answer.status} {answer.reason}", list(answer.headers))
            return [] if environ.get("REQUEST_METHOD") == "HEAD" else [answer.body]

        def guarded(chunks: Iterable[bytes]) -> Iterator[bytes]:
            try:
                yield from chunks
            except (TokenError, StoreUnavailable) as error:
                yield from refuse(error)

        try:
            if not is_public(environ.get("PATH_INFO", ""), self._public):
                environ[GRANT] = self._tokens.verify(environ, *self._scopes)
            body: Iterable[bytes] = self._app(environ, noting)
        except (TokenError, StoreUnavailable) as error:
            return refuse(error)
        return guarded(body) if isinstance(body, GeneratorType) else body  # one runs when the server asks for it
