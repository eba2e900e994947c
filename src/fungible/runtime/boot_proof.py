"""Proof that the run stage needs no compiler and no writable disk: the web process boots from the build and serves.

It runs on the build itself, mounted read-only, with packagers off its PATH, with backing services of its own that are
thrown away; its pages are fetched, and everything that they load. Where a client's journey is known, it is made as
well, with connections beyond this machine refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shlex
import shutil
import signal
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from fungible.app.model import WEB, App
from fungible.app.problem import Exit, Problem
from fungible.build.assets.manifest import Manifest, read_manifest
from fungible.runtime.backing import Backing, attach_services
from fungible.runtime.boot_known import Boot
from fungible.runtime.boot_verdict import check_called, check_disk, no_boot, wrote_at
from fungible.runtime.building import PROTECTED
from fungible.runtime.crawl import Crawl, client_of
from fungible.runtime.events import Event
from fungible.runtime.folders import Folders
from fungible.runtime.journey import Journey
from fungible.runtime.one_off import Outcome
from fungible.runtime.packagers_off import PackagersOff, packagers_off
from fungible.runtime.port import Ports
from fungible.runtime.readiness import wait_until_answers
from fungible.runtime.release import Release
from fungible.runtime.stage import Isolation, confined
from fungible.runtime.step import StepFailed, run_step
from fungible.sandbox.launch import wipe
from fungible.sandbox.probe import probe_outbound
from fungible.services.url import addresses_of

_NAME = "proof"
_STOP = 5.0
_LAST_LINES = 500


@dataclass(frozen=True)
class BootProof:
    """One boot of `app`, whose `folders` these are, with private folders in `processes`, which is its alone."""

    app: App
    folders: Folders
    processes: Path
    isolation: Isolation
    operating_system: Mapping[str, str]
    publish: Callable[[Event], None]
    conceal: Callable[[Release], None]

    async def run(
        self,
        content: Path,
        bound: tuple[str, ...],
        config: Mapping[str, str],
        journey: Journey | None,
        unproved: tuple[str, ...],
    ) -> Boot:
        """Boot the web process of the build in `content`, fetch what its pages load, and make the `journey`.

        `unproved` is known beforehand. Raises Problem (exit 1) where it does not boot, runs a packager, or a page
        loads what is not there.
        """
        # A service of the app's own that runs now, and its data, are not touched.
        run = self.folders.run.parent / secrets.token_hex(4)
        own = Folders(self.folders.root, self.processes / "services", run).make()
        try:
            backing = await attach_services(self.app, own, config, self.operating_system)
            try:
                return await self._run(content, bound, config, journey, unproved, backing)
            finally:
                await backing.stop()
        finally:
            await asyncio.to_thread(wipe, str(own.run))

    async def _run(
        self,
        content: Path,
        bound: tuple[str, ...],
        config: Mapping[str, str],
        journey: Journey | None,
        unproved: tuple[str, ...],
        backing: Backing,
    ) -> Boot:
        manifest = read_manifest(content)
        if self.isolation.level not in PROTECTED:
            copy = self.processes / "build"
            await asyncio.to_thread(shutil.copytree, content, copy, symlinks=True)
            content = copy
        release, off = self._release(content, bound, config, backing)
        if journey is not None:
            refused = await probe_outbound(str(self.processes / "probe"), self.isolation.level, self.isolation.layer)
            if refused is None:
                release = await _kept_in(release, journey, backing)
            else:
                said = f"the workload is not sent: connections of the app cannot be refused here ({refused})"
                journey, unproved = None, (*unproved, said)
        prepared = await self._release_command(release)
        if journey is not None and self.app.settings.verify.setup is not None:
            try:
                await self._step(f"bash -c {shlex.quote(self.app.settings.verify.setup)}", release, "setup")
            except StepFailed as failed:
                journey, unproved = None, (*unproved, f"the workload is not sent: {failed.message}")
        with contextlib.closing(Ports(self.folders.run.parent / "ports")) as ports:
            return await self._serve(release, off, ports.take(), manifest, journey, unproved, prepared)

    def _release(
        self, content: Path, bound: tuple[str, ...], config: Mapping[str, str], backing: Backing
    ) -> tuple[Release, PackagersOff]:
        app = self.app
        named = {*config, *(assignment.name for assignment in app.dotenv)}
        services = {name: url for name, url in backing.urls.items() if name not in named}
        confinement = confined(app, self.folders, self.isolation, content, bound=bound, attached=backing.mounts)
        release = Release(
            _NAME,
            replace(confinement, read_only=True),
            config,
            app.dotenv,
            self.operating_system,
            services,
            app.types,
        )
        environment = release.environment({})
        level = self.isolation.level
        off = packagers_off(self.processes / "packagers", app.types[WEB].command, environment, app.folder, level)
        release = replace(
            release,
            confinement=replace(release.confinement, attached=(*release.confinement.attached, *off.mounts)),
            operating_system={**self.operating_system, "PATH": off.path},
            config={name: value for name, value in config.items() if name != "PATH"},
        )
        self.conceal(release)
        return release, off

    async def _release_command(self, release: Release) -> bool:
        """Run the app's release command where all that it can write is ours; whether nothing is left undone."""
        command, declared = self.app.release_command, self.app.settings.services
        if command is None:
            return True
        if not release.services or release.services.keys() < declared.keys():
            return False
        await self._step(command, release, "release")
        return True

    async def _step(self, command: str, release: Release, step: str) -> None:
        await run_step(command, release, self.processes, step, publish=self.publish, content_writable=False)

    async def _serve(
        self,
        release: Release,
        off: PackagersOff,
        port: int,
        manifest: Manifest | None,
        journey: Journey | None,
        unproved: tuple[str, ...],
        prepared: bool,
    ) -> Boot:
        web, folder = self.app.types[WEB], self.app.folder
        unix = web.listen == "unix"
        lines: deque[str] = deque(maxlen=_LAST_LINES)

        def hear(event: Event) -> None:
            if event.kind == "log.line":
                lines.append(str(event.data["text"]))
            self.publish(msgspec.structs.replace(event, process=f"{_NAME}.1"))

        senders: list[Callable[[int], None]] = []
        before = set(self.processes.iterdir())
        given = None if unix else {"PORT": str(port)}
        running = asyncio.ensure_future(
            run_step(
                web.command,
                release,
                self.processes,
                WEB,
                publish=hear,
                content_writable=False,
                given=given,
                unix=unix,
                on_start=senders.append,
            )
        )
        try:
            address = await _socket(self.processes, before, running) if unix else f"127.0.0.1:{port}"
            answers = asyncio.ensure_future(wait_until_answers(address, web.ready, web.boot_timeout))
            await asyncio.wait([answers, running], return_when=asyncio.FIRST_COMPLETED)
            if running.done() or not answers.result():
                answers.cancel()
                check_called(off)
                problem = no_boot(
                    _how_it_ended(running, f"${'FUNGIBLE_SOCKET' if unix else 'PORT'} within {web.boot_timeout:g} s"),
                    lines,
                    folder,
                )
                if prepared or wrote_at(lines, folder) is not None:
                    raise problem
                # What it lacks may be what the release command makes, in a store that is not ours.
                said = "it does not boot before its release command has run, so no page was fetched"
                return Boot(0, 0, (*unproved, said))
            host = journey.host if journey is not None else None
            async with client_of(address, host) as client:
                crawl = Crawl(client, manifest, host or "localhost", tell=self._say, unproved=[*unproved])
                try:
                    await crawl.run(("/", *((web.ready,) if web.ready else ())))
                    if journey is not None:
                        crawl.unproved += journey.left_out
                        await crawl.follow(journey.visits(address))
                finally:
                    check_called(off)
                    await asyncio.sleep(0)
            check_disk(crawl.failed, lines, folder)
            return Boot(
                len(crawl.pages), len(crawl.assets), tuple(dict.fromkeys(crawl.unproved)), requests=crawl.requests
            )
        finally:
            await _end(running, senders)

    def _say(self, text: str) -> None:
        self.publish(Event("notice", data={"text": f"proof: {text}"}))


