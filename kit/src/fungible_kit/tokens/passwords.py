"""Passwords, hashed by pwdlib (argon2id) in few threads: a hash takes 64 MiB unless told otherwise,
and a flood of logins must not take the machine's memory."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pwdlib import PasswordHash

LONGEST = 1024
"""Characters of a password; no longer one is hashed."""


class Busy(Exception):
    """As many passwords wait to be hashed as may: answer 503."""


@dataclass(frozen=True)
class Checked:
    """Whether a password was right, and if the stored hash has other parameters than today's, the one to store
    instead."""

    ok: bool
    rehash: str | None = None

    def __bool__(self) -> bool:
        return self.ok


class Passwords:
    """Hashes and verifies passwords, `workers` at a time; `waiting` more may wait, others get `Busy`.

    `hasher` is a `pwdlib.PasswordHash`, by default the one that pwdlib recommends. Needs fungible-kit[tokens].
    """

    def __init__(self, *, workers: int = 2, waiting: int = 32, hasher: PasswordHash | None = None) -> None:
        if workers < 1 or waiting < 0:
            raise ValueError(f"workers {workers}, waiting {waiting}: one worker at least, and none or more may wait")
        if hasher is None:
            try:
                from pwdlib import PasswordHash

                hasher = PasswordHash.recommended()
            except ImportError as missing:
                raise ImportError(f"passwords need fungible-kit[tokens]: {missing}") from missing
        self._hasher = hasher
        self._workers, self._waiting = workers, waiting
        self._lock = threading.Lock()
        self._pool: _Pool | None = None

    def hash(self, password: str) -> str:
        """What to store of a password. Raises ValueError for one longer than `LONGEST`, Busy."""
        return self._hash(password).result()

    async def ahash(self, password: str) -> str:
        return await asyncio.wrap_future(self._hash(password))

    def verify(self, password: str, stored: str | None) -> Checked:
        """Whether a password is the one of a stored hash.

        `stored` is None where there is no such user: a hash is then computed all the same, so that the time of the
        answer does not tell who has an account. Raises Busy; ValueError where `stored` is no hash that we know.
        """
        return self._verify(password, stored).result()

    async def averify(self, password: str, stored: str | None) -> Checked:
        return await asyncio.wrap_future(self._verify(password, stored))

    def _hash(self, password: str) -> Future[str]:
        if len(password) > LONGEST:
            raise ValueError(f"a password has {LONGEST} characters at most")
        return self._started().submit(lambda: self._hasher.hash(password))

    def _verify(self, password: str, stored: str | None) -> Future[Checked]:
        def check() -> Checked:
            if stored is None or len(password) > LONGEST:
                self._hasher.hash(password[:LONGEST])  # takes as long as to verify one
                return Checked(False)
            from pwdlib.exceptions import UnknownHashError

            try:
                return Checked(*self._hasher.verify_and_update(password, stored))
            except UnknownHashError:
                raise ValueError("the stored hash is of no kind that is known here") from None

        return self._started().submit(check)

    def _started(self) -> _Pool:
        """This process's threads: a fork does not have those of its parent."""
        with self._lock:
            if self._pool is None or self._pool.pid != os.getpid():
                self._pool = _Pool(self._workers, self._waiting)
            return self._pool


class _Pool:
    """The threads of one process."""

    def __init__(self, workers: int, waiting: int) -> None:
        self.pid = os.getpid()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="passwords")
        self._room = threading.BoundedSemaphore(workers + waiting)

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        if not self._room.acquire(blocking=False):
            raise Busy("too many passwords wait to be hashed")
        try:
            future = self._threads.submit(work)
        except BaseException:
            self._room.release()
            raise
        future.add_done_callback(lambda _: self._room.release())
        return future
