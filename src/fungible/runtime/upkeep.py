"""Embedded servers are kept alive: one that ends is told, and started again at the address that processes have."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from types import TracebackType
from typing import Any

from fungible.app.problem import Problem
from fungible.runtime.events import Event
from fungible.runtime.formation.plan import Streak, after_crash
from fungible.runtime.formation.standing import describe_status
from fungible.services.server import EmbeddedServer
from fungible.services.store import Service

LONGEST_DELAY = 15.0
"""Seconds: every request may need the service, so that what has been mended is noticed sooner than a process."""
_TOLD_AGAIN = 60.0
"""Seconds between two events of a service that cannot be started."""


class ServiceState(Enum):
    """Where an embedded server is in its life. `READY`: it answered after its last start."""

    READY = "ready"
    STARTING = "starting"
    RESTING = "resting"  # it ends, or fails to start, again and again: it waits for its next start


@dataclass(frozen=True)
class Standing:
    """What is known of an embedded server now; times are the clock's seconds.

    `restarts` counts the starts after an end that nobody asked for, `last_end` says how it came (`signal 9`).
    `failure` is why the last attempt to start it again failed, None once it is ready.
    """

    name: str
    kind: str
    pid: int | None
    state: ServiceState
    since: float
    restarts: int = 0
    last_end: str | None = None
    failure: str | None = None
    next_start: float | None = None


class Upkeep:
    """Keeps the embedded servers among `services`, which are started, alive while it is used as a context.

    `publish` gets `service.ended`, `service.ready` when one serves again, and `service.failed` when it cannot be
    started: the first time, and each minute while that lasts. In the main thread: servers end with the one that
    starts them. Afterwards no start is under way, and what is to be stopped is the services' own affair.
    """

    def __init__(
        self,
        services: Iterable[Service],
        publish: Callable[[Event], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.clock = clock
        servers = [service for service in services if isinstance(service, EmbeddedServer)]
        self._keepers = [_Keeper(server, publish, clock, chance) for server in servers]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def standings(self) -> list[Standing]:
        """Each server as it is now, in the order declared."""
        return [keeper.standing for keeper in self._keepers]

    async def __aenter__(self) -> Upkeep:
        self._tasks = [asyncio.create_task(keeper.keep(), name="upkeep") for keeper in self._keepers]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Keeper:
    """Keeps one server alive; the only writer of its `standing`."""

    def __init__(
        self,
        server: EmbeddedServer,
        publish: Callable[[Event], None],
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._server = server
        self._publish = publish
        self._clock = clock
        self._chance = chance
        self._streak: Streak | None = None
        self.standing = Standing(server.name, server.kind, server.pid, ServiceState.READY, clock())

    async def keep(self) -> None:
        """Until it is cancelled."""
        while True:
            end = await self._server.ended()
            now = self._clock()
            uptime = now - self.standing.since
            self._turn(ServiceState.STARTING, now, pid=None, last_end=describe_status(end.status))
            self._crashed(uptime)
            told = {"pid": end.pid, "status": end.status, "said": end.said, "uptime_s": round(uptime, 3)}
            self._tell("ended", **told, delay_s=round(self._delay, 1))
            await self._start_again(now)

    async def _start_again(self, ended_at: float) -> None:
        told_at = -math.inf
        while True:
            await self._rest()
            try:
                await self._server.start_again()
                break
            except Exception as error:  # an error of ours is no reason to give a service up
                self._crashed(0.0)
                said = error.message if isinstance(error, Problem) else f"{self._server.name}: {_words(error)}"
                self._turn(ServiceState.RESTING, self._clock(), failure=said)
                if self._clock() - told_at >= _TOLD_AGAIN:
                    told_at = self._clock()
                    self._tell("failed", error=said, delay_s=round(self._delay, 1))
        now, restarts = self._clock(), self.standing.restarts + 1
        self._turn(ServiceState.READY, now, pid=self._server.pid, restarts=restarts, failure=None)
        after = round(now - ended_at, 3)
        self._tell("ready", pid=self._server.pid, after_s=after, restarts=restarts, data=self._server.brought_back())

    async def _rest(self) -> None:
        if self._delay > 0 and self._streak is not None:
            self._turn(ServiceState.RESTING, self._clock(), next_start=self._streak.until)
            await asyncio.sleep(self._delay)
            self._turn(ServiceState.STARTING, self._clock(), next_start=None)

    @property
    def _delay(self) -> float:
        return 0.0 if self._streak is None else max(0.0, self._streak.until - self._clock())

    def _crashed(self, uptime: float) -> None:
        self._streak = after_crash(self._streak, uptime, self._clock(), self._chance(), longest=LONGEST_DELAY)

    def _turn(self, state: ServiceState, now: float, **change: Any) -> None:
        since = self.standing.since if state is self.standing.state else now
        self.standing = replace(self.standing, state=state, since=since, **change)

    def _tell(self, what: str, **data: Any) -> None:
        head = {"service": self._server.name, "kind": self._server.kind}
        self._publish(Event(f"service.{what}", data=head | data))


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename2 or error.filename})" if error.filename else ""
        return f"it cannot be started: {error.strerror}{where}"
    return f"it cannot be started: {error!r}"
