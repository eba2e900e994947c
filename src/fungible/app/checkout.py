"""What git says of an app's folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_PATIENCE = 60.0
# A hook of git's has variables that are about the repository that it runs in.
_OF_A_HOOK = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})


def kept_by_git(folder: Path) -> frozenset[str] | None:
    """The files of `folder`, relative to it, that git does not ignore, those of repositories within it too.

    None where the folder is in no work tree or is ignored itself, and where there is no git. What git knows may be
    gone from the disk.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
    # A repository may name a program that git is to run.
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder)]
    command += ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(
            command, capture_output=True, timeout=_PATIENCE, env={**environment, "GIT_OPTIONAL_LOCKS": "0"}
        )
    except (OSError, subprocess.SubprocessError):
        return None
    if listed.returncode != 0 or not listed.stdout:
        return None
    kept: set[str] = set()
    for path in (os.fsdecode(each).rstrip("/") for each in listed.stdout.split(b"\0") if each):
        there = folder / path
        if there.is_dir() and not there.is_symlink():  # a repository of its own: git lists the folder alone
            kept.update(f"{path}/{inner}" for inner in kept_by_git(there) or ())
        else:
            kept.add(path)
    return frozenset(kept)


def place_in_checkout(folder: Path) -> str:
    """`folder` as seen from the root of its checkout (`shop`), from the current folder where it is in none; empty
    where it is that one itself, or not in it."""
    folder = folder.resolve()
    root = next((each for each in (folder, *folder.parents) if (each / ".git").exists()), Path.cwd())
    place = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else "."
    return "" if place == "." else place
