"""What can be wrong with a request's token. No error carries a secret."""

from __future__ import annotations

from collections.abc import Iterable

from fungible_kit.services.errors import ServiceUnavailable


class TokenError(Exception):
    """The token of a request does not let it in.

    `status` is the HTTP status to answer with, `code` the error code of RFC 6750, section 3.1. `Invalid`, `Expired`
    and `Revoked` are answered alike: which of them it was is for the app's log.
    """

    status = 401
    code: str | None = "invalid_token"


class Invalid(TokenError):
    """No token of ours: junk, of another kind, or unknown to the store."""


class Missing(Invalid):
    """The request has no bearer token. RFC 6750 wants no error code in the answer to this."""

    code = None


class Expired(TokenError):
    """It was valid and its time is over."""


class Revoked(TokenError):
    """It has been revoked, or was replaced by `refresh` and its grace is over."""


class Reused(Revoked):
    """A replaced token was refreshed after its grace: two hold it, so all tokens of this login are revoked."""


class MissingScope(TokenError):
    """A valid token, but not for this. `scopes` are those that the request needs."""

    status = 403
    code = "insufficient_scope"

    def __init__(self, needed: Iterable[str]) -> None:
        self.scopes = tuple(sorted(needed))
        super().__init__(f"the token lacks a scope; needed: {' '.join(self.scopes)}")


class StoreUnavailable(ServiceUnavailable):
    """The store did not answer, or not in time, or the breaker is open. Nothing is known about the token: answer 503,
    never 401.
    """
