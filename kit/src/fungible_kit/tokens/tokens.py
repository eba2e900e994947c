"""Opaque tokens of an app: issued, verified, refreshed, listed, revoked; for threads and for event loops."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from fungible_kit.duration import Duration, seconds, whole_seconds
from fungible_kit.services import POSTGRES, SQLITE, VALKEY
from fungible_kit.services.availability import Availability
from fungible_kit.services.breaker import Breaker
from fungible_kit.tokens import secret as secrets_of
from fungible_kit.tokens.answers import Answer, answer_to
from fungible_kit.tokens.bearer import secret_in
from fungible_kit.tokens.core import Policy, log
from fungible_kit.tokens.errors import StoreUnavailable, TokenError
from fungible_kit.tokens.record import Grant, Issued, Login
from fungible_kit.tokens.store import WHAT, Plan, Runner, Store

if TYPE_CHECKING:
    from fungible_kit.tokens.fastapi import Bearer
    from fungible_kit.tokens.flask import Decorator
    from fungible_kit.tokens.rest_framework import TokenAuthentication

_SQL_DEADLINE, _VALKEY_DEADLINE = 2.0, 0.25  # seconds


class Tokens:
    """Opaque bearer tokens, hashed in a store of the app's.

    `store` is a URL (`sqlite:////path/file`, `postgres://...`, `valkey://...`, `redis://...`) or a `Store`.
    `prefix` is the app's mark at the start of every secret; `kinds` are the words after it that this object issues
    and lets in, the first unless told. A token for another purpose, such as a link in an e-mail, is a kind of another
    `Tokens`, so that none is taken for the other.

    `ttl` is how long a secret is valid unless `issue` is told, `grace` how long a refreshed one is taken beside its
    successor (0: not at all), `last_used_every` how often at most the use of a token is noted (None: never).
    `realm` is named in answers; `name` is that of the table, or before the keys, and `schema` that of PostgreSQL in
    which the table is. `deadline` is for each operation of the store (None: 250 ms in Valkey, 2 s in SQL); after
    three that failed in a row the store is not asked for a second. `clock` gives unix seconds.

    Every method has a twin that begins with `a` and is awaited. Raises ValueError where an argument is wrong,
    `TokenError` where a token is, `StoreUnavailable` where the store does not answer.
    """

    def __init__(
        self,
        store: str | Store,
        *,
        prefix: str,
        kinds: Sequence[str] = ("login",),
        ttl: Duration = "12h",
        grace: Duration = "30s",
        last_used_every: Duration | None = "10m",
        realm: str | None = None,
        name: str = "fungible_tokens",
        schema: str | None = None,
        deadline: Duration | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if isinstance(kinds, str) or not kinds:
            raise ValueError(f"kinds {kinds!r}: one word at least, in a sequence")
        if realm is not None and ('"' in realm or "\\" in realm or not realm.isprintable() or not realm.isascii()):
            raise ValueError(f"realm {realm!r}: printable ASCII without quote and backslash")
        self._policy = Policy(
            prefix=secrets_of.check_word("prefix", prefix),
            kinds=tuple(secrets_of.check_word("kind", kind) for kind in kinds),
            ttl=whole_seconds("ttl", ttl),
            grace=0 if grace == 0 else whole_seconds("grace", grace),
            last_used_every=None if last_used_every is None else whole_seconds("last_used_every", last_used_every),
            clock=clock,
            random=secrets.token_bytes,
        )
        self._realm = prefix if realm is None else realm
        limit = None if deadline is None else seconds("deadline", deadline)
        self._store = open_store(store, name, limit, schema) if isinstance(store, str) else store
        self._runner = Runner(self._store, Breaker(StoreUnavailable, WHAT), Availability(store, WHAT, log))

    def issue(
        self,
        user_id: str | int,
        *,
        kind: str | None = None,
        ttl: Duration | None = None,
        renew_for: Duration | None = None,
        scopes: Collection[str] = (),
        label: str = "",
    ) -> Issued:
        """A new token of a user; its `secret` is shown once.

        It is valid for `ttl`. With `renew_for` it may be refreshed, as often as the client likes, until that time
        has passed since now: `ttl` is then how long a client may stay away, `renew_for` how long a login lasts.
        """
        return self._runner.run(self._issue(user_id, kind, ttl, renew_for, scopes, label))

    async def aissue(
        self,
        user_id: str | int,
        *,
        kind: str | None = None,
        ttl: Duration | None = None,
        renew_for: Duration | None = None,
        scopes: Collection[str] = (),
        label: str = "",
    ) -> Issued:
        return await self._runner.arun(self._issue(user_id, kind, ttl, renew_for, scopes, label))

    def verify(self, request: Any, *scopes: str) -> Grant:
        """Who the request speaks for, if its token has all these scopes. One look-up; none for junk.

        `request` is the value of an Authorization header, a WSGI environ, an ASGI scope, a mapping of headers, or a
        request of Starlette, FastAPI, Flask or Django. Raises Missing, Invalid, Expired, Revoked or MissingScope.
        """
        return self._runner.run(self._policy.verify(secret_in(request), scopes))

    async def averify(self, request: Any, *scopes: str) -> Grant:
        return await self._runner.arun(self._policy.verify(secret_in(request), scopes))

    def verify_secret(self, secret: str, *scopes: str) -> Grant:
        """The same for a secret that came otherwise, such as in the first message of a WebSocket."""
        return self._runner.run(self._policy.verify(secret, scopes))

    async def averify_secret(self, secret: str, *scopes: str) -> Grant:
        return await self._runner.arun(self._policy.verify(secret, scopes))

    def refresh(self, request: Any) -> Issued:
        """A new secret in place of the one in `request`, for the same login, until its `renew_for` has passed.

        The old one is taken for `grace` more, so that parallel requests do not fail, and may be refreshed in that
        time as well. Later that is a sign that two hold it: raises Reused, and all tokens of the login are revoked.
        """
        return self._runner.run(self._policy.refresh(secret_in(request)))

    async def arefresh(self, request: Any) -> Issued:
        return await self._runner.arun(self._policy.refresh(secret_in(request)))

    def revoke(self, token_id: str) -> int:
        """End a login, with all that it was refreshed to; the number of secrets that were live or expired."""
        return self._runner.run(self._policy.revoke(token_id))

    async def arevoke(self, token_id: str) -> int:
        return await self._runner.arun(self._policy.revoke(token_id))

    def revoke_user(self, user_id: str | int, *, keep: str | None = None) -> int:
        """End every login of a user (of this store, whatever its kind), but not the one with the id `keep`; their
        secrets are counted as by `revoke`."""
        return self._runner.run(self._policy.revoke_user(user_id, keep))

    async def arevoke_user(self, user_id: str | int, *, keep: str | None = None) -> int:
        return await self._runner.arun(self._policy.revoke_user(user_id, keep))

    def of(self, user_id: str | int) -> list[Login]:
        """The live logins of a user, the newest first."""
        return self._runner.run(self._policy.of(user_id))

    async def aof(self, user_id: str | int) -> list[Login]:
        return await self._runner.arun(self._policy.of(user_id))

    def purge(self) -> int:
        """Delete what has expired, in a table; the number of rows. For a clock process, never for a request."""
        return self._runner.run(self._policy.purge())

    async def apurge(self) -> int:
        return await self._runner.arun(self._policy.purge())

    def create(self) -> None:
        """Make the table, if there is none: once for each release, before its processes start."""
        self._runner.run(self._policy.create())

    async def acreate(self) -> None:
        await self._runner.arun(self._policy.create())

    @property
    def pattern(self) -> str:
        """The regular expression by which a secret scanner finds these tokens."""
        return secrets_of.pattern(self._policy.prefix, self._policy.kinds)

    def answer(self, error: TokenError | StoreUnavailable) -> Answer:
        """The HTTP answer to a request whose token was refused (RFC 6750): status, headers, body."""
        return answer_to(error, self._realm)

    def wsgi(self, app: Any, *scopes: str, public: Collection[str] = ()) -> Any:
        """A WSGI app that lets in what has a token with these scopes; `environ["fungible.grant"]` is its Grant.

        `public` are paths that need none; one that ends with `/` stands for all below it.
        """
        from fungible_kit.tokens.wsgi import Middleware

        return Middleware(self, app, scopes, public)

    def asgi(self, app: Any, *scopes: str, public: Collection[str] = ()) -> Any:
        """The same for ASGI, HTTP and WebSocket: `scope["fungible.grant"]`."""
        from fungible_kit.tokens.asgi import Middleware

        return Middleware(self, app, scopes, public)

    def bearer(self, *scopes: str) -> Bearer:
        """A dependency for FastAPI: `grant: Annotated[Grant, Depends(tokens.bearer("read"))]`."""
        from fungible_kit.tokens.fastapi import Bearer

        return Bearer(self, scopes)

    def flask(self, *scopes: str) -> Decorator:
        """A decorator for views of Flask, below `@app.route`; the Grant is `flask.g.grant`."""
        from fungible_kit.tokens.flask import Decorator

        return Decorator(self, scopes)

    def rest_framework(self, user_of: Callable[[Grant], Any] | None = None) -> type[TokenAuthentication]:
        """An authentication class for Django REST framework: `request.auth` is the Grant, `request.user` what
        `user_of` gives of it (None: refused). Without `user_of` that is the active user whose id the token was issued
        for. `.requires("read")` of the class is a permission class.
        """
        from fungible_kit.tokens.rest_framework import authentication

        return authentication(self, user_of)

    @property
    def realm(self) -> str:
        """What answers name as the realm."""
        return self._realm

    def close(self) -> None:
        """Close this process's connections; they are opened again where needed."""
        self._store.close()

    async def aclose(self) -> None:
        """Close this event loop's connections, and those of threads."""
        await self._store.aclose()

    def _issue(
        self,
        user_id: str | int,
        kind: str | None,
        ttl: Duration | None,
        renew_for: Duration | None,
        scopes: Collection[str],
        label: str,
    ) -> Plan[Issued]:
        return self._policy.issue(
            user_id,
            self._policy.kinds[0] if kind is None else kind,
            self._policy.ttl if ttl is None else whole_seconds("ttl", ttl),
            None if renew_for is None else whole_seconds("renew_for", renew_for),
            scopes,
            label,
        )


def open_store(url: str, name: str, deadline: float | None = None, schema: str | None = None) -> Store:
    """The store of a URL. Raises ValueError for a scheme that none has, ImportError that names the missing extra."""
    scheme = url.partition(":")[0].partition("+")[0].lower()
    if schema is not None and scheme not in POSTGRES:
        raise ValueError(f"schema={schema!r}: only PostgreSQL has schemas, and this store is {scheme}")
    if scheme in SQLITE:
        from fungible_kit.tokens.sqlite import SqliteStore

        return SqliteStore(url, name, deadline or _SQL_DEADLINE)
    if scheme in POSTGRES:
        from fungible_kit.tokens.postgres import PostgresStore

        return PostgresStore(url, name, deadline or _SQL_DEADLINE, schema)
    if scheme in VALKEY:
        from fungible_kit.tokens.valkey import ValkeyStore

        return ValkeyStore(url, name, deadline or _VALKEY_DEADLINE)
    raise ValueError(
        f"no store for URLs with {scheme!r}: known are sqlite:///, postgres://, valkey://, redis://, unix://"
    )
