"""The files below the roots of assets, before they are named."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.app.wording import nearest, plain
from fungible.build.assets.manifest import SUFFIXES


@dataclass(frozen=True)
class Source:
    """A file of a root: `name` is its path below the `root`, `/` between folders; `path` where it is."""

    root: str
    name: str
    path: Path

    @property
    def shown(self) -> str:
        """As messages name it: from the app's folder."""
        return plain(f"{self.root}/{self.name}")


def collect(content: Path, roots: Iterable[str], settings_file: str) -> tuple[Source, ...]:
    """All files below the roots of the build in `content`, sorted by name.

    Hidden files and compressed copies of others are no assets. Raises Problem for a root that is not there, a link
    that leads out of its root, and two files of one name.
    """
    found: dict[str, Source] = {}
    for index, root in enumerate(dict.fromkeys(root.strip("/") for root in roots)):
        folder = content / root
        if not folder.is_dir():
            others = [entry.name for entry in content.iterdir() if entry.is_dir()]
            raise Problem(
                f"{settings_file}: assets.roots[{index}]: there is no folder {plain(root)} when the build commands "
                f"have run; let one of them make it (what git ignores is not copied), or take it out."
                f"{nearest(root, others)}",
                Exit.NO,
            )
        for source in _walk(content, root):
            other = found.get(source.name)
            if other is not None:
                raise Problem(
                    f"{source.shown} and {other.shown} would have one address; rename one, or take out a root.",
                    Exit.NO,
                )
            found[source.name] = source
    return tuple(found[name] for name in sorted(found))


def _is_inside(path: str, limit: str) -> bool:
    """Whether it is a file, in the folder `limit`; the folders that lead there are no links."""
    mode = os.lstat(path).st_mode
    if not stat.S_ISLNK(mode):
        return stat.S_ISREG(mode)
    real = os.path.realpath(path)
    return real.startswith(limit + os.sep) and os.path.isfile(real)


def _walk(content: Path, root: str) -> list[Source]:
    limit = os.path.realpath(content / root)
    found = []
    for folder, folders, files in os.walk(content / root, followlinks=False):
        for name in [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            shown = os.path.relpath(os.path.join(folder, name), content)
            raise Problem(f"{plain(shown)}: a link to a folder; put the folder itself there.", Exit.NO)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        present = set(files)
        for name in sorted(files):
            path = os.path.join(folder, name)
            if name.startswith(".") or any(
                name.endswith(end) and name[: -len(end)] in present for end in (*SUFFIXES.values(), ".zst")
            ):
                continue
            if not _is_inside(path, limit):
                shown = os.path.relpath(path, content)
                raise Problem(
                    f"{plain(shown)}: this leads out of {plain(root)}, and only what is in it is served; put the "
                    "file itself there.",
                    Exit.NO,
                )
            found.append(Source(root, os.path.relpath(path, content / root).replace(os.sep, "/"), Path(path)))
    return found
