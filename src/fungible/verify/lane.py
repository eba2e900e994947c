"""A lane: backing services of its own, put back before each world; lanes run worlds side by side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fungible.runtime.backing import sandbox_mounts
from fungible.sandbox.spec import Mount
from fungible.services.external import ExternalService
from fungible.services.store import Service, Snapshot, Store
from fungible.verify.transcript import Dump

SKEW = 1000
"""Sequences of world k start k times this later, so that ids of two worlds never agree by luck."""


@dataclass
class Lane:
    """Stores for one world at a time. `reset` replaces snapshots where the user gave commands for it."""

    number: int
    services: tuple[Service, ...]
    snapshots: Mapping[str, Snapshot]
    reset: Callable[[], Awaitable[None]] | None = None

    @property
    def urls(self) -> dict[str, str]:
        """Config vars that name this lane's stores."""
        return {each.name: each.url for each in self.services if not isinstance(each, ExternalService)}

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """Folders that shine through, this lane's own behind the path that all lanes share."""
        return sandbox_mounts(self.services)

    async def prepare(self, world: int) -> None:
        """Put every store back to where all worlds begin, ids aside."""
        for store in self._stores():
            if store.name in self.snapshots:
                await store.restore(self.snapshots[store.name])
        if self.reset is not None:
            await self.reset()
        for store in self._stores():
            await store.skew(SKEW * (world % 1000))

    async def dumps(self) -> dict[str, Dump]:
        """What is in the stores, by name."""
        return {store.name: await store.dump() for store in self._stores()}

    def _stores(self) -> list[Store]:
        return [service for service in self.services if isinstance(service, Store)]


async def make_lane(
    number: int, services: tuple[Service, ...], reset: Callable[[], Awaitable[None]] | None = None
) -> Lane:
    """Take the snapshots that every world of this lane starts from."""
    snapshots = {each.name: await each.snapshot() for each in services if isinstance(each, Store)}
    return Lane(number, services, snapshots, reset)
