"""The time that calls may take in an event loop."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any


class Deadlines:
    """Ends calls that take longer than `seconds`, as `asyncio.timeout` does, with one timer for all of them: they
    have the same time, so that the oldest ends first.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._calls: dict[_Call, None] = {}  # in the order of their ends
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> _Call:
        """A call of the current task. It is cancelled at the deadline unless `end` comes first."""
        task = asyncio.current_task()
        assert task is not None, "the store is asked from a task"
        call = _Call(task, self._loop.time() + self._seconds)
        self._calls[call] = None
        if self._timer is None:
            self._arm(call.ends)
        return call

    def end(self, call: _Call) -> None:
        self._calls.pop(call, None)

    def _arm(self, ends: float) -> None:
        # In no request's context: it would be kept until the timer has gone off.
        self._timer = self._loop.call_at(ends, self._expire, context=contextvars.Context())

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        for call in list(self._calls):
            if call.ends > now:
                self._arm(call.ends)
                return
            del self._calls[call]
            call.expire()


class _Call:
    """One call under way; compared by identity."""

    __slots__ = ("_cancelling", "_expired", "_task", "ends")

    def __init__(self, task: asyncio.Task[Any], ends: float) -> None:
        self._task = task
        self._cancelling = task.cancelling()
        self._expired = False
        self.ends = ends

    def expire(self) -> None:
        self._expired = True
        self._task.cancel()

    def is_the_reason(self) -> bool:
        """Whether the task was cancelled for this deadline, and for nothing else; it goes on then."""
        return self._expired and self._task.uncancel() <= self._cancelling
