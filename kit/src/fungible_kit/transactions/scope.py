"""The transaction: one request or one job, from its first to its last byte."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol

from fungible_kit.transactions import threads

log = logging.getLogger("fungible_kit.transactions")


@dataclass(frozen=True)
class Leak:
    """What would have outlived its transaction.

    `made_at` is the app's line that made it, `bytes` and `files` what was in it; `wiped` says whether it is gone
    now. A file in a temporary folder that is not ours is reported and, unless asked for, left.
    """

    kind: Literal["scratch", "file", "folder"]
    path: str
    made_at: str
    bytes: int
    files: int
    wiped: bool

    def __str__(self) -> str:
        content = f"{self.files} files, {self.bytes} bytes" if self.kind != "file" else f"{self.bytes} bytes"
        return f"{self.kind} {self.path} ({content}), made at {self.made_at}, would have outlived its transaction" + (
            "; wiped" if self.wiped else ""
        )


class Held(Protocol):
    """Something that lives no longer than the transaction that it was made in."""

    def transaction_ended(self) -> Leak | None:
        """Give up what is held; a `Leak` where it should have been given up before."""


class Transaction:
    """The state of one request or job. Threads and tasks share it by reference."""

    __slots__ = ("_held", "_lock", "memos")

    def __init__(self) -> None:
        self.memos: dict[object, Any] | None = {}
        """A function with @transaction_cache -> what it has answered here. None: the transaction has ended."""
        self._held: dict[Held, None] = {}
        self._lock = threading.Lock()

    def hold(self, held: Held) -> None:
        """`held.transaction_ended()` is called at the end, unless `release` comes first."""
        with self._lock:
            self._held[held] = None

    def release(self, held: Held) -> None:
        with self._lock:
            self._held.pop(held, None)

    @property
    def ended(self) -> bool:
        return self.memos is None

    @property
    def empty(self) -> bool:
        """Whether its end has nothing to look at on a disk."""
        return not self._held

    def finish(self) -> list[Leak]:
        """End: forget what was memoised, wipe and return what was left. The second call finds nothing."""
        with self._lock:
            held, self._held = list(self._held), {}
            self.memos = None
        leaks = []
        for each in held:
            try:
                leak = each.transaction_ended()
            except Exception:  # what cannot be wiped now is reaped later; the answer has been given
                log.exception("a transaction could not give up what it held")
            else:
                leaks += [leak] if leak else []
        return leaks


variable: ContextVar[Transaction | None] = ContextVar("fungible_transaction", default=None)


def current() -> Transaction | None:
    """The transaction that this code runs in, or None."""
    found = variable.get()
    return None if found is None or found.memos is None else found


def entered(transaction: Transaction | None) -> Transaction | None:
    """Make `transaction` the current one of this context; returns what to put back afterwards.

    Not by tokens: a generator may be closed in another context than the one that began it.
    """
    threads.share(variable)
    before = variable.get()
    variable.set(transaction)
    return before


def report(leaks: list[Leak], on_leak: Callable[[Leak], object] | None = None) -> None:
    """Log each leak as a warning, and hand it to `on_leak`."""
    for leak in leaks:
        log.warning("scratch.leak: %s", leak)
        if on_leak is not None:
            try:
                on_leak(leak)
            except Exception:  # the answer has been given: this must not become its error
                log.exception("on_leak failed")


class transaction:  # noqa: N801 - a context manager, named like those of contextlib
    """`with transaction():` or `async with transaction():` - one job, message or command is one transaction.

    For what no middleware covers: a script, a management command, one message of a websocket. A transaction
    inside another one is its own; the outer one goes on afterwards. `on_leak` gets what would have outlived it.
    """

    def __init__(self, *, on_leak: Callable[[Leak], object] | None = None) -> None:
        self._on_leak = on_leak
        self._opened: list[tuple[Transaction, Transaction | None]] = []

    def __enter__(self) -> Transaction:
        begun = Transaction()
        self._opened.append((begun, entered(begun)))
        return begun

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        begun, before = self._opened.pop()
        entered(before)
        report(begun.finish(), self._on_leak)

    async def __aenter__(self) -> Transaction:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        begun, before = self._opened.pop()
        entered(before)
        report(await finished_apart(begun), self._on_leak)


async def finished_apart(ending: Transaction) -> list[Leak]:
    """`ending.finish()`; in a thread where there is something to wipe, and to its end even when cancelled."""
    if ending.empty:
        return ending.finish()
    return await asyncio.shield(asyncio.to_thread(ending.finish))
