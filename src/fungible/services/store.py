"""The words of this floor: a backing service, the folders it brings along, and a store that can be put back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
"""One row of a store: column (or facet) name -> JSON-ready value."""

Dump = Mapping[str, Sequence[Row]]
"""A store's whole content: `table users`, `key cart:7` or `file a.png` -> its rows, in a stable order."""


@dataclass(frozen=True)
class Mount:
    """A real folder (`source`) and the path at which processes see it, read-write (`target`).

    Outside verify the two are equal. Worlds have a source of their own and share the target, so that a path
    which an app answers or stores is no difference between worlds.
    """

    source: Path
    target: Path


@dataclass(frozen=True)
class Snapshot:
    """The content of a store at one moment, to be given back to the store that made it, any number of times.

    `store` is the config var of that store; `content` is the store's own affair.
    """

    store: str
    content: object


class Service(ABC):
    """A backing service: an attached resource, named by a URL in a config var.

    `name` is the config var (`DATABASE_URL`), `kind` one of `KINDS` or, for a URL set elsewhere, what its
    scheme says.
    """

    name: str
    kind: str

    @property
    @abstractmethod
    def url(self) -> str:
        """The value of the config var. A server's is known once `start` has returned."""

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """What a sandbox binds read-write for this service; empty for servers."""
        return ()

    @property
    def attached(self) -> tuple[Path, ...]:
        """The folders, as processes see them, that are read-write in a sandbox: the targets of `mounts`."""
        return tuple(mount.target for mount in self.mounts)

    @abstractmethod
    async def start(self) -> None:
        """Make the service usable; returns when it answers.

        Raises `Problem` in one sentence: a missing binary, data that cannot be read, a folder in use.
        """

    @abstractmethod
    async def stop(self) -> None:
        """End what `start` began, keeping the data; a clone made for a world deletes it. Safe to repeat."""


class Store(Service):
    """A service whose content can be taken, put back and read out: what verify needs.

    None of these may run while a process of a world still uses the store; left-over connections are cut.
    """

    @abstractmethod
    async def snapshot(self) -> Snapshot:
        """Keep the content as it is now."""

    @abstractmethod
    async def restore(self, snapshot: Snapshot) -> None:
        """Put the content back. Times to live start again from what was left at the snapshot."""

    @abstractmethod
    async def dump(self) -> Dump:
        """The content as JSON-ready values, in an order that the same history repeats."""

    async def skew(self, offset: int) -> None:
        """Move every sequence of ids on by `offset` (>= 0), so that ids of two worlds never agree by luck.

        Does nothing where the store counts no ids of its own.
        """
