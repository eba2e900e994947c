"""Proof that the run stage needs no compiler and no writable disk: the web process boots from the build and serves.

It runs on the build itself, mounted read-only, with packagers off its PATH, with backing services of its own that are
thrown away; its pages are fetched, and everything that they load.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import shutil
import signal
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from fungible.app.model import WEB, App, ProcessType
from fungible.app.problem import Exit, Problem
from fungible.build.assets.manifest import read_manifest
from fungible.runtime.backing import Backing, attach_services
from fungible.runtime.boot_known import Boot, note_boot
from fungible.runtime.building import PROTECTED, Built
from fungible.runtime.confinement import Confinement
from fungible.runtime.crawl import Crawl, client_of
from fungible.runtime.events import Event
from fungible.runtime.folders import Folders
from fungible.runtime.one_off import Outcome
from fungible.runtime.packagers_off import PackagersOff, packagers_off
from fungible.runtime.port import Ports
from fungible.runtime.readiness import wait_until_answers
from fungible.runtime.release import Release
from fungible.runtime.stage import Isolation
from fungible.runtime.step import StepFailed, run_step
from fungible.sandbox.launch import wipe
from fungible.sandbox.spec import Mount

_STOP = 5.0
_LAST_LINES = 500
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


async def prove_boot(
    app: App,
    built: Built,
    folders: Folders,
    processes: Path,
    isolation: Isolation,
    config: Mapping[str, str],
    operating_system: Mapping[str, str],
    *,
    publish: Callable[[Event], None],
) -> Boot:
    """Boot the web process of `built` and fetch what its pages load; what was found is noted beside the build.

    Raises Problem (exit 1) where it does not boot, runs a packager, or a page loads what is not there.
    """
    web = app.types[WEB]
    # A service of the app's own that runs now, and its data, are not touched.
    own = Folders(folders.root, processes / "proof", folders.run.parent / secrets.token_hex(4)).make()
    try:
        backing = await attach_services(app, own, config, operating_system)
        try:
            boot = await _boot(app, web, built, own, processes, isolation, config, operating_system, backing, publish)
        finally:
            await backing.stop()
    finally:
        await asyncio.to_thread(wipe, str(own.run))
    note_boot(built.build, web, boot)
    return boot


async def _boot(
    app: App,
    web: ProcessType,
    built: Built,
    folders: Folders,
    processes: Path,
    isolation: Isolation,
    config: Mapping[str, str],
    operating_system: Mapping[str, str],
    backing: Backing,
    publish: Callable[[Event], None],
) -> Boot:
    content = built.build.content
    if isolation.level not in PROTECTED:
        content = processes / "build"
        await asyncio.to_thread(shutil.copytree, built.build.content, content, symlinks=True)
    named = {*config, *(assignment.name for assignment in app.dotenv)}
    services = {name: url for name, url in backing.urls.items() if name not in named}
    bound = tuple(Mount(str(app.folder / path), str(app.folder / path)) for path in built.bound)
    confinement = Confinement(
        level=isolation.level,
        layer=isolation.layer,
        content=content,
        folder=app.folder,
        hidden=(folders.root, folders.run.parent),
        attached=(*bound, *backing.mounts),
        read_only=True,
    )
    release = Release("proof", confinement, config, app.dotenv, operating_system, services, app.types)
    off = packagers_off(processes / "packagers", web.command, release.environment({}), app.folder, isolation.level)
    release = replace(
        release,
        confinement=replace(confinement, attached=(*confinement.attached, *off.mounts)),
        operating_system={**operating_system, "PATH": off.path},
        config={name: value for name, value in config.items() if name != "PATH"},
    )
    if app.release_command is not None and services.keys() >= app.settings.services.keys() and services:
        # All that it can write is ours, so it may.
        await run_step(app.release_command, release, processes, "release", publish=publish, content_writable=False)
    port = Ports(folders.run.parent / "ports")
    try:
        return await _serve(web, release, processes, port, off, built, app.folder, publish)
    finally:
        port.close()


async def _serve(
    web: ProcessType,
    release: Release,
    processes: Path,
    ports: Ports,
    off: PackagersOff,
    built: Built,
    folder: Path,
    publish: Callable[[Event], None],
) -> Boot:
    unix = web.listen == "unix"
    lines: deque[str] = deque(maxlen=_LAST_LINES)

    def hear(event: Event) -> None:
        if event.kind == "log.line":
            lines.append(str(event.data["text"]))
        publish(event)

    number = ports.take()
    senders: list[Callable[[int], None]] = []
    before = set(processes.iterdir())
    running = asyncio.ensure_future(
        run_step(
            web.command,
            release,
            processes,
            WEB,
            publish=hear,
            content_writable=False,
            given=None if unix else {"PORT": str(number)},
            unix=unix,
            on_start=senders.append,
        )
    )
    try:
        address = f"127.0.0.1:{number}"
        if unix:
            address = await _socket(processes, before, running)
        answers = asyncio.ensure_future(wait_until_answers(address, web.ready, web.boot_timeout))
        await asyncio.wait([answers, running], return_when=asyncio.FIRST_COMPLETED)
        if running.done() or not answers.result():
            answers.cancel()
            raise _no_boot(running, off, web.boot_timeout, lines, folder)
        async with client_of(address) as client:
            crawl = Crawl(client, read_manifest(built.build.content))
            try:
                await crawl.run(("/", *((web.ready,) if web.ready else ())))
            finally:
                _check_called(off)
                await asyncio.sleep(0)
        _check_disk(crawl, lines, folder)
        return Boot(len(crawl.pages), len(crawl.assets), tuple(crawl.unproved))
    finally:
        await _end(running, senders)


async def _socket(processes: Path, before: set[Path], running: asyncio.Future[Outcome]) -> str:
    """The address of the Unix socket that the process is given; its private folder has a name of its own."""
    while not running.done():
        for path in set(processes.iterdir()) - before:
            if (path / "own" / "run").is_dir():
                return f"unix@{path / 'own' / 'run' / 's'}"
        await asyncio.sleep(0.02)
    return "unix@"


def _no_boot(
    running: asyncio.Future[Outcome], off: PackagersOff, patience: float, lines: Iterable[str], folder: Path
) -> Problem:
    _check_called(off)
    if not running.done():
        how = f"gave no answer within {patience:g} s"
    else:
        error = running.exception()
        if error is not None and not isinstance(error, StepFailed):
            return error if isinstance(error, Problem) else Problem(f"proof: {error!r}", Exit.NO)
        how = "ended before it answered" if error is None else "failed"
    hint = "its output is above"
    where = _wrote_at(lines, folder)
    if where is not None:
        hint = f"{where} writes into the app's folder, which no process may rely on: let a build command write there"
    return Problem(f"proof: the web process does not boot from the build: it {how}; {hint}", Exit.NO)


def _check_called(off: PackagersOff) -> None:
    name = off.first_called()
    if name is not None:
        raise Problem(
            f"proof: the web process runs `{name}` while it serves: let a build command do that, and serve what it "
            "writes",
            Exit.NO,
        )


def _check_disk(crawl: Crawl, lines: Iterable[str], folder: Path) -> None:
    """A page that failed because the disk is read-only would work once on a disk of its process's own."""
    where = _wrote_at(lines, folder)
    if where is not None and crawl.failed:
        raise Problem(
            f"proof: GET {crawl.failed[0]} fails on a read-only disk: {where} writes into the app's folder while a "
            "page is made. Let a build command write that, or keep it in a backing service",
            Exit.NO,
        )


def _wrote_at(lines: Iterable[str], folder: Path) -> str | None:
    """Where the app's own code was when the disk refused to be written to, by the last traceback that says so."""
    place, found = "the app", None
    for line in lines:
        match = _FRAME.search(line)
        if match is not None and match[1].startswith(f"{folder}/") and "/site-packages/" not in match[1]:
            place = f"{match[1][len(str(folder)) + 1 :]}:{match[2]}"
        elif "Read-only file system" in line or "EROFS" in line:
            found = place
    return found


async def _end(running: asyncio.Future[Outcome], senders: list[Callable[[int], None]]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if running.done():
            break
        for send in senders:
            with contextlib.suppress(OSError):
                send(number)
        await asyncio.wait([running], timeout=_STOP)
    if not running.done():
        running.cancel()
    with contextlib.suppress(Problem, asyncio.CancelledError):
        await running
