"""`fungible start`: from an app to a formation that runs until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from fungible.app.environment import mask, secrets_of
from fungible.app.load import load_app
from fungible.app.model import WEB, App, ProcessType
from fungible.app.problem import Exit
from fungible.app.wording import nearest
from fungible.runtime.announcement import announce
from fungible.runtime.build.journey import Plan
from fungible.runtime.build.proving import Prover, is_proved
from fungible.runtime.ending import SAME_SIGNAL, SIGNALS, Ending, cancelled_by_signals
from fungible.runtime.events import Bus, Event
from fungible.runtime.formation.formation import Formation
from fungible.runtime.formation.watching import Watching
from fungible.runtime.ground.backing import attach_services
from fungible.runtime.ground.folders import Folders, folders_for
from fungible.runtime.ground.release import Release
from fungible.runtime.ground.session import Session
from fungible.runtime.ground.stage import Isolation, Lock, choose_isolation, clear_run, load_config, reap_left_overs
from fungible.runtime.logs.console import Console
from fungible.runtime.logs.tail import Tail
from fungible.runtime.process.bounds import Bounds
from fungible.runtime.process.control_group import Group, Places, find_places, name_of, reap
from fungible.runtime.process.port import Ports
from fungible.runtime.roll.on_change import release_on_change
from fungible.runtime.roll.operations import Operations
from fungible.runtime.roll.releasing import Releasing
from fungible.runtime.router.access_log import Requests
from fungible.runtime.router.listener import listen
from fungible.runtime.router.model import RouterSettings
from fungible.runtime.router.router import Router
from fungible.runtime.upkeep import Upkeep

__all__ = ["SAME_SIGNAL", "Attend", "Options", "Running", "start"]


@dataclass(frozen=True)
class Options:
    """What the command line says besides the app's own settings.

    With `watch` a change of the app's folder is released; with `shake` web processes are replaced while they serve.
    """

    wanted: Mapping[str, int]
    host: str
    port: int
    as_json: bool
    watch: bool = False
    shake: bool = False


@dataclass(frozen=True)
class Running:
    """A formation that runs, for whoever attends to it: what is known of it, and how it is changed or stopped."""

    app: App
    formation: Formation
    operations: Operations
    router: Router
    bus: Bus[Event]
    requests: Bus[Requests]
    tail: Tail
    folders: Folders
    upkeep: Upkeep
    stop: Callable[[], None]
    url: Callable[[], str | None]


Attend = Callable[[Running], AbstractAsyncContextManager[None]]
"""Attends to a formation for as long as it runs (see `control`)."""


async def start(
    app: App,
    options: Options,
    operating_system: Mapping[str, str],
    *,
    load: Callable[[Path], App] = load_app,
    attend: Attend | None = None,
    plan: Plan = lambda _: None,
) -> int:
    """Run the formation until SIGINT or SIGTERM; returns the exit code. Raises Problem before it has begun.

    `load` reads an app's folder anew for a later release; `plan` says what a client does at it, for the proof of a
    build.
    """
    folders = folders_for(app.state_name, operating_system).make()
    lock = Lock(folders.state / "lock", folders.run / "url")
    bus = Bus[Event]()
    hide: list[str] = []

    def conceal(text: str) -> str:
        return mask(text, hide)

    stream = sys.stdout if options.as_json else sys.stderr
    console = Console(stream, as_json=options.as_json, mask=conceal)
    tail = Tail(conceal)
    requests = Bus[Requests]()
    for each in (console, tail):
        bus.subscribe(each)
        requests.subscribe(each.take_requests)
    try:
        async with cancelled_by_signals():
            left = reap_left_overs(folders)
            folders.make()
            if left:
                bus.publish(_notice(f"cleaned up after {left} processes that a killed supervisor had left"))
            with Session(folders.processes) as processes:
                ground = _Ground(folders, processes, bus, requests, tail, hide, load, attend, plan)
                return await _start(app, options, operating_system, ground)
    finally:
        clear_run(folders)
        console.close()
        lock.release()
        folders.leave()


@dataclass(frozen=True)
class _Ground:
    """The app's folders, where this supervisor's processes live, the buses and their tail, the secrets to hide."""

    folders: Folders
    processes: Path
    bus: Bus[Event]
    requests: Bus[Requests]
    tail: Tail
    hide: list[str]
    load: Callable[[Path], App]
    attend: Attend | None
    plan: Plan
    groups: Places = field(default_factory=find_places)

    def say(self, text: str) -> None:
        self.bus.publish(_notice(text))

    def conceal(self, release: Release) -> None:
        """Strike the secrets of a release out of what is said from now on, too."""
        secrets = {*self.hide, *secrets_of(release.environment({}))}
        self.hide[:] = sorted(secrets, key=lambda text: (-len(text), text))

    def bind(self, type: ProcessType, instance: str) -> Bounds | None:
        """A control group for a process of a type that has a bound."""
        if type.memory is None and type.cpu is None:
            return None
        return Group(self.groups, name_of(instance), type.memory, type.cpu)


def _notice(text: str) -> Event:
    return Event("notice", data={"text": text})


async def _start(app: App, options: Options, operating_system: Mapping[str, str], ground: _Ground) -> int:
    folders = ground.folders
    reap(ground.groups)
    isolation = await choose_isolation(app.settings.isolation, folders.processes)
    ground.say(isolation.sentence)
    for type in app.types.values():
        if type.cpu is not None and not ground.groups.can("cpu"):
            ground.say(f"types.{type.name}.cpu is not enforced: this user may make no control groups here")
    # Nothing is done for a formation that nobody could reach: first the ports, then services, builds and migrations.
    async with _routed(app, options, ground) as router:
        return await _release(app, options, operating_system, ground, isolation, router)


async def _release(
    app: App,
    options: Options,
    operating_system: Mapping[str, str],
    ground: _Ground,
    isolation: Isolation,
    router: Router,
) -> int:
    folders = ground.folders
    backing = await attach_services(app, folders, load_config(folders), operating_system)
    try:
        ground.hide.extend(secrets_of(backing.urls))
        releasing = Releasing(
            app,
            folders,
            ground.processes,
            isolation,
            backing,
            operating_system,
            publish=ground.bus.publish,
            load=ground.load,
            conceal=ground.conceal,
            prover=Prover(
                folders,
                isolation,
                operating_system,
                publish=ground.bus.publish,
                conceal=ground.conceal,
                plan=ground.plan,
            ),
        )
        if options.watch and is_proved(app) and WEB in app.types:
            ground.say("--watch: no build is booted for its proof; `fungible release` and `fungible build` do that")
        async with Upkeep(backing.services, ground.bus.publish) as upkeep:
            ready = await releasing.first(prove=not options.watch)
            await releasing.run_command(ready)
            return await _run(app, options, ground, ready.release, releasing, router, upkeep)
    finally:
        await backing.stop()


@contextlib.asynccontextmanager
async def _routed(app: App, options: Options, ground: _Ground) -> AsyncIterator[Router]:
    """The router, at its port if there is a type `web`; it answers 503, `starting`, until there are processes.

    Raises Problem where a port that the app is to have is not free.
    """
    settings, router_settings = app.settings, app.settings.router
    certificate = str(app.folder / router_settings.certificate) if router_settings.certificate else None
    router = Router(
        settings=RouterSettings(
            queue_timeout=router_settings.queue_timeout,
            request_timeout=router_settings.request_timeout,
            max_body=router_settings.max_body,
            certificate=certificate,
        ),
        folder=ground.folders.run / "router",
        publish=ground.bus.publish,
        report=ground.requests.publish,
    )
    if settings.metrics_port is not None:
        listen(settings.metrics_host, settings.metrics_port, "metrics-").close()
    try:
        if WEB in app.types:
            await router.start(options.host, options.port)
        yield router
    finally:
        await router.stop()


async def _run(
    app: App,
    options: Options,
    ground: _Ground,
    release: Release,
    releasing: Releasing,
    router: Router,
    upkeep: Upkeep,
) -> int:
    folders, bus = ground.folders, ground.bus
    ports = Ports()
    formation = Formation(
        _counts(app, options, ground.say),
        release,
        router=router,
        bus=bus,
        ports=ports,
        processes=ground.processes,
        sockets=folders.run,
        bind=ground.bind,
    )
    ending = Ending(formation, bus, folders.services)
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, ending.interrupted)
    has_web = WEB in app.types
    if not has_web:
        misspelt = next((name for name in app.types if nearest(WEB, [name])), None)
        hint = f" (is `{misspelt}` meant to be it?)" if misspelt else ""
        ground.say(f"no process type is called `web`, so nothing gets requests{hint}")
    operations = Operations(formation, releasing, folders, bus, ground.tail)
    url = router.url if has_web else None
    running = Running(
        app=app,
        formation=formation,
        operations=operations,
        router=router,
        bus=bus,
        requests=ground.requests,
        tail=ground.tail,
        folders=folders,
        upkeep=upkeep,
        stop=ending.asked_to_stop,
        url=lambda: url,
    )
    tasks: list[asyncio.Future[None]] = []
    if url is not None:
        said = announce(
            formation, url, options.wanted.get(WEB, 0), bus, folders.run / "url", aloud=not options.as_json
        )
        tasks.append(asyncio.ensure_future(said))
    if options.watch:
        without = (folders.root, folders.run.parent)
        tasks.append(asyncio.ensure_future(release_on_change(app.folder, without, operations, ground.say)))
    try:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(Watching(formation, bus, ground.requests, shake=options.shake))
            if ground.attend is not None:
                await stack.enter_async_context(ground.attend(running))
            await formation.run()
    finally:
        for task in tasks:
            task.cancel()
        await router.stop()
        ports.close()
    if ending.problem is not None:
        raise ending.problem
    return Exit.DONE


def _counts(app: App, options: Options, say: Callable[[str], None]) -> dict[str, int]:
    """What differs from the settings: as for the rest, a later release may say otherwise."""
    counts = {name: count for name, count in options.wanted.items() if count != app.types[name].processes}
    if options.shake and options.wanted.get(WEB) == 1:
        say("--shake needs two web processes, so that none is chosen twice running: web=2")
        counts[WEB] = 2
    return counts
