"""The async face of a store that has only a sync one: each call runs in a thread.

A call that is cancelled runs to its end in its thread, so no answer is left in a connection for the next one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fungible_kit.sessions.record import Listed, Move, Outcome, Patch, Record
from fungible_kit.sessions.stores import Caps, Store

T = TypeVar("T")


class ThreadedStore:
    """`threads` bounds how many calls are under way at once; more wait."""

    def __init__(self, store: Store, threads: int = 16) -> None:
        self.caps: Caps = store.caps
        self._store = store
        self._threads = threads
        self._pool: tuple[int, ThreadPoolExecutor] | None = None

    async def read(self, key: str) -> Record | None:
        return await self._run(lambda: self._store.read(key))

    async def create(self, key: str, record: Record) -> bool:
        return await self._run(lambda: self._store.create(key, record))

    async def patch(self, key: str, patch: Patch, seen: Record | None = None) -> Outcome:
        return await self._run(lambda: self._store.patch(key, patch, seen))

    async def take(self, key: str, name: str) -> bytes | None:
        return await self._run(lambda: self._store.take(key, name))

    async def move(self, old: str, new: str, move: Move) -> Record | Outcome:
        return await self._run(lambda: self._store.move(old, new, move))

    async def delete(self, key: str) -> bool:
        return await self._run(lambda: self._store.delete(key))

    async def of_user(self, user: str) -> list[Listed]:
        return await self._run(lambda: self._store.of_user(user))

    async def revoke_user(self, user: str, keep: str | None = None) -> int:
        return await self._run(lambda: self._store.revoke_user(user, keep))

    async def purge(self) -> int:
        return await self._run(self._store.purge)

    async def check(self) -> list[str]:
        return await self._run(self._store.check)

    async def close(self) -> None:
        await self._run(self._store.close)
        if self._pool is not None:
            self._pool[1].shutdown(wait=False)
            self._pool = None

    async def _run(self, call: Callable[[], T]) -> T:
        if self._pool is None or self._pool[0] != os.getpid():  # threads do not survive a fork
            self._pool = os.getpid(), ThreadPoolExecutor(self._threads, thread_name_prefix="fungible-session-store")
        return await asyncio.get_running_loop().run_in_executor(self._pool[1], call)
