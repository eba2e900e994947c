"""`fungible start`: from an app to a formation that runs until a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from fungible.app.environment import mask, secrets_of
from fungible.app.model import WEB, App
from fungible.app.problem import Exit, Problem
from fungible.runtime.backing import Backing, attach_services
from fungible.runtime.console import Console
from fungible.runtime.events import Bus, Event
from fungible.runtime.folders import Folders, folders_for
from fungible.runtime.formation import Formation
from fungible.runtime.port import Ports
from fungible.runtime.release import Release
from fungible.runtime.router.model import RouterSettings
from fungible.runtime.router.router import Router
from fungible.runtime.stage import Lock, choose_isolation, prepare_release, reap_left_overs


@dataclass(frozen=True)
class Options:
    """What the command line says besides the app's own settings."""

    wanted: Mapping[str, int]
    host: str
    port: int
    as_json: bool


async def start(app: App, options: Options, operating_system: Mapping[str, str]) -> int:
    """Run the formation until SIGINT or SIGTERM; returns the exit code. Raises Problem before it has begun."""
    folders = folders_for(app.state_name, operating_system).make()
    lock = Lock(folders.state / "lock")
    bus = Bus()
    hide: list[str] = []
    stream = sys.stdout if options.as_json else sys.stderr
    console = Console(stream, as_json=options.as_json, mask=lambda text: mask(text, hide))
    bus.subscribe(console)
    try:
        return await _start(app, options, operating_system, folders, bus, console, hide)
    finally:
        console.close()
        lock.release()


async def _start(
    app: App,
    options: Options,
    operating_system: Mapping[str, str],
    folders: Folders,
    bus: Bus,
    console: Console,
    hide: list[str],
) -> int:
    def say(text: str) -> None:
        bus.publish(Event("notice", data={"text": text}))

    left = reap_left_overs(folders)
    if left:
        say(f"cleaned up {left} processes' folders that a killed supervisor had left")
    isolation = await choose_isolation(app.settings.isolation, folders.processes)
    say(isolation.sentence)
    backing = await attach_services(app, folders, {}, operating_system)
    try:
        hide.extend(secrets_of(backing.urls))
        release = await prepare_release(app, folders, isolation, backing, operating_system, say)
        hide[:] = secrets_of(release.environment({}))
        return await _run(app, options, folders, bus, console, release, backing)
    finally:
        await backing.stop()


async def _run(
    app: App, options: Options, folders: Folders, bus: Bus, console: Console, release: Release, backing: Backing
) -> int:
    settings = app.settings.router
    certificate = str(app.folder / settings.certificate) if settings.certificate else None
    router = Router(
        settings=RouterSettings(
            queue_timeout=settings.queue_timeout,
            request_timeout=settings.request_timeout,
            max_body=settings.max_body,
            certificate=certificate,
        ),
        folder=folders.run / "router",
        publish=bus.publish,
    )
    formation = Formation(
        app.types,
        options.wanted,
        release,
        router=router,
        bus=bus,
        ports=Ports(folders.run.parent / "ports"),
        processes=folders.processes,
        sockets=folders.run,
    )
    outcome = _Outcome(formation, bus)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, outcome.interrupted)
    has_web = WEB in app.types
    url = await router.start(options.host, options.port) if has_web else None
    announcing = asyncio.ensure_future(_announce(formation, url, options, console, bus))
    try:
        await formation.run()
    finally:
        announcing.cancel()
        if has_web:
            await router.stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    if outcome.problem is not None:
        raise outcome.problem
    return Exit.DONE


async def _announce(formation: Formation, url: str | None, options: Options, console: Console, bus: Bus) -> None:
    if url is None:
        return
    if options.wanted.get(WEB, 0):
        await formation.settled(WEB)
    bus.publish(Event("formation.url", data={"url": url}))
    if not options.as_json:
        print(url, flush=True)  # noqa: T201 - the first line on stdout is the URL alone


class _Outcome:
    """Turns signals, and what must not go on, into a stop of the formation."""

    def __init__(self, formation: Formation, bus: Bus) -> None:
        self._formation = formation
        self._asked = 0
        self._stopping: asyncio.Future[None] | None = None
        self.problem: Problem | None = None
        bus.subscribe(self._heard)

    def interrupted(self) -> None:
        """First signal: retire everything; second: kill."""
        self._asked += 1
        if self._asked == 1:
            self._stopping = asyncio.ensure_future(self._formation.stop())
        else:
            self._formation.kill()

    def _heard(self, event: Event) -> None:
        if event.kind == "process.database" and self.problem is None:
            self.problem = Problem(
                f"{event.data['path']}: {event.process} writes an SQLite database inside the app's folder, which is "
                'thrown away with every process; add DATABASE_URL = "sqlite" under [tool.fungible.services] (in a '
                "fungible.toml: [services]) and open the path that the config var DATABASE_URL then names"
            )
            self.interrupted()


def inherited_environment() -> dict[str, str]:
    """The operating system's environment, as processes inherit it."""
    return dict(os.environ)
