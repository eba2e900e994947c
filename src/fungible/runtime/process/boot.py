"""What is found out about a process while it boots: why it does not, where it listens, how many servers it hides."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

from fungible.app.model import ProcessType
from fungible.runtime.process.listeners import count_servers, listening_at
from fungible.runtime.process.place import Facts, Place

_AT_ONCE = 10.0
"""A command that ends within these seconds may not have started at all."""
_LOOK, _LOOKS, _LATER_LOOK = 0.4, 10, 2.0
"""Seconds between looks at where a process listens that is not ready: the first looks, how many, and all later."""
_COUNTED_AFTER = (0.5, 2.0, 10.0)
"""Pauses, in seconds, before each count of a ready process's servers."""


def cannot_start(type: ProcessType, place: Place, facts: Facts) -> str | None:
    """One sentence where the shell said that there is no such program (POSIX sh: 126, 127), else None."""
    served = place.address is not None and facts.ready_at is not None
    at_once = facts.ended_at is not None and facts.ended_at - facts.born_at < _AT_ONCE
    if facts.status in (126, 127) and at_once and not served:
        what = "cannot be executed" if facts.status == 126 else "is not found on the PATH"
        where = f" (Procfile line {type.line})" if type.line else ""
        mend = "mend it" if facts.status == 126 else "mend it, or activate the environment that has it"
        return f"a program of `{type.command}`{where} {what}; {mend}, and start again"
    return None


def elsewhere(pid: int | None, place: Place) -> list[str] | None:
    """Where the command `pid` listens instead of at its `place`; None where it does not, or listens there as well."""
    found = listening_at(pid) if pid is not None else []
    if f"port {place.port}" in found or str(place.socket) in found:
        return None
    # What it has in its private folder is for itself (gunicorn's control socket).
    return [at for at in found if not at.startswith(f"{place.private}/")] or None


async def listens_elsewhere(pid: int | None, place: Place) -> list[str]:
    """Look again and again until the command `pid` listens elsewhere than at its `place`, and there alone.

    Servers may open a second port first: so it must be seen twice.
    """
    seen = None
    for look in itertools.count():
        await asyncio.sleep(_LOOK if look < _LOOKS else _LATER_LOOK)
        found = await asyncio.to_thread(elsewhere, pid, place)
        if found is not None and found == seen:
            return found
        seen = found
    raise AssertionError("counting has an end")


async def count_servers_of(pid: int | None, place: Place, exited: asyncio.Event) -> int | None:
    """How many processes serve at `place`; None once it has `exited`.

    Servers fork their workers after they listen, some only when they are needed: so look more than once.
    """
    socket = str(place.socket) if place.socket else None
    found = None
    for pause in _COUNTED_AFTER:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(exited.wait(), pause)
        if exited.is_set() or pid is None:
            return found
        found = count_servers(pid, place.port, socket)
        if found > 1:
            return found
    return found
