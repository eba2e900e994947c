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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fungible.app.model import WEB, App
from fungible.app.wording import plain
from fungible.build.assets.manifest import Manifest, read_manifest
from fungible.runtime.build.boot_known import Boot
from fungible.runtime.build.boot_verdict import (
    check_called,
    check_disk,
    needs_disk,
    no_boot,
    writes_at_boot,
    wrote_at,
)
from fungible.runtime.build.building import PROTECTED
from fungible.runtime.build.crawl import Crawl
from fungible.runtime.build.fetching import client_of
from fungible.runtime.build.journey import Journey
from fungible.runtime.build.packagers_off import PackagersOff, packagers_off
from fungible.runtime.events import Event
from fungible.runtime.ground.backing import Backing, attach_services
from fungible.runtime.ground.folders import Folders
from fungible.runtime.ground.release import Release
from fungible.runtime.ground.stage import Isolation, confined
from fungible.runtime.process.port import Ports
from fungible.runtime.process.short_lived import NotBooted, ShortLived, short_lived
from fungible.runtime.process.step import StepFailed, run_step
from fungible.sandbox.launch import wipe
from fungible.sandbox.outbound import MAIL_PORTS
from fungible.sandbox.probe import probe_outbound
from fungible.services.url import addresses_of

LAYERED = frozenset({"full", "copy"})
"""Isolation levels at which a process can write to a throw-away layer over what it is run from."""
_NAME = "proof"


@dataclass(frozen=True)
class _Ground:
    """What the web process is booted on: `free`, or `kept_in` for the journey; `prepared` where nothing was left
    undone that comes before it."""

    free: Release
    kept_in: Release
    journey: Journey | None
    unproved: tuple[str, ...]
    prepared: bool


