"""Releases of an app: a sealed build plus config vars, numbered v1, v2 …, never changed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.build.seal import Tree, copy_tree

KEPT = 5
"""Releases that are kept; older ones are deleted when a new one is made."""


@dataclass(frozen=True)
class Sealed:
    """A release on disk: `content` is the folder with its code, `config` its config vars."""

    number: int
    content: Path
    config: Mapping[str, str]
    digest: str
    bound: tuple[str, ...]
    made_at: float

    @property
    def name(self) -> str:
        """`v3`."""
        return f"v{self.number}"


def list_releases(folder: Path) -> tuple[Sealed, ...]:
    """All complete releases below `folder`, oldest first; unfinished ones are passed over."""
    found = []
    for entry in folder.glob("v*/release.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            data = json.loads(entry.read_text())
            found.append(
                Sealed(
                    int(entry.parent.name[1:]),
                    entry.parent / "app",
                    data["config"],
                    data["digest"],
                    tuple(data["bound"]),
                    data["made_at"],
                )
            )
    return tuple(sorted(found, key=lambda release: release.number))


class Sealing:
    """A release being made: its content is complete before anyone can see it as one."""

    def __init__(self, folder: Path, tree: Tree) -> None:
        numbers = [int(path.name[1:]) for path in folder.glob("v*") if path.name[1:].isdigit()]
        self.number = max(numbers, default=0) + 1
        self._home = folder / f"v{self.number}"
        self._folder = folder
        self._tree = tree
        self.content = self._home / "app"

    def copy(self) -> Path:
        """Copy the code; returns the folder, in which build commands may still write."""
        self._home.mkdir(mode=0o700, parents=True)
        copy_tree(self._tree, self.content)
        return self.content

    def abandon(self) -> None:
        """Delete what was made so far."""
        shutil.rmtree(self._home, ignore_errors=True)

    def finish(self, config: Mapping[str, str], digest: str) -> Sealed:
        """Write the release's record, last and at once, and delete the oldest ones."""
        sealed = Sealed(self.number, self.content, dict(config), digest, self._tree.bound, time.time())
        record = {"config": dict(config), "digest": digest, "bound": sealed.bound, "made_at": sealed.made_at}
        draft = self._home / "release.json.new"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(record, file)
        draft.replace(self._home / "release.json")
        for old in list_releases(self._folder)[:-KEPT]:
            shutil.rmtree(old.content.parent, ignore_errors=True)
        return sealed
