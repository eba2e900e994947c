"""The least of several suspects that still matters, by halves; experiments run side by side where they can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

Suspect = TypeVar("Suspect")


async def first_of(
    groups: Sequence[Sequence[Suspect]], matters: Callable[[Sequence[Suspect]], Awaitable[bool]]
) -> Sequence[Suspect] | None:
    """The first group that matters, all of them asked about at the same time; None where none does."""
    answers = await asyncio.gather(*map(matters, groups))
    return next((group for group, answer in zip(groups, answers, strict=True) if answer), None)


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
    if len(found) == 1:
        return found if await matters(found) else None
    answer = await first_of([found[:1]] if together else [found[:1], found], matters)
    if answer is None and not together:
        return None
    if answer is not None and len(answer) == 1:
        return list(answer)
    return await halved(found, matters, goes_on)


async def halved(
    found: Sequence[Suspect],
    matters: Callable[[Sequence[Suspect]], Awaitable[bool]],
    goes_on: Callable[[], bool],
) -> list[Suspect]:
    """Of several suspects, known to matter together, the smallest half of halves that still does, while `goes_on`
    allows it."""
    left = list(found)
    while len(left) > 1 and goes_on():
        middle = len(left) // 2
        half = await first_of((left[:middle], left[middle:]), matters)
        if half is None:
            break
        left = list(half)
    return left


async def without_the_needless(
    found: Sequence[Suspect],
    matters: Callable[[Sequence[Suspect]], Awaitable[bool]],
    goes_on: Callable[[], bool],
) -> tuple[list[Suspect], bool]:
    """Those of several suspects, known to matter together, without whom the others do not matter, and whether that
    is known of each of them: what is not needed is left out chunk by chunk, then one by one, two tries side by side,
    while `goes_on` allows it."""
    needed = list(found)
    size = max(1, len(needed) // 2)
    while len(needed) > 1:
        rests = [rest for at in range(0, len(needed), size) if (rest := needed[:at] + needed[at + size :])]
        for number in range(0, len(rests), 2):
            if not goes_on():
                return needed, False
            smaller = await first_of(rests[number : number + 2], matters)
            if smaller is not None:
                needed = list(smaller)
                break
        else:
            if size == 1:
                break
            size = max(1, size // 2)
    return needed, True
