"""Sessions in Memcached: one value each, changed by compare-and-swap.

A lost race is replayed on what is there then. A swap finds nothing where the session was ended meanwhile, so it
never comes back. Memcached evicts what is old when memory is short and forgets everything when it restarts:
users are logged out then. It has no index, so sessions cannot be listed or revoked by user.
"""

from __future__ import annotations

import os
import random
import time
import zlib
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from fungible_kit.sessions.errors import Misconfigured, NotSupported, SessionError, StoreUnavailable
from fungible_kit.sessions.record import (
    Applied,
    Conflict,
    Listed,
    Move,
    Outcome,
    Patch,
    Record,
    Refused,
    applied,
    moved,
    packed,
    pointer,
    unpacked,
    without,
)
from fungible_kit.sessions.stores import Caps

T = TypeVar("T")

_ATTEMPTS = 16
"""Of a swap. Each loss means that another writer won, so there is progress; more means a stampede on one session."""


class MemcachedStore:
    """`memcached://host:port[,host:port...]`, through pymemcache. With several servers a session stays with one:
    where that one is away its sessions are, too, and are not looked for elsewhere.
    """

    caps = Caps(index=False)

    def __init__(self, url: str, deadline: float = 0.25) -> None:
        try:
            import pymemcache
        except ImportError:
            raise Misconfigured("a session store in Memcached needs: pip install 'fungible-kit[memcached]'") from None
        self._library = pymemcache
        self._deadline = deadline
        self._addresses = _addresses(url)
        self._pid = 0
        self._clients: list[Any] = []

    def read(self, key: str) -> Record | None:
        record = self._gets(key)
        return record if record is not None and record.expire_at > time.time() else None

    def create(self, key: str, record: Record) -> bool:
        # A time in the past is "at once" only if it is not small enough to be taken for a number of seconds.
        return bool(self._ask(key, lambda client: client.add(key, packed(record), record.expire_at, noreply=False)))

    def patch(self, key: str, patch: Patch, seen: Record | None = None) -> Outcome:
        def change(record: Record) -> tuple[Record, Applied] | Refused | Conflict:
            return applied(record, patch)

        return self._swap(key, change, seen)

    def take(self, key: str, name: str) -> bytes | None:
        held: list[bytes | None] = []

        def change(record: Record) -> tuple[Record, Applied] | Refused | Conflict:
            held[:] = [record.fields.get(name)]
            return without(record, name)

        return held[0] if isinstance(self._swap(key, change, None), Applied) else None

    def move(self, old: str, new: str, move: Move) -> Record | Outcome:
        result: list[Record] = []

        def change(record: Record) -> tuple[Record, Applied] | Refused | Conflict:
            result.clear()
            after = moved(record, move)
            if not isinstance(after, Record):
                return after
            result.append(after)
            # What is swapped in ends at once without a grace: a swap is the only conditional delete there is.
            left = pointer(record, new, move.patch.touched, move.grace)
            return left, Applied(left.version)

        outcome = self._swap(old, change, None, forget=move.grace == 0)
        if not isinstance(outcome, Applied):
            return outcome
        if not self.create(new, result[0]):
            return Refused.GONE
        return result[0]

    def delete(self, key: str) -> bool:
        return bool(self._ask(key, lambda client: client.delete(key, noreply=False)))

    def of_user(self, user: str) -> list[Listed]:
        self._no_index()

    def revoke_user(self, user: str, keep: str | None = None) -> int:
        self._no_index()

    def purge(self) -> int:
        return 0

    def check(self) -> list[str]:
        words = ["Memcached logs users out: it evicts sessions when memory is short, and a restart ends them all"]
        for address in self._addresses:
            if address[0] not in ("localhost", "::1") and not address[0].startswith("127."):
                words.append(f"the link to {address[0]} is neither encrypted nor asks for a password")
        return words

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self._clients = []

    def _swap(
        self,
        key: str,
        change: Callable[[Record], tuple[Record, Applied] | Refused | Conflict],
        seen: Record | None,
        *,
        forget: bool = False,
    ) -> Outcome:
        record = seen if seen is not None and seen.token is not None else self._gets(key)
        for attempt in range(_ATTEMPTS):
            if record is None or record.moved_to is not None or record.expire_at <= time.time():
                return Refused.GONE
            outcome = change(record)
            if not isinstance(outcome, tuple):
                if record is seen:  # judged by an old view: look again
                    record, seen = self._gets(key), None
                    continue
                return outcome
            data, token = packed(outcome[0]), record.token
            until = 1_000_000_000 if forget else outcome[0].expire_at  # a moment long past: it ends at once
            swapped = self._ask(key, _cas(key, data, token, until))
            if swapped:
                return outcome[1]
            if swapped is None:
                return Refused.GONE
            if attempt:
                time.sleep(random.uniform(0, 0.001 * 2 ** min(attempt, 5)))
            record = self._gets(key)
        raise StoreUnavailable("too many requests change this session at once")

    def _gets(self, key: str) -> Record | None:
        data, token = self._ask(key, lambda client: client.gets(key))
        if data is None:
            return None
        try:
            return unpacked(data, token)
        except ValueError as error:
            raise SessionError(f"Memcached holds {key[:12]}, and {error}") from None

    def _ask(self, key: str, call: Callable[[Any], T]) -> T:
        if self._pid != os.getpid():
            # Sockets of a parent process are not ours: answers would cross.
            self._clients = [self._client(address) for address in self._addresses]
            self._pid = os.getpid()
        client = self._clients[hash_place(key, len(self._clients))]
        try:
            return call(client)
        except (OSError, self._library.MemcacheError) as error:
            timed_out = isinstance(error, TimeoutError)
            said = "did not answer in time" if timed_out else "cannot be reached"
            raise StoreUnavailable(f"the session store {said}", timed_out=timed_out) from error

    def _client(self, address: tuple[str, int]) -> Any:
        return self._library.PooledClient(
            address,
            connect_timeout=self._deadline,
            timeout=self._deadline,
            no_delay=True,
            ignore_exc=False,
            max_pool_size=256,
        )

    def _no_index(self) -> NoReturn:
        raise NotSupported(
            "Memcached keeps no list of a user's sessions; to list and revoke by user, use valkey:// or sqlite://"
        )


def hash_place(key: str, places: int) -> int:
    """Which of several servers holds a key: the same in every process, whatever is up."""
    return zlib.crc32(key.encode()) % places if places > 1 else 0


def _cas(key: str, data: bytes, token: bytes, until: int) -> Callable[[Any], bool | None]:
    return lambda client: client.cas(key, data, token, until, noreply=False)


def _addresses(url: str) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for part in url.partition("://")[2].rstrip("/").split(","):
        try:
            address = urlsplit(f"//{part.strip()}")
            host, port = address.hostname, address.port or 11211
        except ValueError:
            host, port = None, 0
        if not host:
            raise Misconfigured(f"{part!r} is no server; write memcached://host:port[,host:port]")
        found.append((host, port))
    return found
