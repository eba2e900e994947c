"""How an app gets its sessions: the settings, checked when they are given, and the way into each framework."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from fungible_kit.duration import Duration
from fungible_kit.services.availability import Availability, sentence
from fungible_kit.services.breaker import Breaker
from fungible_kit.sessions.answer import Answer, OnOutage, Outage, answer_to, with_page
from fungible_kit.sessions.codec import Codec, JsonCodec
from fungible_kit.sessions.cookie import Cookie
from fungible_kit.sessions.errors import Misconfigured, SessionError, StoreUnavailable
from fungible_kit.sessions.exchange import Policy
from fungible_kit.sessions.identity import key_of, new_id
from fungible_kit.sessions.lifetime import Lifetime, setting
from fungible_kit.sessions.record import MAX_BYTES, MAX_NAMES, Listed
from fungible_kit.sessions.session import Session
from fungible_kit.sessions.steps import Runner
from fungible_kit.sessions.stores import WHAT, AsyncStore, Faces, Store, open_store
from fungible_kit.sessions.stores.threaded import ThreadedStore

if TYPE_CHECKING:
    from flask import Flask

    from fungible_kit.sessions.asgi import SessionASGI
    from fungible_kit.sessions.wsgi import SessionWSGI

URL_VARIABLE = "FUNGIBLE_SESSION_URL"
DEVELOPMENT_VARIABLE = "FUNGIBLE_SESSION_DEVELOPMENT"

log = logging.getLogger("fungible_kit.sessions")


class Sessions:
    """The sessions of an app, the same for any framework and any number of processes.

    `store`: a URL (`valkey://`, `redis://`, `memcached://`, `postgres://`, `sqlite:///file`), or an object with the
    methods of `Store` or `AsyncStore`; default: the variable FUNGIBLE_SESSION_URL.
    `idle`, `absolute`: both limits hold at once. `rotate_every`: a new id for a session in use, now and then.
    `on_store_error`: "unavailable" answers 503 with Retry-After; "anonymous" shows an empty session that cannot be
    written. In neither case is a cookie cleared or replaced.
    `on_outage`: gives the page for that 503, of an `Outage`; it must not look at the session.
    `deadline`: for connecting to the store, and for each answer.
    `conflict`: "merge" lets the last writer of a name win; "raise" makes that `SessionConflict`.
    `development`: a cookie `sid` that plain HTTP carries; also the variable FUNGIBLE_SESSION_DEVELOPMENT=1.

    Raises `Misconfigured` for settings that do not fit. Connects to nothing before a session is needed.
    """

    def __init__(
        self,
        store: str | Store | AsyncStore | None = None,
        *,
        cookie: Cookie | None = None,
        idle: Duration = "30m",
        absolute: Duration = "12h",
        rotate_every: Duration | None = None,
        fresh: Duration = "10m",
        on_store_error: Literal["unavailable", "anonymous"] = "unavailable",
        deadline: Duration = "250ms",
        max_bytes: int = MAX_BYTES,
        conflict: Literal["merge", "raise"] = "merge",
        codec: Codec | None = None,
        development: bool | None = None,
        on_event: Callable[[str, str], None] | None = None,
        on_outage: OnOutage | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if on_store_error not in ("unavailable", "anonymous"):
            raise Misconfigured(f"on_store_error={on_store_error!r} is neither 'unavailable' nor 'anonymous'")
        if on_outage is not None and not callable(on_outage):
            raise Misconfigured(f"on_outage={on_outage!r} is no function of an Outage")
        if conflict not in ("merge", "raise"):
            raise Misconfigured(f"conflict={conflict!r} is neither 'merge' nor 'raise'")
        if development is None:
            development = os.environ.get(DEVELOPMENT_VARIABLE, "") not in ("", "0")
        if cookie is None:
            cookie = Cookie(name="sid", secure=False) if development else Cookie()
        if not cookie.secure and not development:
            raise Misconfigured(
                "a session cookie without Secure is sent over plain HTTP, where anybody can take it; "
                f"only with development=True or {DEVELOPMENT_VARIABLE}=1"
            )
        self.cookie = cookie
        self.events: Counter[str] = Counter()
        """How often what has happened in this process: session.unknown_id, session.ended_write,
        session.store_unavailable."""
        self._on_event = on_event
        self._on_outage = on_outage
        self._warned = False
        limit = setting("deadline", deadline)
        self._policy = Policy(
            Lifetime(
                max(1, round(setting("idle", idle))),
                max(1, round(setting("absolute", absolute))),
                max(1, round(setting("rotate_every", rotate_every))) if rotate_every is not None else None,
                round(setting("fresh", fresh)),
            ),
            codec or JsonCodec(),
            max_bytes,
            MAX_NAMES,
            conflict,
            on_store_error,
            clock,
            self._event,
        )
        self._store = _given(store)
        self._faces = _faces(self._store, limit)
        self._sync: Store | None = None
        self._async: AsyncStore | None = None
        self._breaker = Breaker(StoreUnavailable, WHAT)
        availability = Availability(self._store, WHAT, log)
        self._runner = Runner(self._sync_store, self._async_store, self._breaker, limit, availability)

    # The ways in.

    def wsgi(self, app: Callable[..., Any], *, name: str = "fungible.session") -> SessionWSGI:
        """The app with a session in `environ["fungible.session"]`."""
        from fungible_kit.sessions.wsgi import SessionWSGI

        return SessionWSGI(app, self, name)

    def asgi(
        self,
        app: Callable[..., Any],
        *,
        preload: bool | Callable[[dict[str, Any]], bool] = True,
        exclude: Iterable[str] = (),
    ) -> SessionASGI:
        """The app with a session in `scope["session"]`, which is `request.session` in Starlette and FastAPI.

        `preload`: read it before the app is called, where a cookie came; one trip. A function decides by scope.
        Without it, `await session.aload()` comes first. `exclude`: path prefixes without preload.
        """
        from fungible_kit.sessions.asgi import SessionASGI

        return SessionASGI(app, self, preload, tuple(exclude))

    def flask(self, app: Flask) -> Flask:
        """Make these the sessions of a Flask app (`flask.session`); returns the app."""
        from fungible_kit.sessions.flask import install

        return install(app, self)

    @cached_property
    def required(self) -> Callable[..., Awaitable[Session]]:
        """The loaded session of a FastAPI request or websocket: `Depends(sessions.required)`.

        With `asgi(app, preload=False)`, only handlers that ask for it cost a trip.
        """
        from fungible_kit.sessions.asgi import dependency

        return dependency()

    def open(self, cookie_header: str, *, in_loop: bool = False, kind: type[Session] = Session) -> Session:
        """The session that a `Cookie` header names; nothing is read yet. For adapters of other frameworks."""
        return self.open_id(self.cookie.id_in(cookie_header), in_loop=in_loop, kind=kind)

    def open_id(self, id: str | None, *, in_loop: bool = False, kind: type[Session] = Session) -> Session:
        """The session of a well-formed id, or of a browser that brought none."""
        return kind(self._policy, self._runner, id, in_loop=in_loop)

    def answer(self, error: SessionError, method: str, path: str, accept: str) -> Answer | None:
        """The whole answer to a request whose session could not be read or saved; None where the error is the app's
        own. For adapters of other frameworks.
        """
        answer = answer_to(error)
        if answer is None or self._on_outage is None or not isinstance(error, StoreUnavailable):
            return answer
        try:
            page = self._on_outage(Outage(method, path, accept, error.retry_after))
            return answer if page is None else with_page(answer, page)
        except Exception:
            # Most likely it has looked at the session as well. What went wrong must not become a 500.
            log.exception("on_outage failed; the plain answer is given")
            return answer

    def sent_over(self, scheme: str, forwarded: str) -> None:
        """Told by adapters of each cookie that is set: a browser that speaks plain HTTP will not send it back.

        `scheme` is the request's, `forwarded` its X-Forwarded-Proto. One line in the log for a process.
        """
        if scheme == "http" and self.cookie.secure and not self._warned and "https" not in forwarded.lower():
            self._warned = True
            log.warning(
                "the session cookie %s was set over plain HTTP; it is Secure, so clients send it back over HTTPS "
                "alone (some browsers to localhost, too) and a login does not stick. In development set %s=1; behind "
                "a proxy that ends TLS let it send X-Forwarded-Proto: https",
                self.cookie.name, DEVELOPMENT_VARIABLE,
            )  # fmt: skip

    # By user, and for operators.

    def of(self, user: object) -> list[Listed]:
        """The living sessions of a user, oldest first; raises `NotSupported` on Memcached."""
        return self._sync_store().of_user(str(user))

    async def aof(self, user: object) -> list[Listed]:
        return await self._async_store().of_user(str(user))

    def revoke(self, user: object, keep: Session | None = None) -> int:
        """End all sessions of a user, but `keep`: after a change of password, or when an account is closed.

        Returns how many were ended; raises `NotSupported` on Memcached.
        """
        return self._sync_store().revoke_user(str(user), keep.key if keep is not None else None)

    async def arevoke(self, user: object, keep: Session | None = None) -> int:
        return await self._async_store().revoke_user(str(user), keep.key if keep is not None else None)

    def end(self, listed: Listed) -> bool:
        """End one session of the list; whether it was still there."""
        return self._sync_store().delete(listed.key)

    async def aend(self, listed: Listed) -> bool:
        return await self._async_store().delete(listed.key)

    def create(self) -> None:
        """Make the table of PostgreSQL, if there is none: once for each release, before its processes start. Other
        stores need nothing.
        """
        make = getattr(self._sync_store(), "create_table", None)
        if make is not None:
            make()

    def purge(self) -> int:
        """Remove ended sessions from PostgreSQL or SQLite; other stores do it themselves. For a periodic job."""
        return self._sync_store().purge()

    def check(self) -> list[str]:
        """What an operator should know about the store as it is set up, a sentence each.

        Raises `StoreUnavailable` that says which store cannot be used, and why.
        """
        store = self._sync_store()
        try:
            store.read(key_of(new_id()))
        except StoreUnavailable as error:
            raise StoreUnavailable(sentence(self._store, WHAT, error), timed_out=error.timed_out) from error
        return store.check()

    def close(self) -> None:
        if self._sync is not None:
            self._sync.close()

    async def aclose(self) -> None:
        if self._async is not None:
            await self._async.close()

    # Within.

    @property
    def policy(self) -> Policy:
        return self._policy

    @property
    def runner(self) -> Runner:
        return self._runner

    def _sync_store(self) -> Store:
        if self._sync is None:
            self._sync = self._faces.sync()
        return self._sync

    def _async_store(self) -> AsyncStore:
        if self._async is None:
            self._async = self._faces.asynchronous()
        return self._async

    def _event(self, name: str, public_id: str) -> None:
        self.events[name] += 1
        log.info("%s %s", name, public_id)
        if self._on_event is not None:
            self._on_event(name, public_id)


def _given(store: str | Store | AsyncStore | None) -> str | Store | AsyncStore:
    if store is not None:
        return store
    url = os.environ.get(URL_VARIABLE)
    if not url:
        raise Misconfigured(f"where are sessions kept? Sessions('valkey://...') or {URL_VARIABLE}=valkey://...")
    return url


def _faces(store: str | Store | AsyncStore, deadline: float) -> Faces:
    if isinstance(store, str):
        return open_store(store, deadline)
    read: Any = getattr(store, "read", None)
    if read is None:
        raise Misconfigured(f"a {type(store).__name__} is neither a URL nor a session store")
    if getattr(read, "__code__", None) is not None and read.__code__.co_flags & 0x80:  # a coroutine function
        return Faces(_no_sync_face, lambda: store)  # type: ignore[arg-type,return-value]
    return Faces(lambda: store, lambda: ThreadedStore(store))  # type: ignore[arg-type,return-value]


def _no_sync_face() -> Store:
    raise SessionError("this session store is for asyncio alone; a WSGI app needs one with sync methods")
