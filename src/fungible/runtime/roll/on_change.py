"""Development: a change of the app's folder makes a release and rolls it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import time
from collections.abc import Callable, Collection
from pathlib import Path

from fungible.app.problem import Problem
from fungible.build.seal import fingerprint
from fungible.runtime.roll.operations import Abandoned, Operations

_LOOK_EVERY = 0.1
"""Seconds between two looks at a small folder."""
_SHARE = 10
"""Of the time, at most one part in so many goes into looking."""
_STILL = 0.04
"""Seconds in which nothing may change before it is taken as finished: editors write in steps."""


async def release_on_change(
    folder: Path, without: Collection[Path], operations: Operations, say: Callable[[str], None]
) -> None:
    """Until it is cancelled, or the formation stops: look at `folder`, without the files and folders `without` and
    what we write ourselves, and release what has changed.

    A change during a roll gives that one up. What goes wrong is said, and looked past.
    """

    left_out = (*without, *_own_output())

    async def look() -> str:
        try:
            return await asyncio.to_thread(fingerprint, folder, without=left_out)
        except OSError:
            return ""  # it changed while we looked

    releasing: set[asyncio.Task[None]] = set()
    seen = await look()
    while not operations.stopping:
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


def _own_output() -> list[Path]:
    """The files that our output goes to: a log in the app's folder would make a release of every line."""
    found = []
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                found.append(Path(f"/proc/self/fd/{descriptor}").resolve())
    return found


async def _release(operations: Operations, say: Callable[[str], None]) -> None:
    try:
        await operations.release(supersede=True)
    except Problem as problem:
        if not operations.stopping and not (isinstance(problem, Abandoned) and problem.told):
            say(problem.message)
