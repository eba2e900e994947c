"""How a request without a good token is answered (RFC 6750, section 3). Pure."""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import dataclass

from fungible_kit.services.errors import ServiceUnavailable
from fungible_kit.tokens.errors import MissingScope, StoreUnavailable, TokenError


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, headers, body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def reason(self) -> str:
        return {401: "Unauthorized", 403: "Forbidden"}.get(self.status, "Service Unavailable")


def answer_to(error: TokenError | StoreUnavailable, realm: str) -> Answer:
    """401 alike for every bad token, 403 for a lacking scope, 503 where the store did not answer."""
    if isinstance(error, StoreUnavailable):
        return _answer(503, {"error": "temporarily_unavailable"}, ("Retry-After", str(error.retry_after)))
    return _answer(
        error.status, {"error": error.code or "unauthorized"}, ("WWW-Authenticate", challenge(error, realm))
    )


def has_handler(error: Exception, handlers: Container[object]) -> bool:
    """Whether an app registered a handler of its own for this error, by more than `Exception`."""
    ours = (kind for kind in type(error).__mro__ if issubclass(kind, (TokenError, ServiceUnavailable)))
    return any(kind in handlers for kind in ours)


def challenge(error: TokenError, realm: str) -> str:
    """The value of WWW-Authenticate."""
    words = [f'realm="{realm}"']
    if error.code is not None:
        words.append(f'error="{error.code}"')
    if isinstance(error, MissingScope):
        words.append(f'scope="{" ".join(error.scopes)}"')
    return "Bearer " + ", ".join(words)


def _answer(status: int, body: dict[str, str], header: tuple[str, str]) -> Answer:
    content = json.dumps(body).encode()
    headers = (
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(content))),
        ("Cache-Control", "no-store"),
        header,
    )
    return Answer(status, headers, content)
