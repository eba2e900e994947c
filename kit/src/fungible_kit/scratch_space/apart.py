"""Long work beside an event loop: in a thread of its own, and ended before a cancellation goes on."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def stoppable(work: Callable[[], T], stop: Callable[[], object]) -> T:
    """`work` in a thread of its own. A cancellation calls `stop` and waits: nobody may write while we wipe."""
    running = asyncio.ensure_future(apart(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop()
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        running.cancelled() or running.exception()  # seen: nobody else will
        raise


def apart(work: Callable[[], T]) -> Awaitable[T]:
    """`work` in a new thread with this context. Not in the loop's pool: a few long downloads would fill it."""
    done: Future[T] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            done.set_result(context.run(work))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="fungible-scratch", daemon=True).start()
    return asyncio.wrap_future(done)
