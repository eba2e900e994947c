"""`fungible run`: one process, its services, its exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping

from fungible.app.model import App
from fungible.runtime.backing import attach_services
from fungible.runtime.folders import folders_for
from fungible.runtime.one_off import run_one_off
from fungible.runtime.stage import choose_isolation, load_config, prepare_draft

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


async def run_command(app: App, argv: tuple[str, ...], operating_system: Mapping[str, str]) -> int:
    """Run `argv` in the app's folder as it is now; returns its exit code, 128+N for a signal.

    Raises Problem for a failure of our own.
    """
    folders = folders_for(app.state_name, operating_system).make()
    isolation = await choose_isolation(app.settings.isolation, folders.processes)
    backing = await attach_services(app, folders, load_config(folders), operating_system)
    loop = asyncio.get_running_loop()

    def pass_signals_on(send: Callable[[int], None]) -> None:
        for number in _FORWARDED:
            loop.add_signal_handler(number, send, number)

    try:
        release, drop = await prepare_draft(app, folders, isolation, backing, operating_system)
        try:
            outcome = await run_one_off(argv, release, folders.processes, on_start=pass_signals_on)
        finally:
            drop()
    finally:
        await backing.stop()
    if outcome.wrote:
        more = f" and {outcome.count - len(outcome.wrote)} more" if outcome.count > len(outcome.wrote) else ""
        colour = "\x1b[2m{}\x1b[0m" if sys.stderr.isatty() and "NO_COLOR" not in os.environ else "{}"
        text = f"fungible: wrote: {', '.join(outcome.wrote)}{more} (thrown away)"
        sys.stderr.write(colour.format(text) + "\n")
    return outcome.code
