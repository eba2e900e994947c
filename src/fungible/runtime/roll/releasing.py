"""From an app's folder, or from an earlier release, to the next release; its commands run on the way."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.app.load import DOTENV
from fungible.app.model import WEB, App
from fungible.app.problem import Exit, Problem
from fungible.app.wording import counted, few, nearest
from fungible.build.assets.shared import share_assets
from fungible.build.releases import Sealed, Sealing, derive, list_releases
from fungible.runtime.build.boot_known import carry_boot
from fungible.runtime.build.building import PROTECTED, Builder, withheld
from fungible.runtime.build.proving import Prover, is_proved, known, proved_text
from fungible.runtime.events import Event
from fungible.runtime.ground.backing import Backing
from fungible.runtime.ground.folders import Folders
from fungible.runtime.ground.lost_database import NAME as DATABASE
from fungible.runtime.ground.lost_database import lost_database
from fungible.runtime.ground.release import Release
from fungible.runtime.ground.stage import Isolation, confine, declarations, digest_of, load_config, look_at
from fungible.runtime.process.step import StepFailed, run_step
from fungible.services.sqlite import FILE

__all__ = ["Ready", "Releasing", "StepFailed"]


@dataclass(frozen=True)
class Ready:
    """A release, and the command that is to run once before it is rolled; `new` if it was made just now."""

    release: Release
    sealed: Sealed
    command: str | None
    new: bool


class Releasing:
    """Makes the releases of `app`, in `folders`; commands have their private folders in `processes`.

    `load` reads how an app is run from a folder with its Procfile and settings. `publish` gets what is to be said and
    what commands write; `conceal` is told of every release before anything of it runs, so that its secrets are struck
    out of that; `prover` proves what makes assets before it becomes a release. Every method raises Problem where the
    app or its folder is at fault.
    """

    def __init__(
        self,
        app: App,
        folders: Folders,
        processes: Path,
        isolation: Isolation,
        backing: Backing,
        operating_system: Mapping[str, str],
        *,
        publish: Callable[[Event], None],
        load: Callable[[Path], App],
        conceal: Callable[[Release], None],
        prover: Prover,
    ) -> None:
        self._app = app
        self._folders = folders
        self._processes = processes
        self._isolation = isolation
        self._backing = backing
        self._operating_system = operating_system
        self._publish = publish
        self._load = load
        self._conceal = conceal
        self._prover = prover

    def list(self) -> tuple[Sealed, ...]:
        """All releases, oldest first."""
        return list_releases(self._folders.releases)

    def config(self) -> dict[str, str]:
        """The config vars as they are kept."""
        return load_config(self._folders)

    def say(self, text: str) -> None:
        """Tell people something."""
        self._publish(Event("notice", data={"text": text}))

    async def first(self, *, prove: bool = True) -> Ready:
        """A release of the app as it was loaded; the last one, if it is the same. It is booted for its proof if
        `prove` says so."""
        return await self._of_folder(self._app, self.config(), (), prove)

    async def of_folder(self, in_use: Collection[int], *, prove: bool = True) -> Ready:
        """A release of the app's folder as it is now. Releases `in_use` are kept; for `prove` see `first`."""
        app = await asyncio.get_running_loop().run_in_executor(None, self._load, self._app.folder)
        self._check(app)
        return await self._of_folder(app, self.config(), in_use, prove)

    def of_config(self, base: str, config: Mapping[str, str], reason: str, in_use: Collection[int]) -> Ready:
        """A release with the code of the one called `base` and other config vars."""
        return self._derive(self._called(base), config, reason, in_use)

    def of_earlier(self, name: str | None, current: str, in_use: Collection[int]) -> Ready:
        """A release with the code and the config vars of an earlier one: the one called `name`, or the last one
        before `current` that was not abandoned."""
        if name is None:
            number = int(current[1:])
            # A roll-back of a roll-back goes on from where that one came from.
            fit = [each for each in self.list() if each.number < number and each.abandoned is None]
            now = next((each for each in self.list() if each.number == number), None)
            fit = [each for each in fit if now is None or (each.build, each.config) != (now.build, now.config)]
            last = self.list()[-1]
            if last.number > number and last.abandoned is not None:
                # Who wants to be rid of the broken release is: going on would undo a good one.
                further = f"; `fungible rollback {fit[-1].name}` goes back further" if fit else ""
                raise Problem(f"{last.name} was abandoned, and {current} serves already{further}", Exit.NO)
            if not fit:
                raise Problem(f"there is no release before {current} to go back to", Exit.NOT_ALLOWED)
            earlier = fit[-1]
        else:
            earlier = self._called(name)
        return self._derive(earlier, earlier.config, f"rollback to {earlier.name}", in_use)

    async def run_command(self, ready: Ready) -> None:
        """Run the release's own command, once, with its code and its config vars."""
        if ready.command is not None:
            self.say(f"release: {ready.command}")
            await self._run(ready.command, ready.release, "release")

    def _called(self, name: str) -> Sealed:
        releases = {release.name: release for release in self.list()}
        if name not in releases:
            known = f" Kept are {', '.join(releases)}." if releases else ""
            raise Problem(f"there is no release {name}.{nearest(name, ()) or known}")
        return releases[name]

    def _check(self, app: App) -> None:
        """Refuse what a running formation cannot follow."""
        if app.settings.services != self._app.settings.services:
            raise Problem(
                "the settings under `services` have changed: stop the formation and start it again", Exit.NOT_ALLOWED
            )
        if WEB in app.types and WEB not in self._app.types:
            raise Problem(
                "there is a type `web` now, which needs the router: stop the formation and start it again",
                Exit.NOT_ALLOWED,
            )
        for name in ("router", "isolation"):
            if getattr(app.settings, name) != getattr(self._app.settings, name):
                self.say(f"the setting `{name}` has changed: that takes effect with the next start")

    async def _of_folder(self, app: App, config: Mapping[str, str], in_use: Collection[int], prove: bool) -> Ready:
        loop = asyncio.get_running_loop()
        tree = await loop.run_in_executor(None, look_at, app, self._folders)
        digest = await loop.run_in_executor(None, digest_of, app, tree)
        kept = self.list()
        if kept and kept[-1].digest == digest and dict(kept[-1].config) == config and kept[-1].abandoned is None:
            if prove:
                await self._prove(app, kept[-1].content, kept[-1].bound, config)
            return self._ready(kept[-1], app, new=False)
        built = next((each for each in reversed(kept) if each.digest == digest), None)
        if built is not None:
            if prove:
                await self._prove(app, built.content, built.bound, config)
            return self._ready(derive(self._folders.releases, built, config, reason="code", in_use=in_use), app)
        # What a process will be given is known to be right, and struck out of what is said, before anything runs.
        self._release(Sealed(0, app.folder, config, digest, tree.bound, 0.0), app)
        builder = Builder(
            self._folders,
            self._processes,
            self._operating_system,
            publish=self._publish,
            withheld=withheld(app, config, self._operating_system),
            strict=is_proved(app),
        )
        made = await builder.build(app, tree, self._isolation)
        if prove:
            await self._prove(app, made.build.content, made.bound, config)
        sealing = Sealing(self._folders.releases, made.bound)
        try:
            linked = self._isolation.level in PROTECTED
            await asyncio.to_thread(sealing.take, made.build.content, app.settings.assets.roots, linked=linked)
            carry_boot(made.build.content, sealing.content)
            sealing.declare(declarations(app))
            sealed = sealing.finish(config, digest, sealed=made.build.digest, reason="code", in_use=in_use)
            if app.settings.assets.roots:
                contents = [each.content for each in reversed(self.list())]
                await loop.run_in_executor(None, share_assets, self._folders.assets, contents)
            ready = self._ready(sealed, app)
        except BaseException:
            sealing.abandon()
            raise
        ignored = [path for path in tree.ignored if path != DOTENV]  # that is read, wherever it is kept
        if ignored:
            self.say(f"{sealed.name} leaves out {counted(len(ignored), 'file')} that git ignores: {few(ignored)}")
        return ready

    async def _prove(self, app: App, content: Path, bound: tuple[str, ...], config: Mapping[str, str]) -> None:
        """Boot it and fetch what its pages load, where it makes assets and has not been booted. Raises Problem."""
        if WEB in app.types and is_proved(app) and known(app, content, config, self._operating_system) is None:
            boot = await self._prover.prove(app, content, bound, config)
            self.say(proved_text(boot))
            for each in boot.unproved:
                self.say(f"not proved: {each}")

    def _derive(self, base: Sealed, config: Mapping[str, str], reason: str, in_use: Collection[int]) -> Ready:
        declared = self._load(base.declared)
        app = dataclasses.replace(declared, folder=self._app.folder, name=self._app.name)
        self._check(app)
        sealed = derive(self._folders.releases, base, config, reason=reason, in_use={*in_use, base.number})
        return self._ready(sealed, app)

    def _ready(self, sealed: Sealed, app: App, *, new: bool = True) -> Ready:
        return Ready(self._release(sealed, app), sealed, app.release_command, new)

    def _release(self, sealed: Sealed, app: App) -> Release:
        named = {*sealed.config, *(assignment.name for assignment in app.dotenv)}
        services = {name: url for name, url in self._backing.urls.items() if name not in named}
        lost = app.settings.services.keys() - services.keys() - named - self._operating_system.keys()
        if lost:
            raise Problem(
                f"{min(lost)} is declared under `services`, and nothing else sets it now: stop the formation and "
                "start it again, and the service is started with it",
                Exit.NOT_ALLOWED,
            )
        confinement = confine(app, self._folders, self._isolation, self._backing, sealed)
        release = Release(
            sealed.name,
            confinement,
            sealed.config,
            app.dotenv,
            self._operating_system,
            services,
            app.types,
            sealed.build,
            self._folders.assets if app.settings.assets.roots else None,
        )
        self._conceal(release)
        return release

    async def _run(self, line: str, release: Release, step: str) -> None:
        outcome = await run_step(line, release, self._processes, step, publish=self._publish, content_writable=False)
        if outcome.databases:
            would_be = self._folders.services / DATABASE / FILE
            environment = release.environment({})
            raise Problem(
                lost_database(
                    outcome.databases[0],
                    f"the {step} command",
                    environment=environment,
                    embedded=release.services,
                    would_be=would_be,
                )
            )
