"""A lane: backing services of its own, put back before each world; lanes run worlds side by side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fungible.runtime.ground.backing import sandbox_mounts
from fungible.sandbox.spec import Mount
from fungible.services.external import ExternalService
from fungible.services.store import Service, Snapshot, Store
from fungible.verify.transcript import Dump

SKEW = 1000
"""Sequences of world k start k times this later, so that ids of two worlds never agree by luck."""


@dataclass
class Lane:
    """Stores for one world at a time. `reset` replaces snapshots where the user gave commands for it.

    `snapshots` are by what makes the processes, then by store: an app that is imported once for all worlds (`fork`)
    has done to the stores then what one that every process imports (`boot`) does in every world. `variables` are the
    config vars that name the stores; None: each store's name and URL.
    """

    number: int
    services: tuple[Service, ...]
    snapshots: dict[str, Mapping[str, Snapshot]]
    reset: Callable[[], Awaitable[None]] | None = None
    variables: Mapping[str, str] | None = None

    @property
    def urls(self) -> dict[str, str]:
        """Config vars that name this lane's stores."""
        if self.variables is not None:
            return dict(self.variables)
        return {each.name: each.url for each in self.services if not isinstance(each, ExternalService)}

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """Folders that shine through, this lane's own behind the path that all lanes share."""
        return sandbox_mounts(self.services)

    async def prepare(self, world: int, instrument: str = "boot") -> None:
        """Put every store back to where all worlds of an instrument begin, ids aside."""
        kept = self.snapshots.get(instrument, self.snapshots["boot"])
        for store in self._stores():
            if store.name in kept:
                await store.restore(kept[store.name])
        if self.reset is not None:
            await self.reset()
        for store in self._stores():
            await store.skew(SKEW * (world % 1000))

    async def keep(self, instrument: str) -> None:
        """Take the stores as they are now for the beginning of all worlds of an instrument."""
        self.snapshots[instrument] = {store.name: await store.snapshot() for store in self._stores()}

    async def dumps(self) -> dict[str, Dump]:
        """What is in the stores, by name."""
        return {store.name: await store.dump() for store in self._stores()}

    def _stores(self) -> list[Store]:
        return [service for service in self.services if isinstance(service, Store)]


async def make_lane(
    number: int,
    services: tuple[Service, ...],
    reset: Callable[[], Awaitable[None]] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Lane:
    """A lane whose worlds start from what is in the stores now."""
    lane = Lane(number, services, {}, reset, variables)
    await lane.keep("boot")
    return lane
