"""What runs is watched: the memory of types that have a bound, the requests of those that may have so many."""

from __future__ import annotations

import asyncio
import contextlib
import math

from fungible.app.model import WEB, ProcessType
from fungible.runtime.events import Bus, Event
from fungible.runtime.formation.formation import Formation
from fungible.runtime.process.memory import memory_of
from fungible.runtime.process.process import Process
from fungible.runtime.router.access_log import Requests

_MEMORY_EVERY = 2.0
"""Seconds between looks at the memory of types that have a bound."""
_JITTER = 0.1


class Watching:
    """Watches `formation` while it is used as a context; has replaced, or ends, what is beyond its bounds.

    With `shake` every web process is replaced after each request that it answered, and killed instead of asked to
    stop: what it kept is gone before the same client comes back.
    """

    def __init__(
        self, formation: Formation, bus: Bus[Event], requests: Bus[Requests], *, shake: bool = False
    ) -> None:
        self._formation = formation
        self._bus = bus
        self._requests = requests
        self._shake = shake
        self._left: dict[str, int] = {}
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Watching:
        self._unsubscribe = (self._bus.subscribe(self._heard), self._requests.subscribe(self._count))
        self._looking = asyncio.ensure_future(self._look_at_memory())
        return self

    async def __aexit__(self, *_: object) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    def _heard(self, event: Event) -> None:
        if event.instance is None:
            return
        if event.kind == "process.ended":
            self._left.pop(event.instance, None)
        elif event.kind == "process.stopping" and self._shake:
            self._kill(event.instance)

    def _count(self, requests: Requests) -> None:
        for outcome, count in requests.outcomes:
            process = outcome.upstream and self._formation.processes.get(outcome.upstream.instance)
            most = 0 if not process else 1 if self._shake else process.type.max_requests
            if not process or most == 0:
                continue
            left = self._left.setdefault(process.instance, self._share(most))
            self._left[process.instance] = left - count
            if left - count <= 0 < left:
                self._formation.wear([process.instance])

    def _share(self, most: int) -> int:
        return math.ceil(most * (1 - _JITTER * self._formation.chance()))

    def _kill(self, instance: str) -> None:
        process = self._formation.processes.get(instance)
        if process is not None and process.retired and process.type.name == WEB:
            process.kill()

    async def _look_at_memory(self) -> None:
        """Also of those that the kernel holds: it may have killed a part of one, which does not end the rest."""
        while True:
            await asyncio.sleep(_MEMORY_EVERY)
            for process in tuple(self._formation.processes.values()):
                if process.type.memory is not None:
                    await self._weigh(process, process.type)

    async def _weigh(self, process: Process, type: ProcessType) -> None:
        facts = process.facts
        if type.memory is None or facts.pid is None or facts.status is not None or facts.cause:
            return
        bounds = process.bounds
        if bounds is not None and bounds.holds_memory:
            used = (bounds.most_memory() or type.memory + 1) if bounds.ran_out_of_memory() else 0
        else:
            used = await asyncio.to_thread(memory_of, facts.pid)
        if used > type.memory and facts.status is None:
            facts.cause = "memory"
            process.tell("process.memory", used_bytes=used, allowed_bytes=type.memory)
            process.kill()
