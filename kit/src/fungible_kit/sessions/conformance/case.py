"""A case, and what cases share: a place of their own in the store, threads that start together, the async face."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fungible_kit.sessions.identity import key_of, new_id
from fungible_kit.sessions.record import Patch, Record
from fungible_kit.sessions.stores import AsyncStore, Store

T = TypeVar("T")


class Skipped(Exception):
    """The store says that it cannot do this."""


@dataclass
class Ground:
    """One case's part of the store. `store` is a handle; `make` makes another one on the same store."""

    store: Store
    make: Callable[[], Store]
    now: int = field(default_factory=lambda: int(time.time()))
    _keys: list[str] = field(default_factory=list)

    def key(self) -> str:
        self._keys.append(key_of(new_id()))
        return self._keys[-1]

    def record(self, fields: dict[str, bytes] | None = None, *, user: str | None = None) -> Record:
        """A record that lives for ten minutes more."""
        return Record(fields or {}, self.now, self.now + 3600, self.now, self.now + 600, user=user, rotated=self.now)

    def created(self, fields: dict[str, bytes] | None = None, *, user: str | None = None) -> str:
        key = self.key()
        assert self.store.create(key, self.record(fields, user=user))
        return key

    def patch(self, **changes: Any) -> Patch:
        changes.setdefault("touched", self.now)
        changes.setdefault("idle_at", self.now + 600)
        return Patch(**changes)

    def fields(self, key: str) -> dict[str, bytes] | None:
        record = self.store.read(key)
        return dict(record.fields) if record is not None else None

    def clear(self) -> None:
        for key in self._keys:
            self.store.delete(key)


@dataclass(frozen=True)
class Case:
    """`title` says what holds; `run` raises where it does not."""

    title: str
    body: Callable[[Ground], None]

    def run(self, make: Callable[[], Store]) -> None:
        store = make()
        ground = Ground(store, make)
        try:
            self.body(ground)
        finally:
            ground.clear()
            store.close()

    def __str__(self) -> str:
        return self.body.__name__


@dataclass(frozen=True)
class AsyncCase:
    title: str
    body: Callable[[AsyncStore], Awaitable[None]]

    async def run(self, make: Callable[[], AsyncStore]) -> None:
        store = make()
        try:
            await self.body(store)
        finally:
            await store.close()

    def __str__(self) -> str:
        return getattr(self.body, "__name__", self.title)


class Cases:
    """Collects the cases of a module: `@cases("what holds")`."""

    def __init__(self) -> None:
        self._found: list[Case] = []

    def __call__(self, title: str) -> Callable[[Callable[[Ground], None]], Callable[[Ground], None]]:
        def add(body: Callable[[Ground], None]) -> Callable[[Ground], None]:
            self._found.append(Case(title, body))
            return body

        return add

    def all(self) -> tuple[Case, ...]:
        return tuple(self._found)


def together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Results of calls that begin at one moment, each in a thread."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        gate.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def blocking(make: Callable[[], AsyncStore]) -> Callable[[], Store]:
    """A maker of sync handles on an async face, so that the same cases run on both.

    Each handle has an event loop of its own in a thread; calls from several threads meet in that loop.
    """

    def made() -> Store:
        return _Blocking(make)

    return made


class _Blocking:
    def __init__(self, make: Callable[[], AsyncStore]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._store = make()
        self.caps = self._store.caps

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)
        if not inspect.iscoroutinefunction(method):
            raise AttributeError(name)
        return lambda *arguments, **named: asyncio.run_coroutine_threadsafe(
            method(*arguments, **named), self._loop
        ).result(60)

    def close(self) -> None:
        if self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self._store.close(), self._loop).result(60)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(60)
            self._loop.close()
