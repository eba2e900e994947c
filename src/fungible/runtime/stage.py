"""The ground that processes run on: folders, the lock, the isolation level, services, a release."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.app.model import App
from fungible.app.problem import Exit, Problem
from fungible.build.releases import Sealed, Sealing, list_releases
from fungible.build.seal import copy_tree, read_tree
from fungible.runtime.backing import Backing
from fungible.runtime.confinement import Confinement, shell_command
from fungible.runtime.folders import Folders
from fungible.runtime.one_off import run_one_off
from fungible.runtime.release import Release
from fungible.sandbox.launch import wipe
from fungible.sandbox.probe import Abilities, describe, probe
from fungible.sandbox.spec import Mount


@dataclass(frozen=True)
class Isolation:
    """The level in use and where layers live; `sentence` says what it does not isolate."""

    level: str
    layer: str
    sentence: str
    abilities: Abilities


async def choose_isolation(wanted: str, processes: Path) -> Isolation:
    """The level for a wish. Raises Problem (exit 3) where the machine refuses the one that was asked for."""
    abilities = await probe(str(processes))
    try:
        level = abilities.choose(wanted)
    except PermissionError as error:
        raise Problem(
            f"isolation {wanted} is not possible here: {error}; use --isolation auto ({abilities.allowed[0]})",
            Exit.NOT_ALLOWED,
        ) from None
    return Isolation(level, abilities.layer, describe(level, abilities.scopes_sockets), abilities)


class Lock:
    """One supervisor per app at a time."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._descriptor, 32).decode(errors="replace").strip()
            os.close(self._descriptor)
            by = f" (pid {holder})" if holder else ""
            raise Problem(f"this app already runs{by}: stop it first", Exit.NOT_ALLOWED) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._descriptor)


def reap_left_overs(folders: Folders) -> int:
    """Delete the private folders that a killed supervisor left; its processes died with it. Returns how many.

    To be called by the holder of the lock.
    """
    left = [path for path in folders.processes.iterdir() if path.is_dir()]
    for path in left:
        wipe(str(path))
    for path in folders.run.iterdir():
        if path.is_dir():
            wipe(str(path))
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    return len(left)


def load_config(folders: Folders) -> dict[str, str]:
    """The app's config vars. Raises Problem for a file that is damaged."""
    path = folders.state / "config.json"
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Problem(f"{path}: cannot be read as config vars ({error}); mend or delete it") from None
    return {str(name): str(value) for name, value in data.items()}


def confine(app: App, folders: Folders, isolation: Isolation, backing: Backing, sealed: Sealed) -> Confinement:
    """How the processes of a sealed release are kept apart."""
    bound = [str(app.folder / path) for path in sealed.bound]
    return Confinement(
        level=isolation.level,
        layer=isolation.layer,
        content=sealed.content,
        folder=app.folder,
        hidden=(folders.root, folders.run.parent),
        attached=tuple(Mount(path, path) for path in bound) + backing.mounts,
    )


async def prepare_release(
    app: App,
    folders: Folders,
    isolation: Isolation,
    backing: Backing,
    operating_system: Mapping[str, str],
    say: Callable[[str], None],
) -> Release:
    """Build and seal the app's folder as it is now, unless the last release is the same; run its release command.

    Raises Problem where a build or release command fails.
    """
    config = load_config(folders)
    loop = asyncio.get_running_loop()
    tree = await loop.run_in_executor(None, read_tree, app.folder)
    digest = _digest(app, tree.digest)
    last = next(iter(reversed(list_releases(folders.releases))), None)

    def release_of(sealed: Sealed) -> Release:
        confinement = confine(app, folders, isolation, backing, sealed)
        return Release(sealed.name, confinement, sealed.config, app.dotenv, operating_system, backing.urls)

    if last is not None and last.digest == digest and dict(last.config) == config:
        release = release_of(last)
    else:
        sealing = Sealing(folders.releases, tree)
        try:
            await loop.run_in_executor(None, sealing.copy)
            draft = release_of(Sealed(sealing.number, sealing.content, config, digest, tree.bound, 0.0))
            for line in app.settings.build:
                say(f"build: {line}")
                await _run_step(line, draft, folders, "build", content_writable=True)
            release = release_of(sealing.finish(config, digest))
        except BaseException:
            sealing.abandon()
            raise
        if tree.ignored:
            say(f"{release.name} leaves out {tree.ignored} files that git ignores")
    if app.release_command is not None:
        say(f"release: {app.release_command}")
        await _run_step(app.release_command, release, folders, "release", content_writable=False)
    return release


async def prepare_draft(
    app: App, folders: Folders, isolation: Isolation, backing: Backing, operating_system: Mapping[str, str]
) -> tuple[Release, Callable[[], None]]:
    """A release of the folder as it is now that is never rolled, for a one-off process; and how to drop it.

    A release that is the same is used instead. Build commands do not run: what they make is not in it.
    """
    config = load_config(folders)
    tree = read_tree(app.folder)
    last = next(iter(reversed(list_releases(folders.releases))), None)
    if last is not None and last.digest == _digest(app, tree.digest) and dict(last.config) == config:
        confinement = confine(app, folders, isolation, backing, last)
        return Release(last.name, confinement, config, app.dotenv, operating_system, backing.urls), lambda: None
    content = Path(tempfile.mkdtemp(prefix="draft-", dir=folders.releases)) / "app"
    copy_tree(tree, content)
    sealed = Sealed(0, content, config, "", tree.bound, 0.0)
    confinement = confine(app, folders, isolation, backing, sealed)
    release = Release("draft", confinement, config, app.dotenv, operating_system, backing.urls)
    return release, lambda: wipe(str(content.parent))


def _digest(app: App, tree_digest: str) -> str:
    return f"{tree_digest} {json.dumps(app.settings.build)} {app.release_command}"


async def _run_step(line: str, release: Release, folders: Folders, step: str, *, content_writable: bool) -> None:
    outcome = await run_one_off(
        shell_command(line),
        release,
        folders.processes,
        name=f"{step}.1",
        stdin=None,
        stdout=2,
        stderr=2,
        content_writable=content_writable,
    )
    if outcome.code != 0:
        raise Problem(f"the {step} command `{line}` ended with {outcome.code}; its output is above", Exit.NO)
