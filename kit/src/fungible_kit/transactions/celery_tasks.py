"""Celery: every task is a transaction. By signals, which tasks of every kind and pool send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from celery import signals  # type: ignore[import-untyped]

from fungible_kit.transactions.scope import Transaction, entered

if TYPE_CHECKING:
    from fungible_kit.transactions.middleware import Transactions


class CeleryApp(Protocol):
    """A `celery.Celery`."""

    main: Any


def connect(transactions: Transactions, app: CeleryApp | None) -> None:
    """Begin at `task_prerun` and end at `task_postrun`, which is sent after success, failure and retry alike.

    A task that a task calls eagerly (`apply`, `task_always_eager`) is a transaction of its own.
    """
    running: dict[str, tuple[Transaction, Transaction | None]] = {}

    def begin(sender: Any = None, task_id: str = "", **_: Any) -> None:
        if app is None or sender.app is app:
            begun = transactions.begin()
            running[task_id] = (begun, entered(begun))

    def end(sender: Any = None, task_id: str = "", **_: Any) -> None:
        if task_id in running:
            begun, before = running.pop(task_id)
            entered(before)
            transactions.end(begun)

    # Not weak: nobody else holds these two.
    signals.task_prerun.connect(begin, weak=False)
    signals.task_postrun.connect(end, weak=False)
