"""Releases of an app: a sealed build plus config vars, numbered v1, v2 …, never changed.

On disk a release is a folder `v3` with its record. A release that was made of a new build holds that as well (`app`,
its files hard links to those of the build in the store, in `declared` the files that said how to run it); one that
was made by a change of config vars or by a roll-back names the release whose build it shares.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.build.assets.previous import keep_previous
from fungible.build.links import delete, link_tree
from fungible.services.place import write_private

KEPT = 5
"""Releases that are kept; older ones are deleted when a new one is made."""
_RECORD = "release.json"
_ABANDONED = "abandoned"


@dataclass(frozen=True)
class Sealed:
    """A release on disk: `content` is the folder with its code, `declared` the one with the texts of its Procfile and
    settings, `config` its config vars.

    `digest` tells of an app's folder whether it is still what this was made of; `sealed` is the digest of the
    build's own files. `build` is the number of the release that holds the build, `reason` says why it was made;
    `abandoned` why it is not served, None for a release that may be.
    """

    number: int
    content: Path
    config: Mapping[str, str]
    digest: str
    bound: tuple[str, ...]
    made_at: float
    build: int = 0
    reason: str = ""
    abandoned: str | None = None
    sealed: str = ""

    @property
    def name(self) -> str:
        """`v3`."""
        return f"v{self.number}"

    @property
    def declared(self) -> Path:
        """Where the texts of its Procfile, its settings and its `.env` are."""
        return self.content.parent / "declared"


def list_releases(folder: Path) -> tuple[Sealed, ...]:
    """All complete releases below `folder`, oldest first; unfinished ones are passed over."""
    found = []
    for entry in folder.glob(f"v*/{_RECORD}"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            data = json.loads(entry.read_text())
            number = int(entry.parent.name[1:])
            build = int(data.get("build", number))
            content = folder / f"v{build}" / "app"
            if not content.is_dir():
                continue
            found.append(
                Sealed(
                    number,
                    content,
                    data["config"],
                    data["digest"],
                    tuple(data["bound"]),
                    data["made_at"],
                    build,
                    str(data.get("reason", "")),
                    _abandoned(entry.parent),
                    str(data.get("sealed", "")),
                )
            )
    return tuple(sorted(found, key=lambda release: release.number))


def _abandoned(home: Path) -> str | None:
    try:
        return (home / _ABANDONED).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def abandon(folder: Path, number: int, why: str) -> None:
    """Note that the release `number` below `folder` is not to be served; `why` is one sentence."""
    with contextlib.suppress(OSError):
        write_private(folder / f"v{number}" / _ABANDONED, why + "\n")


def accept(folder: Path, number: int) -> None:
    """Take back that the release `number` below `folder` is not to be served."""
    with contextlib.suppress(OSError):
        (folder / f"v{number}" / _ABANDONED).unlink(missing_ok=True)


class Sealing:
    """A release with a build of its own being made: its content is complete before anyone can see it as one."""

    def __init__(self, folder: Path, bound: tuple[str, ...]) -> None:
        self.number = _next_number(folder)
        self._home = folder / f"v{self.number}"
        self._folder = folder
        self._bound = bound
        self.content = self._home / "app"

    def take(self, build: Path, roots: Collection[str] = (), *, linked: bool = True) -> int:
        """Take over the files of a build, and the assets of the releases before this one for pages that were loaded
        before; `roots` are the app's folders of assets. Returns how many of those. Raises OSError.

        Files are `linked` to those of the build where no process can write to them, and copied otherwise.
        """
        self._home.mkdir(mode=0o700, parents=True)
        if linked:
            link_tree(build, self.content)
        else:
            shutil.copytree(build, self.content, symlinks=True)
        earlier = [release.content for release in reversed(list_releases(self._folder)) if release.abandoned is None]
        return keep_previous(self.content, dict.fromkeys(earlier), roots)

    def declare(self, texts: Mapping[str, bytes]) -> None:
        """Keep the files, by name, that say how it is run."""
        folder = self._home / "declared"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in texts.items():
            with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(text)

    def abandon(self) -> None:
        """Delete what was made so far."""
        if self._home.exists():
            delete(self._home)

    def finish(
        self,
        config: Mapping[str, str],
        digest: str,
        *,
        sealed: str = "",
        reason: str = "",
        in_use: Collection[int] = (),
    ) -> Sealed:
        """Write the release's record, last and at once, and delete the oldest releases but those `in_use`."""
        made = Sealed(
            self.number,
            self.content,
            dict(config),
            digest,
            self._bound,
            time.time(),
            self.number,
            reason,
            sealed=sealed,
        )
        _record(self._home, made)
        prune(self._folder, in_use)
        return made


def derive(
    folder: Path, base: Sealed, config: Mapping[str, str], *, reason: str, in_use: Collection[int] = ()
) -> Sealed:
    """A new release of the build of `base` with other config vars; nothing is copied. Raises OSError."""
    number = _next_number(folder)
    made = Sealed(
        number,
        base.content,
        dict(config),
        base.digest,
        base.bound,
        time.time(),
        base.build,
        reason,
        sealed=base.sealed,
    )
    (folder / made.name).mkdir(mode=0o700)
    _record(folder / made.name, made)
    prune(folder, in_use)
    return made


def prune(folder: Path, in_use: Collection[int] = ()) -> None:
    """Delete all but the last releases, those `in_use` (by number), and those whose build any of these shares."""
    releases = list_releases(folder)
    kept = {release.number for release in releases[-KEPT:]} | set(in_use)
    kept |= {release.build for release in releases if release.number in kept}
    for release in releases:
        if release.number not in kept:
            delete(folder / release.name)


def _next_number(folder: Path) -> int:
    numbers = [int(path.name[1:]) for path in folder.glob("v*") if path.name[1:].isdigit()]
    return max(numbers, default=0) + 1


def _record(home: Path, sealed: Sealed) -> None:
    record = {
        "config": dict(sealed.config),
        "digest": sealed.digest,
        "bound": sealed.bound,
        "made_at": sealed.made_at,
        "build": sealed.build,
        "reason": sealed.reason,
        "sealed": sealed.sealed,
    }
    write_private(home / _RECORD, json.dumps(record))
