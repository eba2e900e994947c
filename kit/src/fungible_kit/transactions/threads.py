"""Threads share the transaction that they were spawned in.

Python hands a context to a new task and to `asyncio.to_thread`, not to `threading.Thread` or to the threads of a
`ThreadPoolExecutor`. Two methods are therefore wrapped, once, when the first transaction begins; nothing but our
own variable is handed on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from contextvars import ContextVar
from functools import wraps
from typing import Any

_POOLS = ("concurrent.futures", "multiprocessing", "anyio", "fungible_kit")
_lock = threading.Lock()
_shared = False


def share(variable: ContextVar[Any]) -> None:
    """From now on, a thread starts with the value that `variable` has where it is started or submitted."""
    global _shared
    if _shared:
        return
    with _lock:
        if not _shared:
            _wrap_start(variable)
            _wrap_submit(variable)
            _shared = True


def _wrap_start(variable: ContextVar[Any]) -> None:
    start = threading.Thread.start

    @wraps(start)
    def start_with_transaction(self: threading.Thread) -> None:
        held = variable.get()
        # A thread of a pool outlives the transaction that happened to need one more, and serves others meanwhile.
        if held is not None and not _of_a_pool(self):
            run = _running(variable, held, self.run)

            def run_once() -> None:
                self.__dict__.pop("run", None)  # or thread and transaction would keep each other alive
                run()

            self.run = run_once  # type: ignore[method-assign]
        start(self)

    threading.Thread.start = start_with_transaction  # type: ignore[method-assign]


def _wrap_submit(variable: ContextVar[Any]) -> None:
    submit: Any = futures.ThreadPoolExecutor.submit

    @wraps(submit)
    def submit_with_transaction(
        self: futures.ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> futures.Future[Any]:
        held = variable.get()
        if held is not None:
            fn = _running(variable, held, fn)
        done: futures.Future[Any] = submit(self, fn, *args, **kwargs)
        return done

    futures.ThreadPoolExecutor.submit = submit_with_transaction  # type: ignore[assignment,method-assign]


def _running(variable: ContextVar[Any], held: object, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        before = variable.get()
        variable.set(held)
        try:
            return function(*args, **kwargs)
        finally:
            variable.set(before)

    return run


def _of_a_pool(thread: threading.Thread) -> bool:
    target = getattr(thread, "_target", None)
    homes = (getattr(target, "__module__", ""), type(thread).__module__)
    return any((home or "").startswith(_POOLS) for home in homes)
