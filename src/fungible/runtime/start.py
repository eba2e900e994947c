"""`fungible start`: from an app to a formation that runs until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.app.environment import mask, secrets_of
from fungible.app.model import WEB, App
from fungible.app.problem import Exit, Problem
from fungible.app.wording import nearest
from fungible.runtime.backing import Backing, attach_services
from fungible.runtime.console import Console
from fungible.runtime.events import Bus, Event
from fungible.runtime.folders import Folders, folders_for
from fungible.runtime.formation import Formation
from fungible.runtime.port import Ports
from fungible.runtime.release import Release
from fungible.runtime.router.model import RouterSettings
from fungible.runtime.router.router import Router
from fungible.runtime.session import Session
from fungible.runtime.stage import Lock, choose_isolation, clear_run, load_config, prepare_release, reap_left_overs
from fungible.services.place import write_private

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_SIGNAL = 0.3
"""Seconds within which a second signal counts as the first one, delivered twice."""


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
        async with _cancelled_by_signals():
            left = reap_left_overs(folders)
            folders.make()
            if left:
                bus.publish(_notice(f"cleaned up after {left} processes that a killed supervisor had left"))
            with Session(folders.processes) as processes:
                return await _start(app, options, operating_system, _Ground(folders, processes, bus), hide)
    finally:
        clear_run(folders)
        console.close()
        lock.release()


@dataclass(frozen=True)
class _Ground:
    """The app's folders, where this supervisor's processes live, and the bus."""

    folders: Folders
    processes: Path
    bus: Bus

    def say(self, text: str) -> None:
        self.bus.publish(_notice(text))


def _notice(text: str) -> Event:
    return Event("notice", data={"text": text})


@contextlib.asynccontextmanager
async def _cancelled_by_signals() -> AsyncIterator[None]:
    """Until the formation runs, a signal takes back what was begun: builds, services."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    asked = False

    def cancel() -> None:
        nonlocal asked
        asked = True
        task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, cancel)
    try:
        yield
    except asyncio.CancelledError:
        if asked:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _start(
    app: App, options: Options, operating_system: Mapping[str, str], ground: _Ground, hide: list[str]
) -> int:
    folders = ground.folders
    isolation = await choose_isolation(app.settings.isolation, folders.processes)
    ground.say(isolation.sentence)
    for type in app.types.values():
        if type.cpu is not None:
            ground.say(f"types.{type.name}.cpu is not enforced on this machine; an engine that can is needed")
    backing = await attach_services(app, folders, load_config(folders), operating_system)
    try:
        hide.extend(secrets_of(backing.urls))
        release = await prepare_release(
            app, folders, ground.processes, isolation, backing, operating_system, ground.say
        )
        hide[:] = secrets_of(release.environment({}))
        return await _run(app, options, ground, release, backing)
    finally:
        await backing.stop()


async def _run(app: App, options: Options, ground: _Ground, release: Release, backing: Backing) -> int:
    settings = app.settings.router
    folders, bus = ground.folders, ground.bus
    ports = Ports(folders.run.parent / "ports")
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
        ports=ports,
        processes=ground.processes,
        sockets=folders.run,
    )
    outcome = _Outcome(formation, bus)
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, outcome.interrupted)
    has_web = WEB in app.types
    if not has_web:
        misspelt = next((name for name in app.types if nearest(WEB, [name])), None)
        hint = f" (is `{misspelt}` meant to be it?)" if misspelt else ""
        text = f"no process type is called `web`, so nothing gets requests{hint}"
        bus.publish(Event("notice", data={"text": text}))
    url = await router.start(options.host, options.port) if has_web else None
    announcing = asyncio.ensure_future(_announce(formation, url, options, bus, folders.run / "url"))
    try:
        await formation.run()
    finally:
        announcing.cancel()
        if has_web:
            await router.stop()
        ports.close()
    if outcome.problem is not None:
        raise outcome.problem
    return Exit.DONE


async def _announce(formation: Formation, url: str | None, options: Options, bus: Bus, note: Path) -> None:
    if url is None:
        return
    if options.wanted.get(WEB, 0):
        await formation.settled(WEB)
    write_private(note, f"{url}\n")
    bus.publish(Event("formation.url", data={"url": url}))
    if not options.as_json:
        print(url, flush=True)  # noqa: T201 - the first line on stdout is the URL alone


class _Outcome:
    """Turns signals, and what must not go on, into a stop of the formation."""

    def __init__(self, formation: Formation, bus: Bus) -> None:
        self._formation = formation
        self._asked = 0
        self._stopping: asyncio.Future[None] | None = None
        self._asked_at = 0.0
        self.problem: Problem | None = None
        bus.subscribe(self._heard)

    def interrupted(self) -> None:
        """First signal: retire everything; second: kill. Two at once are one: a terminal and `timeout` send both
        to us and to our group."""
        now = time.monotonic()
        if self._asked and now - self._asked_at < SAME_SIGNAL:
            return
        self._asked += 1
        self._asked_at = now
        if self._asked == 1 and self._stopping is None:
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
            if self._stopping is None:
                self._stopping = asyncio.ensure_future(self._formation.stop())
