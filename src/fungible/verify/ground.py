"""The ground of an experiment: the app built and set up once, lanes of stores that verify made itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fungible.app.model import WEB, App
from fungible.app.problem import Exit, Problem
from fungible.build.seal import Tree, copy_tree, read_tree
from fungible.runtime.backing import sandbox_mounts, set_elsewhere
from fungible.runtime.confinement import Confinement, shell_command
from fungible.runtime.folders import Folders, folders_for
from fungible.runtime.one_off import run_one_off
from fungible.runtime.port import Ports
from fungible.runtime.release import Release
from fungible.runtime.stage import Isolation, choose_isolation, load_config
from fungible.sandbox.launch import wipe
from fungible.sandbox.spec import Mount
from fungible.services.attach import clone_for_world, open_services
from fungible.services.external import ExternalService
from fungible.services.store import Service, Store
from fungible.verify.boot import BootBirth
from fungible.verify.canary import find_canaries
from fungible.verify.lane import Lane, make_lane
from fungible.verify.slot import Site
from fungible.verify.world import Given

MOST_LANES = 2


@dataclass(frozen=True)
class Ground:
    """What every world stands on."""

    app: App
    given: Given
    birth: BootBirth
    lanes: tuple[Lane, ...]
    isolation: Isolation
    stores: tuple[str, ...]
    sockets: Path
    canaries: Callable[[], Awaitable[tuple[str, ...]]]


@contextlib.asynccontextmanager
async def prepare_ground(
    app: App, operating_system: Mapping[str, str], *, lanes: int | None = None, say: Callable[[str], None]
) -> AsyncIterator[Ground]:
    """Build, release and set up the app once, in sandboxes, with stores of our own; take all down at the end.

    Raises Problem where that fails, or where a store is neither ours nor can be copied.
    """
    if WEB not in app.types:
        raise Problem("there is no process type `web` to verify; add `web: COMMAND` to the Procfile, or use --web")
    folders = folders_for(app.state_name, operating_system).make()
    home = _make_home(folders)
    started: list[Service] = []
    made_sockets: list[Path] = []
    try:
        isolation = await choose_isolation(app.settings.isolation, folders.processes)
        config = load_config(folders)
        base = await _base_services(app, home, config, operating_system, started)
        tree = await asyncio.to_thread(read_tree, app.folder)
        content = home / "content"
        await asyncio.to_thread(copy_tree, tree, content)
        release = _release(app, folders, isolation, tree, content, config, operating_system, base)
        for step, command in _preparation(app):
            say(f"{step}: {command}")
            await _step(step, command, release, home, content_writable=True)
        reset = _reset(app, release, home)
        count = 1 if reset is not None else min(MOST_LANES, os.cpu_count() or 1) if lanes is None else lanes
        made = []
        for number in range(count):
            services = []
            for service in base:
                clone = await clone_for_world(service, home / "lanes", number, mounted=isolation.level == "full")
                started.append(clone)
                services.append(clone)
            made.append(await make_lane(number, tuple(services), reset))
        given = Given(
            content=content,
            name=app.folder.name or "app",
            folder=home / "worlds",
            environment=_environment(release),
            seed=secrets.token_hex(4),
            confine=_confine(app, folders, isolation, tree, content),
            workers=tuple(type for type in app.types.values() if type.name != WEB and type.processes > 0),
        )
        ports = Ports(folders.run.parent / "ports")
        birth = BootBirth(app.types[WEB], ports, _confine(app, folders, isolation, tree, content))

        async def canaries() -> tuple[str, ...]:
            return await find_canaries(given, release.confinement, ports, home / "canary", lanes=count)

        stores = tuple(service.name for service in base if isinstance(service, Store))
        sockets = Path(tempfile.mkdtemp(prefix="v", dir=folders.run))
        made_sockets.append(sockets)
        yield Ground(app, given, birth, tuple(made), isolation, stores, sockets, canaries)
    finally:
        for service in reversed(started):
            with contextlib.suppress(Problem):
                await service.stop()
        for folder in made_sockets:
            shutil.rmtree(folder, ignore_errors=True)
        await asyncio.to_thread(wipe, str(home))


def _make_home(folders: Folders) -> Path:
    """A folder for this run; those of runs that were killed are deleted."""
    verify = folders.state / "verify"
    verify.mkdir(mode=0o700, exist_ok=True)
    for old in verify.iterdir():
        pid = old.name.partition("-")[0]
        if not (pid.isdigit() and Path(f"/proc/{pid}").exists()):
            shutil.rmtree(old, ignore_errors=True)
    home = verify / f"{os.getpid()}-{secrets.token_hex(3)}"
    home.mkdir(mode=0o700)
    (home / "worlds").mkdir()
    (home / "steps").mkdir()
    return home


async def _base_services(
    app: App,
    home: Path,
    config: Mapping[str, str],
    operating_system: Mapping[str, str],
    started: list[Service],
) -> tuple[Service, ...]:
    """Fresh embedded stores; of stores that others run, a copy. What was set elsewhere is only a source."""
    environment = set_elsewhere(app, config, operating_system)
    found: list[Service] = []
    opened = open_services(
        app.settings.services, environment=environment, folder=home / "base", durable=False, app_folder=app.folder
    )
    for service in opened:
        if isinstance(service, ExternalService):
            clone = await clone_for_world(service, home / "copied", 0)
            started.append(clone)
            found.append(clone)
        else:
            await service.start()
            started.append(service)
            found.append(service)
    return tuple(found)


def _release(
    app: App,
    folders: Folders,
    isolation: Isolation,
    tree: Tree,
    content: Path,
    config: Mapping[str, str],
    operating_system: Mapping[str, str],
    services: tuple[Service, ...],
) -> Release:
    bound = tuple(Mount(str(app.folder / path), str(app.folder / path)) for path in tree.bound)
    confinement = Confinement(
        level=isolation.level,
        layer=isolation.layer,
        content=content,
        folder=app.folder,
        hidden=(folders.root, folders.run.parent),
        attached=bound + sandbox_mounts(services),
    )
    urls = {service.name: service.url for service in services}
    return Release("verify", confinement, config, app.dotenv, operating_system, urls)


def _confine(
    app: App, folders: Folders, isolation: Isolation, tree: Tree, content: Path
) -> Callable[[Site], Confinement]:
    def confine(site: Site) -> Confinement:
        bound = tuple(Mount(str(app.folder / path), str(site.folder / path)) for path in tree.bound)
        return Confinement(
            level=isolation.level,
            layer=isolation.layer,
            content=content,
            folder=site.folder,
            hidden=(folders.root, folders.run.parent),
            attached=bound + site.mounts,
        )

    return confine


def _environment(release: Release) -> Callable[[Mapping[str, str]], dict[str, str]]:
    def environment(own: Mapping[str, str]) -> dict[str, str]:
        return release.environment(own)

    return environment


def _preparation(app: App) -> list[tuple[str, str]]:
    steps = [("build", line) for line in app.settings.build]
    if app.release_command is not None:
        steps.append(("release", app.release_command))
    if app.settings.verify.setup is not None:
        steps.append(("setup", app.settings.verify.setup))
    return steps


def _reset(app: App, release: Release, home: Path) -> Callable[[], Awaitable[None]] | None:
    command = app.settings.verify.reset
    if command is None:
        return None

    async def reset() -> None:
        await _step("reset", command, release, home, content_writable=False)
        if app.settings.verify.setup is not None:
            await _step("setup", app.settings.verify.setup, release, home, content_writable=False)

    return reset


async def _step(step: str, command: str, release: Release, home: Path, *, content_writable: bool) -> None:
    argv = ("bash", "-c", command) if step in ("setup", "reset") else shell_command(command)
    outcome = await run_one_off(
        argv,
        replace(release, name="verify"),
        home / "steps",
        name=f"{step}.1",
        stdin=None,
        stdout=2,
        stderr=2,
        content_writable=content_writable,
    )
    if outcome.code != 0:
        raise Problem(
            f"the {step} command `{command}` ended with {outcome.code}; its output is above", Exit.BAD_INPUT
        )
