"""Development: a change of the app's folder makes a release and rolls it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from pathlib import Path

from fungible.app.problem import Problem
from fungible.build.seal import fingerprint
from fungible.runtime.operations import Abandoned, Operations

_LOOK_EVERY = 0.2
"""Seconds between two looks at a small folder."""
_SHARE = 10
"""Of the time, at most one part in so many goes into looking."""
_STILL = 0.04
"""Seconds in which nothing may change before it is taken as finished: editors write in steps."""


async def release_on_change(
    folder: Path, without: Collection[Path], operations: Operations, say: Callable[[str], None]
) -> None:
    """Until it is cancelled: look at `folder`, without the folders `without`, and release what has changed.

    A change during a roll gives that one up. What goes wrong is said, and looked past.
    """

    async def look() -> str:
        try:
            return await asyncio.to_thread(fingerprint, folder, without=without)
        except OSError:
            return ""  # it changed while we looked

    releasing: set[asyncio.Task[None]] = set()
    seen = await look()
    while True:
        begin = time.monotonic()
        found = await look()
        if found in (seen, ""):
            await asyncio.sleep(max(_LOOK_EVERY, (time.monotonic() - begin) * _SHARE))
            continue
        while True:
            await asyncio.sleep(_STILL)
            again = await look()
            if again == found:
                break
            found = again
        seen = found
        task = asyncio.ensure_future(_release(operations, say))
        releasing.add(task)
        task.add_done_callback(releasing.discard)


async def _release(operations: Operations, say: Callable[[str], None]) -> None:
    try:
        await operations.release(supersede=True)
    except Problem as problem:
        if not (isinstance(problem, Abandoned) and problem.told):
            say(problem.message)