@dataclass(frozen=True)
class BootProof:
    """One proof of the build of `app` in `content`, which is `bound` to some of its folders, with the config vars
    `config`. The app's `folders` are these; private ones are made in `processes`, which is its alone."""

    app: App
    content: Path
    bound: tuple[str, ...]
    config: Mapping[str, str]
    folders: Folders
    processes: Path
    isolation: Isolation
    operating_system: Mapping[str, str]
    publish: Callable[[Event], None]
    conceal: Callable[[Release], None]

    async def run(self, journey: Journey | None, unproved: tuple[str, ...]) -> Boot:
        """Boot the web process, fetch what its pages load, and make the `journey`.

        `unproved` is known beforehand. Raises Problem (exit 1) where it does not boot, runs a packager, or a page
        loads what is not there.
        """
        # A service of the app's own that runs now, and its data, are not touched.
        run = self.folders.run.parent / secrets.token_hex(4)
        own = Folders(self.folders.root, self.processes / "services", run).make()
        try:
            backing = await attach_services(self.app, own, self.config, self.operating_system)
            try:
                return await self._run(journey, unproved, backing)
            finally:
                await backing.stop()
        finally:
            await asyncio.to_thread(wipe, str(own.run))

    async def _run(self, journey: Journey | None, unproved: tuple[str, ...], backing: Backing) -> Boot:
        content = self.content
        manifest = read_manifest(content)
        if self.isolation.level not in PROTECTED:
            copy = self.processes / "build"
            await asyncio.to_thread(shutil.copytree, content, copy, symlinks=True)
            content = copy
        release, off = self._release(content, backing)
        ground = await self._prepare(release, journey, unproved, backing)
        with contextlib.closing(Ports()) as ports:
            port = ports.take()
            try:
                crawl, release = await self._look_with_or_without(ground, off, port, manifest)
            except NotBooted as error:
                await self._boot_on_another_disk(error.lines, ground.free, off, port)
                if ground.prepared:
                    raise no_boot(error.how, error.instance) from None
                # What it lacks may be what the release command makes, in a store that is not ours.
                said = "it did not boot, perhaps for want of what its release command makes, so no page was fetched"
                return Boot(0, 0, (*ground.unproved, said))
            if crawl.failed:
                await self._on_another_disk(release, off, port, crawl)
        return Boot(
            len(crawl.pages), len(crawl.assets), tuple(dict.fromkeys(crawl.unproved)), requests=crawl.requests
        )

    def _release(self, content: Path, backing: Backing) -> tuple[Release, PackagersOff]:
        app, config = self.app, self.config
        named = {*config, *(assignment.name for assignment in app.dotenv)}
        services = {name: url for name, url in backing.urls.items() if name not in named}
        confinement = confined(app, self.folders, self.isolation, content, bound=self.bound, attached=backing.mounts)
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

    async def _prepare(
        self, free: Release, journey: Journey | None, unproved: tuple[str, ...], backing: Backing
    ) -> _Ground:
        """Run what comes before the web process; the journey is given up, and that told, where it cannot be made."""
        kept_in = free
        if journey is not None or self.app.release_command is not None:
            refusal = await probe_outbound(str(self.processes / "probe"), self.isolation.level, self.isolation.layer)
            if refusal is None:
                kept_in = await _kept_in(free, journey, backing)
            elif journey is not None:
                said = f"the workload is not sent: connections of the app cannot be refused here ({refusal})"
                journey, unproved = None, (*unproved, said)
        prepared, told = await self._release_command(kept_in)
        unproved = (*unproved, *told)
        setup = self.app.settings.verify.setup
        if journey is not None and setup is not None:
            try:
                await self._step(f"bash -c {shlex.quote(setup)}", kept_in, "setup")
            except StepFailed as failed:
                journey, unproved = None, (*unproved, f"the workload is not sent: {failed.message}")
        return _Ground(free, kept_in, journey, unproved, prepared)

    async def _look_with_or_without(
        self, ground: _Ground, off: PackagersOff, port: int, manifest: Manifest | None
    ) -> tuple[Crawl, Release]:
        """Boot it and fetch what there is; without the journey where it does not boot with connections refused.
        Returns what was fetched, and how it ran. Raises Problem and NotBooted."""
        unproved = ground.unproved
        if ground.journey is not None:
            with contextlib.suppress(NotBooted):
                crawl = await self._look(ground.kept_in, off, port, manifest, ground.journey, unproved)
                return crawl, ground.kept_in
            said = "the workload is not sent: the app does not boot where it reaches nothing beyond this machine"
            unproved = (*unproved, said)
        return await self._look(ground.free, off, port, manifest, None, unproved), ground.free

    async def _release_command(self, release: Release) -> tuple[bool, tuple[str, ...]]:
        """Run the app's release command where all that it can write is ours; whether nothing is left undone, and what
        is to be told of that."""
        command, declared = self.app.release_command, self.app.settings.services
        if command is None:
            return True, ()
        if not release.services or release.services.keys() < declared.keys():
            return False, ()
        try:
            await self._step(command, release, "release")
        except StepFailed as failed:
            if not failed.refused:
                raise
            return False, (f"the release command wants to reach {failed.refused[0]}, which a proof does not let it",)
        return True, ()

    async def _step(self, command: str, release: Release, step: str) -> None:
        """Run a command of the app's; what it writes in the app's folder is thrown away, and no fault of it."""
        await run_step(
            command, _on_layer(release), self.processes, step, publish=self.publish, content_writable=False
        )

    async def _look(
        self,
        release: Release,
        off: PackagersOff,
        port: int,
        manifest: Manifest | None,
        journey: Journey | None,
        unproved: tuple[str, ...],
    ) -> Crawl:
        """Boot it and fetch what there is. Raises Problem and NotBooted."""
        process = ShortLived()
        ready = self.app.types[WEB].ready
        try:
            async with self._process(process, release, port) as address:
                host = (journey.host if journey is not None else None) or "localhost"
                async with client_of(address, host) as client:
                    crawl = Crawl(client, manifest, host, tell=self._say, unproved=[*unproved])
                    await crawl.run(("/", *((ready,) if ready else ())))
                    if journey is not None:
                        crawl.unproved += journey.left_out
                        await crawl.follow(journey.visits(address))
        finally:
            check_called(off)
        check_disk([*crawl.failed, *crawl.failed_visits], process.lines, self._seen(release))
        return crawl

    def _seen(self, release: Release) -> Path:
        """Where the process sees the build."""
        return self.app.folder if self.isolation.level == "full" else release.confinement.content

    async def _boot_on_another_disk(
        self, lines: Iterable[str], release: Release, off: PackagersOff, port: int
    ) -> None:
        """Boot what did not boot, and said `lines`, from a throw-away layer. Raises Problem where it wanted to
        write."""
        where = wrote_at(lines, self._seen(release))
        if where is not None:
            raise writes_at_boot(where)
        if self.isolation.level not in LAYERED:
            return
        other, booted = ShortLived(), False
        self._say("booting it once more, on a disk that takes writes")
        with contextlib.suppress(NotBooted):
            async with self._process(other, _on_layer(release), port):
                booted = True
        check_called(off)
        if booted and other.wrote:
            raise needs_disk("the web process does not boot", "boots", other.wrote)

    async def _on_another_disk(self, release: Release, off: PackagersOff, port: int, crawl: Crawl) -> None:
        """Fetch again what failed, from a process that may write to a throw-away layer. Raises Problem where it
        answers then, and has written, or gets as far as to its packager: not every framework logs why it failed."""
        if self.isolation.level not in LAYERED:
            return
        process, answered = ShortLived(), {}
        self._say("pages that failed once more, on a disk that takes writes")
        with contextlib.suppress(NotBooted):
            async with (
                self._process(process, _on_layer(release), port) as address,
                client_of(address, crawl.host) as client,
            ):
                answered = {path: await crawl.status(path, client) for path in crawl.failed}
        check_called(off)
        well = [path for path, status in answered.items() if status < 400]
        if well and process.wrote:
            raise needs_disk(f"GET {plain(well[0])} fails", "is answered", process.wrote)

    def _process(
        self, process: ShortLived, release: Release, port: int
    ) -> contextlib.AbstractAsyncContextManager[str]:
        web = self.app.types[WEB]
        return short_lived(process, web, release, self.processes, port, name=f"{_NAME}.1", publish=self.publish)

    def _say(self, text: str) -> None:
        self.publish(Event("notice", data={"text": f"proof: {text}"}))


def _on_layer(release: Release) -> Release:
    """With a throw-away layer over the build, where the isolation level has one."""
    return replace(release, confinement=replace(release.confinement, read_only=False))


async def _kept_in(release: Release, journey: Journey | None, backing: Backing) -> Release:
    """With connections refused that would reach beyond this machine, and mail servers on it: what a release command
    or a client does is done once more, for good, when the release is rolled."""
    own = tuple(
        address
        for service in backing.services
        if service.kind in ("valkey", "postgres", "memcached") and service.name in backing.urls
        for address in addresses_of(service.url, service.kind)
    )
    reachable, unreachable = own, MAIL_PORTS
    if journey is not None:
        reachable, unreachable = await journey.outbound(release.environment({}), own)
    confinement = replace(release.confinement, outbound="refused", reachable=reachable, unreachable=unreachable)
    return replace(release, confinement=confinement)
