"""That the formation serves, and where: said once its first web processes have settled."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from fungible.app.model import WEB
from fungible.runtime.events import Bus, Event
from fungible.runtime.formation.formation import Formation
from fungible.runtime.formation.standing import Settled
from fungible.services.place import write_private

_ELSEWHERE = 5.0
"""Seconds after its start from which a process that listens elsewhere counts as failed."""


async def settled(formation: Formation, type: str) -> Settled:
    """Wait until every process of the first formation of `type` can be chosen or has failed once.

    One that listens elsewhere has failed when it still does after some time: servers may open a second port first.
    """
    while not formation.stopping:
        processes = [process for process in formation.processes.values() if process.type.name == type]
        young = formation.clock() - _ELSEWHERE
        ready = {process.number for process in processes if formation.is_up(process)}
        hoped_for = {each.number for each in processes if each.facts.listens_on and each.facts.born_at > young}
        failed = formation.boots.failed(type).keys() - ready - hoped_for
        if len(ready) + len(failed) >= formation.wanted.get(type, 0):
            return Settled(len(ready), len(failed))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(formation.moved(), 1.0 if hoped_for else None)
    return Settled(0, 0)


async def announce(formation: Formation, url: str, wanted: int, bus: Bus[Event], note: Path, *, aloud: bool) -> None:
    """Tell `url` on the bus and in the file `note` once the `wanted` web processes have settled; `aloud`, its line is
    the first on stdout."""
    if wanted:
        found = await settled(formation, WEB)
        if formation.stopping:
            return
        if found.failed and not found.ready:
            text = f"no web process is ready: until one is, {url} answers 503"
            bus.publish(Event("notice", data={"text": text}))
    write_private(note, f"{url}\n")
    bus.publish(Event("formation.url", data={"url": url}))
    if aloud:
        print(url, flush=True)  # noqa: T201 - the first line on stdout is the URL alone
