"""What holds a process to its share of the machine, as far as processes and formations care."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fungible.app.model import ProcessType


class Bounds(Protocol):
    """What holds a process to its share of the machine (see `control_group`)."""

    @property
    def holds_memory(self) -> bool:
        """Whether its memory is among what is held."""

    @property
    def folders(self) -> tuple[str, ...]:
        """The control groups that it is to be born into (see `sandbox.spec.Spec`)."""

    def ran_out_of_memory(self) -> bool:
        """Whether anything in it was killed for want of memory."""

    def most_memory(self) -> int | None:
        """The most bytes that were in use in it, None where nobody knows."""

    def let_go(self) -> None:
        """Nothing is in it any more."""


Bind = Callable[[ProcessType, str], "Bounds | None"]
"""Makes what holds a process of a type, by its instance."""


def unbound(type: ProcessType, instance: str) -> Bounds | None:
    """Holds it to nothing."""
    return None
