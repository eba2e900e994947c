"""The ground that processes run on: folders, the lock, the isolation level, services, a release."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.app.model import App
from fungible.app.problem import Exit, Problem
from fungible.build.links import copy_writable
from fungible.build.releases import Sealed, list_releases
from fungible.build.seal import Tree, copy_tree, read_tree
from fungible.runtime.ground.backing import LOCK, Backing
from fungible.runtime.ground.confinement import Confinement
from fungible.runtime.ground.folders import Folders
from fungible.runtime.ground.release import Release
from fungible.runtime.ground.session import Session, reap_sessions, take
from fungible.sandbox.launch import wipe
from fungible.sandbox.probe import Abilities, describe, probe
from fungible.sandbox.spec import Mount
from fungible.services.place import write_private


@dataclass(frozen=True)
class Isolation:
    """The level in use and where layers live; `sentence` says what it does not isolate."""

    level: str
    layer: str
    sentence: str
    abilities: Abilities


async def choose_isolation(wanted: str, processes: Path) -> Isolation:
    """The level for a wish. Raises Problem (exit 3) where the machine refuses the one that was asked for."""
    with Session(processes) as folder:
        abilities = await probe(str(folder))
    try:
        level = abilities.choose(wanted)
    except PermissionError as error:
        raise Problem(
            f"isolation {wanted} is not possible here: {error}; use --isolation auto ({abilities.allowed[0]})",
            Exit.NOT_ALLOWED,
        ) from None
    return Isolation(level, abilities.layer, describe(level, abilities.scopes_sockets), abilities)


class Lock:
    """One supervisor per app at a time; another one is told where it is, as it wrote in the file `url`."""

    def __init__(self, path: Path, url: Path) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._descriptor, 32).decode(errors="replace").strip()
            os.close(self._descriptor)
            by = f" (pid {holder})" if holder else ""
            at = ""
            with contextlib.suppress(OSError):
                at = f" at {url.read_text(encoding='utf-8').strip()}"
            raise Problem(
                f"this app already runs{at}{by}: `fungible ps` shows it, `fungible stop` stops it", Exit.NOT_ALLOWED
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._descriptor)


def reap_left_overs(folders: Folders) -> int:
    """Delete what a killed supervisor left: private folders, sockets, releases half made. Its processes died with
    it. Returns how many private folders there were.

    To be called by the holder of the lock. One-off processes that are running keep theirs.
    """
    left = reap_sessions(folders.processes)
    clear_run(folders)
    for path in folders.releases.glob("v*"):
        if not (path / "release.json").exists():
            wipe(str(path))
    return left


def clear_run(folders: Folders) -> None:
    """Delete sockets and notes of a supervisor; not those of a one-off process that runs its own services."""
    lock = take(folders.run / LOCK)
    if lock is not None:
        wipe(str(folders.run))
        os.close(lock)


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


def store_config(folders: Folders, config: Mapping[str, str]) -> None:
    """Keep the app's config vars. Raises Problem where that is not possible."""
    path = folders.state / "config.json"
    try:
        write_private(path, json.dumps(dict(config), indent=1) + "\n")
    except OSError as error:
        raise Problem(f"{path}: cannot be written ({error.strerror})", Exit.NOT_ALLOWED) from None


def confined(
    app: App,
    folders: Folders,
    isolation: Isolation,
    content: Path,
    *,
    bound: Iterable[str] = (),
    attached: tuple[Mount, ...] = (),
    at: Path | None = None,
) -> Confinement:
    """How processes that run `content` in place of the app's folder are kept apart, whoever runs them.

    They see it where the app's folder is, or `at` another path; `bound` are folders in the app's that they see where
    they are, `attached` what else shines through.
    """
    seen = app.folder if at is None else at
    return Confinement(
        level=isolation.level,
        layer=isolation.layer,
        content=content,
        folder=seen,
        hidden=(folders.root, folders.run.parent),
        attached=tuple(Mount(str(app.folder / path), str(seen / path)) for path in bound) + attached,
    )


def confine(app: App, folders: Folders, isolation: Isolation, backing: Backing, sealed: Sealed) -> Confinement:
    """How the processes of a sealed release are kept apart."""
    attached = backing.mounts
    if app.settings.assets.roots and folders.assets.is_dir():
        attached = (Mount(str(folders.assets), str(folders.assets)), *attached)
    return confined(app, folders, isolation, sealed.content, bound=sealed.bound, attached=attached)


def prepare_draft(
    app: App,
    folders: Folders,
    processes: Path,
    isolation: Isolation,
    backing: Backing,
    operating_system: Mapping[str, str],
    built: Path | None = None,
) -> Release:
    """A release of the folder as it is now that is never rolled, for a one-off process; its copy is in `processes`.

    A release that is the same is used instead, or else a copy of the build at `built`. Build commands do not run:
    without either, what they make is not in it. Raises Problem for a folder that cannot be read.
    """
    config = load_config(folders)
    tree = look_at(app, folders)
    last = next(iter(reversed(list_releases(folders.releases))), None)
    if last is not None and last.digest == digest_of(app, tree) and dict(last.config) == config:
        confinement = confine(app, folders, isolation, backing, last)
        return Release(last.name, confinement, config, app.dotenv, operating_system, backing.urls)
    content = processes / "draft" / "app"
    with reading(app):
        if built is not None:
            copy_writable(built, content)
        else:
            copy_tree(tree, content)
    sealed = Sealed(0, content, config, "", tree.bound, 0.0)
    confinement = confine(app, folders, isolation, backing, sealed)
    return Release("draft", confinement, config, app.dotenv, operating_system, backing.urls)


def look_at(app: App, folders: Folders) -> Tree:
    """What of the app's folder goes into a release; our own state is none of it, if it lies there (HOME=/app).

    Raises Problem for what cannot be read.
    """
    with reading(app):
        return read_tree(app.folder, without=(folders.root, folders.run.parent))


@contextlib.contextmanager
def reading(app: App) -> Iterator[None]:
    """Turns what cannot be read of its folder into a Problem."""
    try:
        yield
    except OSError as error:
        raise Problem(
            f"{error.filename or app.folder}: cannot be copied into a release ({error.strerror}); mend its "
            "permissions, or let git ignore it",
            Exit.BAD_INPUT,
        ) from None


def digest_of(app: App, tree: Tree) -> str:
    """What tells whether two releases have the same code and are run in the same way."""
    said = hashlib.sha256(json.dumps([app.settings.build, app.release_command]).encode())
    for text in declarations(app).values():
        said.update(len(text).to_bytes(8) + text)
    return f"{tree.digest} {said.hexdigest()}"


def declarations(app: App) -> dict[str, bytes]:
    """The files, by name, that say how the app is run; those that have gone since it was read are left out."""
    texts = {}
    for name in app.sources:
        with contextlib.suppress(OSError):
            texts[name] = (app.folder / name).read_bytes()
    return texts
