"""One session, in one request: a mapping that is loaded late, and saved as the few changes that were made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, MutableMapping
from datetime import UTC, datetime
from typing import Any

from fungible_kit.sessions.errors import SessionAlreadySent, SessionError, SessionNotLoaded, StoreUnavailable
from fungible_kit.sessions.exchange import Exchange, Policy, State
from fungible_kit.sessions.steps import Runner


class Session(Exchange, MutableMapping[str, Any]):
    """What a request knows of its browser. Made by `Sessions`, the same for WSGI and ASGI.

    Values are JSON and a few types more (see `codec`). Only names that changed are written, merged at the store with
    what other requests wrote meanwhile. Changes are written before the response starts, and dropped where the
    response is an error of the server (status 500 and above); `save` writes at once.

    `incr`, `take` and `compute` are one atomic step at the store. In an event loop use the methods that begin with
    `a`; the mapping itself needs the session to be loaded (it is, with `preload`; else `await session.aload()`).
    """

    def __init__(self, policy: Policy, runner: Runner, id: str | None = None, *, in_loop: bool = False) -> None:
        super().__init__(policy, runner, id)
        self._in_loop = in_loop

    # The mapping.

    def __getitem__(self, name: str) -> Any:
        self._need()
        return self._changes.get(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self._may_change()
        self._changes.set(name, value)

    def __delitem__(self, name: str) -> None:
        self._need()
        if name not in self._changes:
            raise KeyError(name)
        self._may_change()
        self._changes.delete(name)

    def __iter__(self) -> Iterator[str]:
        self._need()
        return iter(list(self._changes.names()))

    def __len__(self) -> int:
        self._need()
        return sum(1 for _ in self._changes.names())

    def __contains__(self, name: object) -> bool:
        self._need()
        return name in self._changes

    def clear(self) -> None:
        """Delete every value; the session itself, its id and its user stay."""
        for name in list(self):
            del self[name]

    def __repr__(self) -> str:
        return f"<Session {self.public_id or '-'} {self._state.value}>"

    # What it is.

    @property
    def new(self) -> bool:
        """Whether this browser had no session when the request came."""
        self._need()
        return self._record is None or self._began

    @property
    def user(self) -> str | None:
        """The id of the user who signed in."""
        self._need()
        return self._login or (self._record.user if self._record is not None else None)

    @property
    def fresh(self) -> bool:
        """Whether the user signed in a short while ago (`Sessions(fresh=...)`): else ask for the password again
        before something that matters."""
        self._need()
        if self._login is not None:
            return True
        record = self._record
        if record is None or record.user is None:
            return False
        return self._policy.clock() - record.created < self._policy.lifetime.fresh

    @property
    def created(self) -> datetime | None:
        """When the session began: at its first write, and anew at each login."""
        self._need()
        return datetime.fromtimestamp(self._record.created, UTC) if self._record is not None else None

    @property
    def expires(self) -> datetime | None:
        """When it ends if nothing more comes."""
        self._need()
        return datetime.fromtimestamp(self._record.expire_at, UTC) if self._record is not None else None

    @property
    def now(self) -> float:
        """The clock that limits are measured by, in unix seconds."""
        return self._policy.clock()

    # Signing in and out; done at the next save.

    def login(self, user: object) -> None:
        """Sign a user in (again): a new id, a new absolute limit, and the old id ends at once.

        Values stay, unless another user was signed in: then the session begins empty.
        """
        self._need()
        self._may_change(cookie=True)
        name = str(user)
        if not name:
            raise SessionError("login needs the id of a user")
        if self._state is State.ENDED:
            self._unknown()  # whoever ended it meant the old one
            self._changes.empty()
        if self._record is not None and self._record.user not in (None, name):
            self._end()
        self._login = name

    def logout(self) -> None:
        """End the session at the store, whatever becomes of the response, and clear the cookie."""
        self.accessed = True
        self._end()
        self._login = None
        self.issued = None
        self.signed_out = True

    def rotate(self) -> None:
        """A new id for the same session, as after a change of privileges; the old one ends at once."""
        self.accessed = True
        self._may_change(cookie=True)
        self._rotate = True

    def touch(self) -> None:
        """Move the idle limit on even if nothing else asks for it."""
        self.accessed = True
        self._touch = True

    # At the store, at once.

    def load(self) -> None:
        """Read the session if it has not been read yet."""
        self._block("aload")
        self._runner.run(self.load_steps())

    async def aload(self) -> None:
        await self._runner.arun(self.load_steps())

    def save(self) -> None:
        """Write what has changed now: in a stream or a websocket, or before an answer of status 500."""
        self._block("asave")
        self._runner.run(self.save_steps())

    async def asave(self) -> None:
        if self.accessed:
            await self._runner.arun(self.save_steps())

    def incr(self, name: str, by: int = 1) -> int:
        """Add to a whole number (0 where there is none) and return the sum: no two requests get the same."""
        self._block("aincr")
        return self._runner.run(self._incr_steps(name, by))

    async def aincr(self, name: str, by: int = 1) -> int:
        return await self._runner.arun(self._incr_steps(name, by))

    def take(self, name: str, default: Any = None) -> Any:
        """Remove a value and return it: of any number of requests, one gets it. For one-time tokens."""
        self._block("atake")
        return self._runner.run(self._take_steps(name, default))

    async def atake(self, name: str, default: Any = None) -> Any:
        return await self._runner.arun(self._take_steps(name, default))

    def compute(self, name: str, function: Callable[[Any], Any], default: Any = None) -> Any:
        """Replace a value by `function(value)`; called again where another request was faster."""
        self._block("acompute")
        return self._runner.run(self._compute_steps(name, function, default))

    async def acompute(self, name: str, function: Callable[[Any], Any], default: Any = None) -> Any:
        return await self._runner.arun(self._compute_steps(name, function, default))

    def _need(self) -> None:
        self.accessed = True
        if self._state is State.AWAY:
            if self._policy.on_store_error == "unavailable":
                self._fail_if_away()
        elif self._state is State.UNREAD:
            if self._in_loop and _loop_runs():
                raise SessionNotLoaded(
                    "the session is not loaded; write `await session.aload()` first, or let it be loaded with "
                    "`sessions.asgi(app, preload=True)`"
                )
            try:
                self._runner.run(self.load_steps())
            except StoreUnavailable as failure:
                self.unavailable(failure)
                if self._policy.on_store_error == "unavailable":
                    raise

    def _may_change(self, cookie: bool = False) -> None:
        self.accessed = True
        self._fail_if_away()
        if self.sent and (cookie or self._state is State.NEW):
            raise SessionAlreadySent(
                "the response has started, and this change needs a cookie; make it before the first byte is sent"
            )

    def _block(self, twin: str) -> None:
        if self._in_loop and _loop_runs():
            raise SessionError(f"in an event loop, write `await session.{twin}(...)`")


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
