"""A slot: a place in a world where a process of the app runs, and how one comes to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fungible.sandbox.spec import Mount


@dataclass(frozen=True)
class Site:
    """What a slot has of its own: all that may legally differ between two hosts of the same release.

    `folder` is the path at which the app sees itself, `content` the sealed code under it; `private` a folder on
    the host that must not exist yet. `environment` is complete but for PORT. `mounts` are the attached folders of
    this world's stores. `port` is given where it must be the same as another slot's; without `wipe` the
    private folder outlives the slot, for the next one with the same disk. Where there are two of what slots are made
    from, the parity of `number` and `turn` says which is taken.
    """

    number: int
    folder: Path
    content: Path
    private: Path
    host_name: str
    hash_seed: int
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...] = ()
    port: int | None = None
    wipe: bool = True
    turn: int = 0


@dataclass(frozen=True)
class Ended:
    """How a slot's process ended. `wrote` are the paths in the app's folder that it wrote, `layer` the kept
    upper folder where one was asked for. `status` is the exit code or minus the signal."""

    status: int | None
    wrote: tuple[str, ...] = ()
    output: str = ""


class Slot(Protocol):
    """A running process that answers HTTP at `address` (`127.0.0.1:PORT` or `unix@PATH`)."""

    @property
    def address(self) -> str:
        """Where it listens."""

    @property
    def pid(self) -> int:
        """The host's pid of its command."""

    def servers(self) -> int:
        """How many processes of it serve, counted now; 1 where that cannot be otherwise."""

    def serving(self) -> frozenset[int]:
        """The host's pids of the processes in it that serve."""

    def one_at_a_time(self) -> bool:
        """Whether it surely has nothing under way when it accepts a connection: one thread and no other process."""

    async def end(self, number: int) -> Ended:
        """Send signal `number` (SIGTERM or SIGKILL) and wait until nothing of it is left."""


class BootFailure(Exception):
    """A slot's process ended, or did not listen in time, before its first answer; `output` is what it said."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class Birth(Protocol):
    """Makes slots: by booting the type's command, or by forking a process that has imported the app."""

    async def bear(self, site: Site) -> Slot:
        """A slot whose process did not exist before and listens now. Raises BootFailure."""
