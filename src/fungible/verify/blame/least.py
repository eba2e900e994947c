"""The least of several suspects that still matters, by halves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

Suspect = TypeVar("Suspect")


async def least(
    suspects: Sequence[Suspect],
    matters: Callable[[Sequence[Suspect]], Awaitable[bool]],
    goes_on: Callable[[], bool],
    *,
    together: bool = False,
) -> list[Suspect] | None:
    """The first alone, then all, then halves, while `goes_on` allows it; None where all together do not matter.

    `together` says that all are known to matter together.
    """
    found = list(suspects)
    if together and len(found) == 1:
        return found
    if await matters(found[:1]):
        return found[:1]
    if len(found) == 1 or not (together or await matters(found)):
        return None
    while len(found) > 1 and goes_on():
        middle = len(found) // 2
        for half in (found[:middle], found[middle:]):
            if await matters(half):
                found = half
                break
        else:
            break
    return found
