"""Django REST framework: an authentication class, and permissions for scopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission

from fungible_kit.tokens.answers import challenge
from fungible_kit.tokens.errors import Invalid, Missing, MissingScope, StoreUnavailable, TokenError
from fungible_kit.tokens.record import Grant

if TYPE_CHECKING:
    from fungible_kit.tokens.tokens import Tokens

_ERROR = "fungible.error"  # in META: what was wrong, for the header of the answer


class Away(APIException):  # type: ignore[misc]  # REST framework has no types
    """The store did not answer: 503 with Retry-After, which REST framework makes of `wait`."""

    status_code = 503
    default_detail = "The token store is not available. Please try again in a moment."
    default_code = "temporarily_unavailable"

    def __init__(self, error: StoreUnavailable) -> None:
        super().__init__()
        self.wait = error.retry_after


class TokenAuthentication(BaseAuthentication):  # type: ignore[misc]
    """See `Tokens.rest_framework`, which makes a class of this with these two."""

    tokens: Tokens
    user_of: Callable[[Grant], Any]

    def authenticate(self, request: Any) -> tuple[Any, Grant] | None:
        """None without a bearer token: another class may know the request, or none needs to."""
        try:
            grant = self.tokens.verify(request.META)
            user = type(self).user_of(grant)
            if user is None:
                raise Invalid("the user of the token is not there, or not active")
        except Missing:
            return None
        except TokenError as error:
            request.META[_ERROR] = error
            raise AuthenticationFailed from error
        except StoreUnavailable as error:
            raise Away(error) from error
        return user, grant

    def authenticate_header(self, request: Any) -> str:
        return challenge(request.META.get(_ERROR, Missing()), self.tokens.realm)

    @classmethod
    def requires(cls, *scopes: str) -> type[BasePermission]:
        """A permission class: the request has a token with all of these."""
        tokens = cls.tokens

        class TokenScopes(BasePermission):  # type: ignore[misc]
            def has_permission(self, request: Any, view: Any) -> bool:
                if not isinstance(request.auth, Grant):
                    return False
                try:
                    request.auth.require(*scopes)
                except MissingScope as error:
                    denied = PermissionDenied()
                    denied.auth_header = challenge(error, tokens.realm)
                    raise denied from error
                return True

        return TokenScopes


def authentication(tokens: Tokens, user_of: Callable[[Grant], Any] | None) -> type[TokenAuthentication]:
    """The class of these tokens."""
    attributes = {"tokens": tokens, "user_of": staticmethod(user_of or _user_of)}
    return type("TokenAuthentication", (TokenAuthentication,), attributes)


def _user_of(grant: Grant) -> Any:
    """The active user of Django with the id that the token was issued for."""
    from django.contrib.auth import get_user_model

    try:
        user = get_user_model()._default_manager.filter(pk=grant.user_id).first()
    except (ValueError, TypeError):  # an id of another kind
        return None
    return user if user is not None and user.is_active else None
