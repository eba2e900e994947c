"""The ground of an experiment: the app built and set up once, lanes of stores that verify made itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fungible.app.environment import compose
from fungible.app.model import WEB, App
from fungible.app.problem import Exit, Problem
from fungible.build.links import copy_writable
from fungible.build.seal import Tree, read_tree
from fungible.runtime.build.building import Builder, withheld
from fungible.runtime.events import Event
from fungible.runtime.ground.backing import sandbox_mounts, set_elsewhere
from fungible.runtime.ground.confinement import Confinement
from fungible.runtime.ground.folders import Folders, folders_for
from fungible.runtime.ground.release import Release
from fungible.runtime.ground.stage import Isolation, choose_isolation, confined, load_config
from fungible.runtime.process.port import Ports
from fungible.sandbox.launch import wipe
from fungible.sandbox.probe import probe_outbound
from fungible.services.store import Store
from fungible.verify.world.boot import BootBirth
from fungible.verify.world.canary import find_canaries
from fungible.verify.world.lane import Lane, make_lane
from fungible.verify.world.preparation import preparation_of, reset_of, run_step
from fungible.verify.world.slot import Site
from fungible.verify.world.stores import Plan, mark, plan_stores, unreachable
from fungible.verify.world.supply import Supply, resolve
from fungible.verify.world.traffic import Traffic, listening_ports
from fungible.verify.world.world import Given

MOST_LANES = 2


@dataclass(frozen=True)
class Ground:
    """What every world stands on. `warnings` tells what the report should say of stores and connections."""

    app: App
    given: Given
    birth: BootBirth
    lanes: tuple[Lane, ...]
    isolation: Isolation
    stores: tuple[str, ...]
    sockets: Path
    canaries: Callable[[], Coroutine[Any, Any, tuple[str, ...]]]
    warnings: Callable[[], tuple[str, ...]] = tuple


@contextlib.asynccontextmanager
async def prepare_ground(
    app: App,
    operating_system: Mapping[str, str],
    *,
    lanes: int | None = None,
    disposable: Collection[str] = (),
    say: Callable[[str], None],
) -> AsyncIterator[Ground]:
    """Build, release and set up the app once, in sandboxes, with stores of our own; take all down at the end.

    `disposable` are config vars whose stores may be written where they are; they are put back at the end. Raises
    Problem where that fails, or where a store is neither ours nor can be copied.
    """
    if WEB not in app.types:
        raise Problem("there is no process type `web` to verify; add `web: COMMAND` to the Procfile, or use --web")
    folders = folders_for(app.state_name, operating_system).make()
    home = _make_home(folders)
    made_sockets: list[Path] = []
    supply: Supply | None = None
    try:
        isolation = await choose_isolation(app.settings.isolation, folders.processes)
        config = load_config(folders)
        plan = _plan(app, config, operating_system, disposable, isolation)
        traffic = Traffic(listening_ports())
        supply = Supply(plan, app, home, mounted=isolation.level == "full")
        await supply.open()
        content = home / "content"
        tree = await _build(app, content, folders, home, isolation, config, operating_system, say)
        not_refused = await probe_outbound(str(home / "probe"), isolation.level, isolation.layer)
        outbound = await _outbound(app, supply, not_refused)
        traffic.expect(outbound.reachable)
        release = _release(app, folders, isolation, tree, content, config, operating_system, supply, outbound)
        await supply.share_commands(release.environment({"HOME": str(home), "TMPDIR": str(home)}))
        for step, command in preparation_of(app):
            say(f"{step}: {command}")
            await run_step(step, command, release, home / "steps", traffic, content_writable=True)
        alone = bool(app.settings.verify.reset or supply.shared or plan.shared)
        count = 1 if alone else min(MOST_LANES, os.cpu_count() or 1) if lanes is None else lanes
        made = []
        for number in range(count):
            services, variables = await supply.lane(number)
            own = replace(release, services=variables)
            made.append(await make_lane(number, services, reset_of(app, own, home / "steps", traffic), variables))
        outbound = await _outbound(app, supply, not_refused)
        traffic.expect(outbound.reachable)
        confine = _confine(app, folders, isolation, tree, content, outbound)
        given = Given(
            content=content,
            name=app.folder.name or "app",
            folder=home / "worlds",
            environment=_environment(release),
            seed=secrets.token_hex(4),
            confine=confine,
            workers=tuple(type for type in app.types.values() if type.name != WEB and type.processes > 0),
            heard=traffic.heard,
            note=traffic.note,
        )
        ports = Ports()
        birth = BootBirth(app.types[WEB], ports, confine, heard=traffic.heard)

        looking: list[asyncio.Future[tuple[str, ...]]] = []

        async def canaries() -> tuple[str, ...]:
            """Looked for once: they are of the machine and the set-up, whatever the workload."""
            if not looking:
                search = find_canaries(given, release.confinement, ports, home / "canary", lanes=count)
                looking.append(asyncio.ensure_future(search))
            return await looking[0]

        def warnings() -> tuple[str, ...]:
            isolated = (
                ()
                if not_refused is None
                else (
                    f"connections of the app are not refused on this machine ({not_refused}): it may have reached "
                    "mail servers, and stores that no config var names",
                )
            )
            return (*plan.warnings, *isolated, *traffic.warnings())

        stores = tuple(service.name for service in supply.services if isinstance(service, Store))
        sockets = Path(
            tempfile.mkdtemp(prefix="v", dir=folders.run.parent)
        )  # not in `run`: a `start` that ends clears that
        made_sockets.append(sockets)
        yield Ground(app, given, birth, tuple(made), isolation, stores, sockets, canaries, warnings)
    finally:
        if supply is not None:
            await supply.close()
        for folder in made_sockets:
            shutil.rmtree(folder, ignore_errors=True)
        await asyncio.to_thread(wipe, str(home))
        folders.leave()


@dataclass(frozen=True)
class _Outbound:
    """Where processes may connect to: the fields of a confinement."""

    outbound: str
    reachable: tuple[str, ...]
    unreachable: tuple[str, ...]


def _plan(
    app: App,
    config: Mapping[str, str],
    operating_system: Mapping[str, str],
    disposable: Collection[str],
    isolation: Isolation,
) -> Plan:
    declared = app.settings.services
    elsewhere = set_elsewhere(app, config, operating_system)
    marks = {name: mark(name) for name in declared if not elsewhere.get(name)}
    environment = compose(dotenv=app.dotenv, operating_system=operating_system, config=config, given=marks)
    commands = {f"the command of `{type.name}`": type.command for type in app.types.values()}
    commands |= {f"the {step} command": command for step, command in preparation_of(app) if step != "reset"}
    return plan_stores(
        environment,
        declared,
        commands,
        app.folder,
        disposable=disposable,
        reset=app.settings.verify.reset is not None,
        by_commands=tuple(app.settings.verify.stores),
        own_files=isolation.level in ("full", "copy", "readonly"),
    )


async def _outbound(app: App, supply: Supply, not_refused: str | None) -> _Outbound:
    """Nothing beyond this machine; on it, neither mail servers nor stores that are neither ours nor given to us."""
    if not_refused is not None:
        return _Outbound("free", (), ())
    wanted = await resolve(app.settings.verify.outbound)
    here = unreachable(supply.plan.environment, stores=app.settings.verify.reset is None)
    return _Outbound("refused", (*await supply.reachable(), *wanted), here)


async def _build(
    app: App,
    content: Path,
    folders: Folders,
    home: Path,
    isolation: Isolation,
    config: Mapping[str, str],
    operating_system: Mapping[str, str],
    say: Callable[[str], None],
) -> Tree:
    """The app's build, copied to `content`, where later steps may write; what assets it compiles while it serves is
    said, for that is what is looked for. Returns what it was made of."""

    def tell(event: Event) -> None:
        if event.kind == "log.line":
            sys.stderr.write(f"{event.data['text']}\n")
        elif event.kind == "notice":
            say(str(event.data["text"]))

    tree = await asyncio.to_thread(read_tree, app.folder)
    hidden = withheld(app, config, operating_system)
    builder = Builder(folders, home / "steps", operating_system, publish=tell, withheld=hidden, strict=False)
    try:
        made = await builder.build(app, tree, isolation)
    except Problem as problem:  # 1 would say that there are differences
        raise Problem(problem.message, Exit.BAD_INPUT if problem.exit is Exit.NO else problem.exit) from None
    await asyncio.to_thread(copy_writable, made.build.content, content)
    return replace(tree, bound=made.bound)


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


def _release(
    app: App,
    folders: Folders,
    isolation: Isolation,
    tree: Tree,
    content: Path,
    config: Mapping[str, str],
    operating_system: Mapping[str, str],
    supply: Supply,
    outbound: _Outbound,
) -> Release:
    attached = sandbox_mounts(supply.services)
    confinement = confined(app, folders, isolation, content, bound=tree.bound, attached=attached)
    confinement = replace(confinement, **vars(outbound))
    return Release("verify", confinement, config, app.dotenv, operating_system, supply.variables)


def _confine(
    app: App, folders: Folders, isolation: Isolation, tree: Tree, content: Path, outbound: _Outbound
) -> Callable[[Site], Confinement]:
    def confine(site: Site) -> Confinement:
        made = confined(app, folders, isolation, content, bound=tree.bound, attached=site.mounts, at=site.folder)
        return replace(made, **vars(outbound))

    return confine


def _environment(release: Release) -> Callable[[Mapping[str, str]], dict[str, str]]:
    def environment(own: Mapping[str, str]) -> dict[str, str]:
        return release.environment(own)

    return environment
