"""The build stage: from an app's folder to a build in the store, by the app's own commands and ours."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fungible
from fungible.app.environment import GIVEN
from fungible.app.load import FUNGIBLE_TOML, PYPROJECT
from fungible.app.model import App
from fungible.app.problem import Exit, Problem
from fungible.app.wording import counted
from fungible.build.byte_code import compile_byte_code, sources_of
from fungible.build.digests import contents_of, input_key
from fungible.build.environment import build_environment, telling, withheld_name
from fungible.build.links import delete
from fungible.build.releases import list_releases
from fungible.build.seal import Tree, copy_tree
from fungible.build.store import Build, Record, Store
from fungible.build.tools import bound_packages, identity, installs_node_modules, programs_of, versions
from fungible.runtime.events import Event
from fungible.runtime.ground.folders import Folders
from fungible.runtime.ground.release import Release
from fungible.runtime.ground.stage import Isolation, confined, reading
from fungible.runtime.process.step import StepFailed, run_step
from fungible.sandbox.spec import Mount

PROTECTED = frozenset({"full", "copy", "readonly"})
"""Isolation levels at which no process can write to what it is run from."""
_MODULES = "node_modules"
_TOLD_EVERY = 1.0
_MADE_BY = f"fungible {fungible.__version__}"
_EARLIER = 3
"""Builds whose compressed assets are looked through before a file is compressed anew."""
_OF_EVERY_SHELL = frozenset({"LANG", "TERM", "SHELL", "USER", "LOGNAME", "PWD", "OLDPWD", "SHLVL", "HOSTNAME"})
_NODE_WORDS = ("node", "npm", "npx", "yarn", "pnpm", "bun", "deno", ".sh", "./")


@dataclass(frozen=True)
class Built:
    """A build, and whether it was there already; `bound` are folders that its processes see where they are."""

    build: Build
    bound: tuple[str, ...]
    reused: bool
    seconds: float


class Builder:
    """Makes builds for the app whose `folders` these are; commands have their private folders in `processes`.

    `publish` gets what is to be said and what commands write. `withheld` are names of variables that only the run
    stage is given: a command that fails for want of one is told so. What compiles assets while requests are served is
    refused if `strict`, whoever made the build, and said if not.
    """

    def __init__(
        self,
        folders: Folders,
        processes: Path,
        operating_system: Mapping[str, str],
        *,
        publish: Callable[[Event], None],
        withheld: frozenset[str] = frozenset(),
        strict: bool = False,
    ) -> None:
        self._folders = folders
        self._processes = processes
        self._operating_system = operating_system
        self._publish = publish
        self._withheld = withheld
        self._strict = strict
        self._store = Store(folders.root / "builds")

    async def build(self, app: App, tree: Tree, isolation: Isolation) -> Built:
        """The build of `app` with the files in `tree`: one from the store, or a new one, with its commands run in
        `isolation`.

        Raises StepFailed for a command that fails, Problem for assets that are not in order.
        """
        begin = time.monotonic()
        environment, bound, key, inputs = await self._input(app, tree)
        found = await asyncio.to_thread(self._store.find, key, app.folder)
        if found is not None:
            self._judge(found.record.active)
            return Built(found, bound, True, time.monotonic() - begin)
        active = await asyncio.to_thread(_active, app, tree)
        self._judge(active)
        with self._store.draft() as content:
            with reading(app):
                await asyncio.to_thread(copy_tree, tree, content)
            async with _own_modules(app, content, bound) as seen:
                await self._run_commands(app, content, seen, environment, isolation)
            if _drops_modules(app, tree, bound):
                await asyncio.to_thread(delete, content / _MODULES)
            unproved, assets = await self._compile(app, content)
            await self._byte_code(content, app, bound, environment)
            record = await asyncio.to_thread(
                self._record, app, content, bound, key, inputs, environment, unproved, assets, tree, active
            )
            made = await asyncio.to_thread(self._store.add, content, record)
        return Built(made, bound, False, time.monotonic() - begin)

    async def find(self, app: App, tree: Tree) -> Built | None:
        """The build of `app` with the files in `tree` where the store has it. Raises Problem for what cannot be
        read, and for what is refused."""
        begin = time.monotonic()
        _, bound, key, _ = await self._input(app, tree)
        found = await asyncio.to_thread(self._store.find, key, app.folder)
        if found is None:
            return None
        if self._strict:
            self._judge(found.record.active)
        return Built(found, bound, True, time.monotonic() - begin)

    def say(self, text: str) -> None:
        """Tell people something."""
        self._publish(Event("notice", data={"text": text}))

    async def _input(self, app: App, tree: Tree) -> tuple[dict[str, str], tuple[str, ...], str, dict[str, str]]:
        """What a build comes of: its environment, folders that it sees where they are, its key, digests of files."""
        environment = build_environment(self._operating_system, self._folders.state / "cache", _home())
        bound = tuple(path for path in tree.bound if not self._installs(app, path))
        with reading(app):
            key, inputs = await asyncio.to_thread(self._key, app, tree, bound, environment)
        return environment, bound, key, inputs

    def _judge(self, active: tuple[str, ...]) -> None:
        if active and self._strict:
            raise Problem("\nfungible: ".join(active), Exit.NO)
        for sentence in active:
            self.say(sentence)

    def _installs(self, app: App, path: str) -> bool:
        return path == _MODULES and installs_node_modules(app.settings.build)

    def _key(
        self, app: App, tree: Tree, bound: tuple[str, ...], environment: Mapping[str, str]
    ) -> tuple[str, dict[str, str]]:
        programs = programs_of((*app.settings.build, "python"), environment.get("PATH", ""))
        said: dict[str, Any] = {
            "fungible": fungible.__version__,
            "commands": app.settings.build,
            "roots": app.settings.assets.roots,
            "url": app.settings.assets.url,
            "programs": identity(programs),
            "packages": bound_packages(tree.folder, bound),
            "variables": telling(environment),
            "drops": _drops_modules(app, tree, bound),
        }
        return input_key(tree, said)

    async def _run_commands(
        self,
        app: App,
        content: Path,
        bound: tuple[str, ...],
        environment: Mapping[str, str],
        isolation: Isolation,
    ) -> None:
        if not app.settings.build:
            return
        cache = self._folders.state / "cache"
        cache.mkdir(mode=0o700, exist_ok=True)
        kept = Mount(str(cache), str(cache), writable=True)
        confinement = confined(app, self._folders, isolation, content, bound=bound, attached=(kept,))
        release = Release("build", confinement, {}, (), environment, {})
        for line in app.settings.build:
            self.say(f"build: {line}")
            begin = time.monotonic()
            try:
                await run_step(line, release, self._processes, "build", publish=self._publish, content_writable=True)
            except StepFailed as failed:
                raise self._explained(failed) from None
            self.say(f"build: done in {time.monotonic() - begin:.1f} s")

    def _explained(self, failed: StepFailed) -> StepFailed:
        name = withheld_name(failed.last, self._withheld)
        if name is None:
            return failed
        return StepFailed(
            failed.why,
            failed.exit,
            failed.instance,
            failed.last,
            hint=f"It speaks of {name}, which only the run stage gets: let the build do without it, or give it "
            f"a value of its own in the line (`{name}=build …`)",
        )

    async def _compile(self, app: App, content: Path) -> tuple[tuple[str, ...], int]:
        from fungible.build.assets.compile import (
            compile_assets,  # compressors and parsers, of no use to a second build
        )
        from fungible.build.proof.references import prove_references

        settings = app.settings.assets
        file = FUNGIBLE_TOML if FUNGIBLE_TOML in app.sources else PYPROJECT
        unproved: tuple[str, ...] = ()
        manifest = None
        if settings.roots:
            told = [time.monotonic()]

            def progress(done: int, of: int) -> None:
                if time.monotonic() - told[0] >= _TOLD_EVERY and done < of:
                    told[0] = time.monotonic()
                    loop.call_soon_threadsafe(self.say, f"assets: {done} of {of}")

            loop = asyncio.get_running_loop()
            earlier = await asyncio.to_thread(self._store.latest_with_assets, _MADE_BY, _EARLIER)
            compiled = await asyncio.to_thread(
                compile_assets, content, settings.roots, settings.url, file, progress, earlier
            )
            manifest, unproved = compiled.manifest, compiled.unproved
            self.say(f"assets: {counted(len(manifest.files), 'file')}")
        more = await asyncio.to_thread(prove_references, content, settings.roots, manifest)
        return (*unproved, *more), len(manifest.files) if manifest is not None else 0

    async def _byte_code(
        self, content: Path, app: App, bound: tuple[str, ...], environment: Mapping[str, str]
    ) -> None:
        files = await asyncio.to_thread(sources_of, content, bound)
        if files:
            last = next(reversed(list_releases(self._folders.releases)), None)
            await compile_byte_code(content, files, environment, last.content if last is not None else None)

    def _record(
        self,
        app: App,
        content: Path,
        bound: tuple[str, ...],
        key: str,
        inputs: Mapping[str, str],
        environment: Mapping[str, str],
        unproved: tuple[str, ...],
        assets: int,
        tree: Tree,
        active: tuple[str, ...],
    ) -> Record:
        contents = contents_of(content, without=bound, looking_for=(str(app.folder), str(content)))
        placed = [path for path in contents.placed if inputs.get(path) != contents.files[path]]
        programs = programs_of((*app.settings.build, "python"), environment.get("PATH", ""))
        return Record(
            digest=contents.digest,
            key=key,
            made_by=_MADE_BY,
            commands=app.settings.build,
            tools=versions(programs, environment),
            variables=telling(environment),
            inputs=inputs,
            files=contents.files,
            assets=assets,
            unproved=unproved,
            bound_to=str(app.folder) if placed else None,
            left_out=tree.bound,
            active=active,
        )


def _active(app: App, tree: Tree) -> tuple[str, ...]:
    """Packagers at work in the run stage, a sentence each."""
    from fungible.build.proof.run_time_packagers import run_time_packagers

    return tuple(each.sentence for each in run_time_packagers(tree.folder, tree.files, app.settings.build))


@contextlib.asynccontextmanager
async def _own_modules(app: App, content: Path, bound: tuple[str, ...]) -> AsyncIterator[tuple[str, ...]]:
    """Give the build commands a copy of each bound `node_modules`, for as long as they run: bundlers keep their
    temporary files and caches in there. Yields what is still to be bound."""
    copied = [path for path in bound if path.rsplit("/", 1)[-1] == _MODULES] if app.settings.build else []
    for path in copied:
        source, target = f"{app.folder / path}/.", f"{content / path}/"
        copy = await asyncio.create_subprocess_exec("cp", "-a", "--reflink=auto", source, target)
        if await copy.wait() != 0:
            raise Problem(f"{path}: cannot be copied for the build commands; its reason is above", Exit.NOT_ALLOWED)
    yield tuple(path for path in bound if path not in copied)
    for path in copied:
        await asyncio.to_thread(delete, content / path)
        (content / path).mkdir()


def withheld(app: App, config: Mapping[str, str], operating_system: Mapping[str, str]) -> frozenset[str]:
    """Names of variables that the run stage gets and the build stage does not."""
    passed = build_environment(operating_system, Path(), None)
    run = {*config, *(assignment.name for assignment in app.dotenv), *operating_system, *app.settings.services}
    return frozenset(run - passed.keys() - GIVEN - _OF_EVERY_SHELL)


def _drops_modules(app: App, tree: Tree, bound: tuple[str, ...]) -> bool:
    """Whether `node_modules` that the build installs are of no use afterwards: no process runs Node."""
    if not installs_node_modules(app.settings.build) or _MODULES in bound:
        return False
    commands = [*(type.command for type in app.types.values()), app.release_command or ""]
    return not any(word in command for command in commands for word in _NODE_WORDS)


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None
