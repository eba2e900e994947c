"""What a store of tokens does: one operation, one trip.

Rules are in `core`, which asks for these operations and does no input or output; a store carries them out, for
threads and for event loops. Every operation may be repeated: a second time changes nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from fungible_kit.services.availability import Availability
from fungible_kit.services.breaker import Breaker
from fungible_kit.tokens.record import Row


@dataclass(frozen=True)
class Find:
    """The row of a digest, or None."""

    digest: bytes


@dataclass(frozen=True)
class Insert:
    """Keep a new row."""

    row: Row


@dataclass(frozen=True)
class Replace:
    """In one atomic step: if the secret `old` is live and, where it has been replaced, was so after `since`,
    note that it is replaced now, and keep the row `new`. True if so."""

    old: bytes
    new: Row
    now: int
    since: int


@dataclass(frozen=True)
class Touch:
    """Note when a secret was last used, if what is noted is older than `before`."""

    digest: bytes
    now: int
    before: int


@dataclass(frozen=True)
class RevokeLogin:
    """Revoke every secret of a login; their number."""

    id: str
    now: int


@dataclass(frozen=True)
class RevokeUser:
    """Revoke every secret of a user, those of the login `keep` excepted; their number."""

    user_id: str
    now: int
    keep: str | None


@dataclass(frozen=True)
class OfUser:
    """The live rows of a user, `MOST` at most, the newest first."""

    user_id: str
    now: int


@dataclass(frozen=True)
class Purge:
    """Delete what expired before `now`; the number of rows."""

    now: int


@dataclass(frozen=True)
class Create:
    """Make what the store needs before the first token: the table."""


WHAT = "the token store"
"""What messages call it."""
MOST = 1000
Operation = Find | Insert | Replace | Touch | RevokeLogin | RevokeUser | OfUser | Purge | Create

T = TypeVar("T")
Plan = Generator[Operation, Any, T]
"""Asks for operations, gets their results, returns its own."""


class Store(Protocol):
    """Raises StoreUnavailable where it cannot do what it is asked, within its deadline."""

    def execute(self, operation: Operation) -> Any: ...
    async def aexecute(self, operation: Operation) -> Any: ...
    def close(self) -> None: ...
    async def aclose(self) -> None: ...


def check_name(name: str, what: str = "name") -> str:
    """The name of a table or of its schema, or what stands before keys; raises ValueError."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,49}", name):
        raise ValueError(f"{what} {name!r}: 1 to 50 lower-case letters, digits and underscores, no digit first")
    return name


class Runner:
    """Carries plans out against a store, behind a breaker: while the store is away no request waits for it, and the
    log tells of that."""

    def __init__(self, store: Store, breaker: Breaker, availability: Availability) -> None:
        self._store = store
        self._breaker = breaker
        self._availability = availability

    def run(self, plan: Plan[T]) -> T:
        """In this thread."""
        try:
            operation = next(plan)
            while True:
                try:
                    with self._breaker, self._availability:
                        result = self._store.execute(operation)
                except Exception as error:
                    operation = plan.throw(error)
                else:
                    operation = plan.send(result)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    async def arun(self, plan: Plan[T]) -> T:
        """On this event loop."""
        try:
            operation = next(plan)
            while True:
                try:
                    with self._breaker, self._availability:
                        result = await self._store.aexecute(operation)
                except Exception as error:
                    operation = plan.throw(error)
                else:
                    operation = plan.send(result)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
