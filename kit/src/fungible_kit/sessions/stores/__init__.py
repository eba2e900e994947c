"""Where sessions are kept: what a store must do, and which one a URL names.

A store is shared by every process of the app. Any class with these methods is one, and
`fungible_kit.sessions.conformance` tells whether it keeps what sessions rely on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from fungible_kit.services import MEMCACHED, POSTGRES, SQLITE, VALKEY
from fungible_kit.sessions.errors import Misconfigured
from fungible_kit.sessions.record import Listed, Move, Outcome, Patch, Record, Refused

WHAT = "the session store"
"""What messages call it."""


@dataclass(frozen=True, slots=True)
class Caps:
    """What a store can do beyond the minimum."""

    index: bool  # lists and revokes by user


class Store(Protocol):
    """The sync face. Keys are ASCII text of at most 64 characters; the raw id is never seen here.

    Every method is one atomic step: of two callers, one comes first. Each raises `StoreUnavailable` where the
    store cannot be reached within the time given to it, and nothing else of its client's errors.
    """

    caps: Caps

    def read(self, key: str) -> Record | None:
        """The record; None where there is none or its `expire_at` has passed."""
        ...

    def create(self, key: str, record: Record) -> bool:
        """Write a new record; False, and nothing written, where one is there."""
        ...

    def patch(self, key: str, patch: Patch, seen: Record | None = None) -> Outcome:
        """Apply a patch to what is there now, and move the expiry to the earlier of `idle_at` and `absolute`.

        Never creates. `seen` is the record as last read, which lets some stores save a trip.
        """
        ...

    def take(self, key: str, name: str) -> bytes | None:
        """Read and remove one field: of any number of callers, one gets the value."""
        ...

    def move(self, old: str, new: str, move: Move) -> Record | Outcome:
        """Rotate: the record is under `new` alone (and for `grace` seconds found through `old`)."""
        ...

    def delete(self, key: str) -> bool:
        """End a session; whether there was one."""
        ...

    def of_user(self, user: str) -> list[Listed]:
        """The living sessions of a user; raises `NotSupported` without `caps.index`."""
        ...

    def revoke_user(self, user: str, keep: str | None = None) -> int:
        """End all sessions of a user but the key `keep`; how many were ended."""
        ...

    def purge(self) -> int:
        """Remove what has ended; 0 where the store does so itself. For a periodic job, never in a request."""
        ...

    def check(self) -> list[str]:
        """What an operator should know about this store as it is set up, a sentence each."""
        ...

    def close(self) -> None:
        """Let go of connections; the next call opens new ones."""
        ...


class AsyncStore(Protocol):
    """The async face: the same methods. A call that is cancelled leaves no answer behind for the next one.

    One that keeps the time given to it itself may say so with an attribute `bounded = True`; others are cancelled.
    """

    caps: Caps

    async def read(self, key: str) -> Record | None: ...
    async def create(self, key: str, record: Record) -> bool: ...
    async def patch(self, key: str, patch: Patch, seen: Record | None = None) -> Outcome: ...
    async def take(self, key: str, name: str) -> bytes | None: ...
    async def move(self, old: str, new: str, move: Move) -> Record | Outcome: ...
    async def delete(self, key: str) -> bool: ...
    async def of_user(self, user: str) -> list[Listed]: ...
    async def revoke_user(self, user: str, keep: str | None = None) -> int: ...
    async def purge(self) -> int: ...
    async def check(self) -> list[str]: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Faces:
    """How to make the two faces of one store; each is made when it is first used."""

    sync: Callable[[], Store]
    asynchronous: Callable[[], AsyncStore]


def open_store(url: str, deadline: float = 0.25) -> Faces:
    """The store that a URL names: `valkey://`, `redis://`, `valkeys://`, `rediss://`, `unix://`, `memcached://`,
    `postgres://`, `sqlite://`. Nothing is connected and no client is imported before the first use.

    `deadline` is in seconds, for connecting and for each answer. Raises `Misconfigured` for other schemes, and for a
    port that is none; the URL is not repeated, since it may hold a password.
    """
    try:
        address = urlsplit(url)
    except ValueError:
        raise Misconfigured(
            "the URL of the session store is none: look at its host; an IPv6 address stands between [ and ]"
        ) from None
    scheme = address.scheme.lower()
    if scheme in VALKEY:
        try:
            _ = address.port
        except ValueError:
            raise Misconfigured(
                f"the port in the {scheme}:// URL of the session store is no number from 1 to 65535; "
                f"write {scheme}://host:port, and / in a password as %2F"
            ) from None
        from fungible_kit.sessions.stores import valkey

        return Faces(lambda: valkey.ValkeyStore(url, deadline), lambda: valkey.AsyncValkeyStore(url, deadline))
    if scheme in MEMCACHED:
        from fungible_kit.sessions.stores import memcached, threaded

        return Faces(
            lambda: memcached.MemcachedStore(url, deadline),
            lambda: threaded.ThreadedStore(memcached.MemcachedStore(url, deadline)),
        )
    if scheme in SQLITE:
        from fungible_kit.sessions.stores import sqlite, threaded

        return Faces(lambda: sqlite.SqliteStore(url), lambda: threaded.ThreadedStore(sqlite.SqliteStore(url)))
    if scheme in POSTGRES:
        try:
            from fungible_kit.sessions.stores import postgres
        except ImportError as missing:
            raise Misconfigured(str(missing)) from None
        return Faces(
            lambda: postgres.PostgresStore(url, deadline), lambda: postgres.AsyncPostgresStore(url, deadline)
        )
    raise Misconfigured(
        f"no session store for URLs that begin with {scheme or url.partition('/')[0]!r}; "
        "known: valkey://, redis://, memcached://, postgres://, sqlite://"
    )


__all__ = ["AsyncStore", "Caps", "Faces", "Refused", "Store", "open_store"]
