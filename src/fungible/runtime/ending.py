"""How a start ends: signals, an operator's word, and what must not go on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

from fungible.app.model import WEB
from fungible.app.problem import Problem
from fungible.runtime.events import Bus, Event
from fungible.runtime.formation.formation import Formation
from fungible.runtime.ground.lost_database import NAME as DATABASE
from fungible.runtime.ground.lost_database import lost_database
from fungible.services.sqlite import FILE

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_SIGNAL = 0.3
"""Seconds within which a second signal counts as the first one, delivered twice."""


@contextlib.asynccontextmanager
async def cancelled_by_signals() -> AsyncIterator[None]:
    """Until the formation runs, a signal takes back what was begun: builds, services."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    asked = False

    def cancel() -> None:
        nonlocal asked
        asked = True
        task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, cancel)
    try:
        yield
    except asyncio.CancelledError:
        if asked:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


class Ending:
    """Turns signals, and what must not go on, into a stop of the formation."""

    def __init__(self, formation: Formation, bus: Bus[Event], services: Path) -> None:
        self._formation = formation
        self._bus = bus
        self._services = services
        self._asked = 0
        self._stopping: asyncio.Future[None] | None = None
        self._asked_at = 0.0
        self.problem: Problem | None = None
        bus.subscribe(self._heard)

    def interrupted(self) -> None:
        """First signal: retire everything; second: kill. Two at once are one: a terminal and `timeout` send both
        to us and to our group."""
        now = time.monotonic()
        if self._asked and now - self._asked_at < SAME_SIGNAL:
            return
        self._asked += 1
        self._asked_at = now
        if self._asked == 1 and self._stopping is None:
            self.asked_to_stop()
        else:
            self._bus.publish(Event("formation.killing", data={"processes": len(self._formation.processes)}))
            self._formation.kill()

    def asked_to_stop(self) -> None:
        """Retire everything, once."""
        if self._stopping is None:
            types = [process.type for process in self._formation.processes.values()]
            longest = max((t.stop_timeout + (t.drain_timeout if t.name == WEB else 0) for t in types), default=0)
            data = {"processes": len(types), "at_most_s": longest}
            self._bus.publish(Event("formation.stopping", data=data))
            self._stopping = asyncio.ensure_future(self._formation.stop())

    def _heard(self, event: Event) -> None:
        if event.kind == "process.database" and self.problem is None:
            release = self._formation.release
            text = lost_database(
                event.data["path"],
                event.process or "a process",
                environment=release.environment({}),
                embedded=release.services,
                would_be=self._services / DATABASE / FILE,
            )
            self.problem = Problem(text)
            self.asked_to_stop()
