"""Which processes the router may choose: let in when they are ready, drained before they are told to stop."""

from __future__ import annotations

import asyncio
from typing import Protocol

from fungible.runtime.process.process import Process
from fungible.runtime.process.state import State
from fungible.runtime.router.model import Upstream

_POLITE = 5.0
"""Seconds that a process has, after its stop signal, to close its streams itself."""


class Routing(Protocol):
    """What the formation needs of a router."""

    async def add(self, upstream: Upstream) -> None: ...
    async def drain(self, instance: str) -> None: ...
    async def wait_idle(self, instance: str, timeout: float) -> bool: ...
    async def close_streams(self, instance: str) -> None: ...
    async def remove(self, instance: str) -> None: ...
    async def set_cause(self, cause: str) -> None: ...


class Chosen:
    """The processes that `router` knows. Every method may be called for one that it does not know."""

    def __init__(self, router: Routing) -> None:
        self._router = router
        self._known: set[str] = set()
        self._serving: set[str] = set()

    def may_be(self, process: Process) -> bool:
        """Whether it is given requests."""
        return process.instance in self._serving

    async def admit(self, process: Process) -> None:
        """Give it requests from now on, unless it has ended meanwhile."""
        if process.place.address is None:
            return
        self._known.add(process.instance)
        await self._router.add(
            Upstream(
                process.name,
                process.instance,
                process.release.name,
                process.place.address,
                process.type.max_in_flight,
            )
        )
        if process.state not in (State.READY, State.DRAINING):
            self._known.discard(process.instance)
            await self._router.remove(process.instance)
            return
        self._serving.add(process.instance)

    async def drain(self, process: Process) -> None:
        """Give it nothing more and wait until it has answered what it was given, at most its drain time."""
        if process.instance not in self._known:
            return
        self._serving.discard(process.instance)
        await self._router.drain(process.instance)
        if not await self._router.wait_idle(process.instance, process.type.drain_timeout):
            process.tell("process.drain_timeout", after_s=process.type.drain_timeout)

    async def cut_streams(self, process: Process) -> None:
        """Close the streams that it has not closed itself some time after its stop signal."""
        await asyncio.sleep(min(_POLITE, process.type.stop_timeout / 2))
        if process.instance in self._known:
            await self._router.close_streams(process.instance)

    async def dismiss(self, process: Process) -> None:
        """The router forgets it."""
        self._serving.discard(process.instance)
        if process.instance in self._known:
            self._known.discard(process.instance)
            await self._router.remove(process.instance)

    def forget(self, process: Process) -> None:
        """It has ended."""
        self._serving.discard(process.instance)
