"""When a build is proved by booting it: once for each content that makes assets, whoever builds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from fungible.app.model import WEB, App
from fungible.app.problem import Problem
from fungible.app.wording import counted
from fungible.build.tools import makes_assets
from fungible.runtime.build.boot_known import Boot, known_boot, note_boot
from fungible.runtime.build.journey import Journey, Plan
from fungible.runtime.events import Event
from fungible.runtime.ground.backing import set_elsewhere
from fungible.runtime.ground.folders import Folders
from fungible.runtime.ground.release import Release
from fungible.runtime.ground.session import Session
from fungible.runtime.ground.stage import Isolation
from fungible.services.url import find_store_urls


def is_proved(app: App) -> bool:
    """Whether a build of `app` is refused, by whatever command, where something is left to compile for the run stage:
    it makes assets, and its settings do not say otherwise."""
    return app.settings.assets.prove and makes_assets(app.settings.build, app.settings.assets.roots)


class Prover:
    """Proves builds of the app whose `folders` these are. `plan` says what a client does at it; `publish` gets what
    is to be said and what processes write, `conceal` each release before anything of it runs."""

    def __init__(
        self,
        folders: Folders,
        isolation: Isolation,
        operating_system: Mapping[str, str],
        *,
        publish: Callable[[Event], None],
        conceal: Callable[[Release], None],
        plan: Plan,
    ) -> None:
        self._folders = folders
        self._isolation = isolation
        self._operating_system = operating_system
        self._publish = publish
        self._conceal = conceal
        self._plan = plan

    async def prove(self, app: App, content: Path, bound: tuple[str, ...], config: Mapping[str, str]) -> Boot:
        """Boot the web process of the build in `content`, fetch what its pages load, and note what was found.

        Raises Problem (exit 1) where it does not boot, runs a packager, or a page loads what is not there.
        """
        from fungible.runtime.build.boot_proof import BootProof  # an HTTP client, of no use to a build that is known

        web = app.types[WEB]
        elsewhere = stores_elsewhere(app, config, self._operating_system)
        journey, unproved = self._journey(app, elsewhere)
        said = {"text": "proof: booting it on a read-only disk, without packagers"}
        self._publish(Event("notice", data=said))
        with Session(self._folders.processes) as processes:
            proof = BootProof(
                app=app,
                content=content,
                bound=bound,
                config=config,
                folders=self._folders,
                processes=processes,
                isolation=self._isolation,
                operating_system=self._operating_system,
                publish=self._publish,
                conceal=self._conceal,
            )
            boot = await proof.run(journey, unproved)
        note_boot(content, web, boot, ours=not elsewhere)
        return boot

    def _journey(self, app: App, elsewhere: tuple[str, ...]) -> tuple[Journey | None, tuple[str, ...]]:
        try:
            journey = self._plan(app)
        except Problem as problem:
            return None, (problem.message,)
        if journey is not None and elsewhere:
            names = ", ".join(elsewhere)
            return None, (f"the workload is not sent: it may write, and {names} names a store that is not ours",)
        return journey, ()


def known(app: App, content: Path, config: Mapping[str, str], operating_system: Mapping[str, str]) -> Boot | None:
    """What was found when the build in `content` was booted, None where that is still to be done."""
    return known_boot(content, app.types[WEB], ours=not stores_elsewhere(app, config, operating_system))


def stores_elsewhere(app: App, config: Mapping[str, str], operating_system: Mapping[str, str]) -> tuple[str, ...]:
    """Variables that name a store which is not one of the app's embedded services: what writes there lasts."""
    declared = app.settings.services
    found = []
    for name, text in set_elsewhere(app, config, operating_system).items():
        if text and (name in declared or find_store_urls(name, text)):
            found.append(name)
    return tuple(sorted(found))


def proved_text(boot: Boot) -> str:
    """What was found, as people read it."""
    if not boot.pages and not boot.unproved:
        return "proved: it boots, and has no page"
    workload = f", with {counted(boot.requests, 'request')} of the workload" if boot.requests else ""
    return f"proved: {counted(boot.pages, 'page')}, {counted(boot.assets, 'file')} loaded{workload}"