async def _kept_in(release: Release, journey: Journey, backing: Backing) -> Release:
    """With connections refused that would reach beyond this machine, and stores and mail servers on it."""
    own = tuple(
        address
        for service in backing.services
        if service.kind in ("valkey", "postgres", "memcached") and service.name in backing.urls
        for address in addresses_of(service.url, service.kind)
    )
    reachable, unreachable = await journey.outbound(release.environment({}), own)
    confinement = replace(release.confinement, outbound="refused", reachable=reachable, unreachable=unreachable)
    return replace(release, confinement=confinement)


async def _socket(processes: Path, before: set[Path], running: asyncio.Future[Outcome]) -> str:
    """The address of the Unix socket that the process is given; its private folder has a name of its own."""
    while not running.done():
        for path in set(processes.iterdir()) - before:
            if (path / "own" / "run").is_dir():
                return f"unix@{path / 'own' / 'run' / 's'}"
        await asyncio.sleep(0.02)
    return "unix@"


def _how_it_ended(running: asyncio.Future[Outcome], asked: str) -> str:
    """As a sentence goes on after "it"; `asked` is where, and how long. Raises Problem for what is no fault of the
    command's."""
    if not running.done():
        return f"gave no answer at {asked}"
    error = running.exception()
    if error is not None and not isinstance(error, StepFailed):
        raise error if isinstance(error, Problem) else Problem(f"proof: {error!r}", Exit.NO)
    return "ended before it answered" if error is None else "failed"


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
