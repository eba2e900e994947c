"""Who is asking: a browser by its session, a program by its token. Kept elsewhere, so that any process can tell."""

import hmac
import secrets
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import g, redirect, request, session, url_for

from almanac import accounts, settings
from almanac.database import User
from fungible_kit import Sessions, Tokens
from fungible_kit.tokens import Login, Missing

sessions = Sessions(settings.SESSION_URL, idle=settings.SESSION_SECONDS)
tokens = Tokens(settings.DATABASE_URL, prefix="almanac", kinds=("api",), ttl="30d", last_used_every="1m")

READ, WRITE = "read", "write"

View = Callable[..., Any]


def user() -> User | None:
    """The user of this request. Views and templates ask as often as they like: it is one query a request."""
    user_id = g.grant.user_id if "grant" in g else session.user
    return accounts.find(int(user_id)) if user_id is not None else None


def for_browsers(view: View) -> View:
    """Let only users in; others are sent to log in."""

    @wraps(view)
    def guarded(*arguments: Any, **words: Any) -> Any:
        return view(*arguments, **words) if user() else redirect(url_for("show_login"), 303)

    return guarded


def for_programs(scope: str) -> Callable[[View], View]:
    """Let in a token that has this scope, or a browser's session, which may do everything. Raises TokenError."""

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(*arguments: Any, **words: Any) -> Any:
            if "Authorization" in request.headers:
                g.grant = tokens.verify(request.environ, scope)
            if user() is None:
                raise Missing("neither a token nor a session")
            return view(*arguments, **words)

        return guarded

    return guard


def tokens_of_user() -> list[Login]:
    """The user's live tokens, by label."""
    return sorted(tokens.of(user().id), key=lambda login: (login.label, login.created, login.id))


def revoke(token_id: str) -> bool:
    """End one of the user's tokens; False where it is not there or not the user's."""
    mine = any(login.id == token_id for login in tokens.of(user().id))
    return mine and tokens.revoke(token_id) > 0


def sign_in(who: User) -> None:
    """Make this browser's session the user's, under a new id, with the token that its forms will carry."""
    session.login(who.id)
    session["form"] = secrets.token_urlsafe(16)


def form_token() -> str:
    """The token that only forms shown in this session carry."""
    return str(session.get("form", ""))


def right_form(token: str) -> bool:
    return bool(token) and hmac.compare_digest(token.encode(), form_token().encode())
