"""`fungible run`: one process, its services, its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from fungible.app.model import App, ProcessType
from fungible.app.terminal import takes_colour
from fungible.runtime.events import Event
from fungible.runtime.ground.backing import attach_services
from fungible.runtime.ground.folders import Folders, folders_for
from fungible.runtime.ground.session import Session
from fungible.runtime.ground.stage import choose_isolation, load_config, look_at, prepare_draft
from fungible.runtime.logs.console import lost, text_of
from fungible.runtime.process.limits import rlimits
from fungible.runtime.process.one_off import Outcome, run_one_off
from fungible.runtime.process.port import Ports
from fungible.runtime.upkeep import Upkeep

_FORWARDED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)


async def run_command(
    app: App, argv: tuple[str, ...], operating_system: Mapping[str, str], type: ProcessType | None = None
) -> int:
    """Run `argv` in the app's folder as it is now; returns its exit code, 128+N for a signal.

    With a `type` it is given what its processes are given: a port or a socket, and their limits. Beside a running
    formation it uses the services of that one. Raises Problem for a failure of our own.
    """
    folders = folders_for(app.state_name, operating_system).make()
    try:
        outcome = await _run(app, folders, argv, operating_system, type)
    finally:
        folders.leave()
    wrote = lost(outcome.wrote, outcome.count)
    if wrote is not None:
        colour = "\x1b[2m{}\x1b[0m" if takes_colour(sys.stderr.isatty()) else "{}"
        sys.stderr.write(colour.format(f"fungible: {wrote}") + "\n")
    return outcome.code


async def _run(
    app: App, folders: Folders, argv: tuple[str, ...], operating_system: Mapping[str, str], type: ProcessType | None
) -> Outcome:
    isolation = await choose_isolation(app.settings.isolation, folders.processes)
    loop = asyncio.get_running_loop()
    ports = Ports()

    def pass_signals_on(send: Callable[[int], None]) -> None:
        for number in _FORWARDED:
            loop.add_signal_handler(number, send, number)

    backing = await attach_services(app, folders, load_config(folders), operating_system, join=True)
    try:
        async with Upkeep(backing.services, _say):
            with Session(folders.processes) as processes:
                built = await _built(app, folders, processes, operating_system)
                release = prepare_draft(app, folders, processes, isolation, backing, operating_system, built)
                outcome = await run_one_off(
                    argv,
                    release,
                    processes,
                    name=f"{type.name if type else 'run'}.1",
                    on_start=pass_signals_on,
                    given={"PORT": str(ports.take())} if type and type.listen == "port" else None,
                    unix=type is not None and type.listen == "unix",
                    limits=rlimits(type) if type else None,
                )
            waiting = asyncio.ensure_future(backing.without_guests(_say_that_it_waits))
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(number, waiting.cancel)
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
        return outcome
    finally:
        ports.close()
        await backing.stop()


async def _built(app: App, folders: Folders, processes: Path, operating_system: Mapping[str, str]) -> Path | None:
    """The build of the folder as it is now, where there is one and the app has assets: its code may need them."""
    if not app.settings.assets.roots:
        return None
    from fungible.runtime.build.building import Builder  # an app without assets need not wait for this

    builder = Builder(folders, processes, operating_system, publish=lambda _: None)
    found = await builder.find(app, await asyncio.to_thread(look_at, app, folders))
    return found.build.content if found is not None else None


def _say(event: Event) -> None:
    sys.stderr.write(f"fungible: {text_of(event)}\n")


def _say_that_it_waits() -> None:
    sys.stderr.write("fungible: another `fungible run` uses these services: waiting for it (Ctrl-C stops them)\n")
