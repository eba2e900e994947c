"""Seal an app's folder: a copy of its code that no later edit reaches."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Collection, Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from fungible.app.checkout import kept_by_git

_LEFT_OUT = frozenset({".git", ".hg", ".svn", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".tox"})
_BOUND = frozenset({"node_modules"})
EXPORTED = ".fungible-export"
_MADE = (".fungible/build.json", EXPORTED)
"""In a folder that `fungible build --out` or `fungible export --out` made: such a folder is no part of the app that
it was made of."""


@dataclass(frozen=True)
class Tree:
    """What of an app's folder goes into a release.

    `files` are relative paths of files and symbolic links, `folders` of directories, sorted; `bound` are folders
    that are not copied but seen read-only where they are (virtualenvs, node_modules); `ignored` are files
    that git ignores. `digest` changes with any path, size, mode or time of change.
    """

    folder: Path
    files: tuple[str, ...]
    folders: tuple[str, ...]
    bound: tuple[str, ...]
    ignored: tuple[str, ...]
    digest: str


def read_tree(folder: Path, *, without: Collection[Path] = ()) -> Tree:
    """Look at `folder` without copying; `without` are folders to leave out.

    Raises OSError, with its filename, for what cannot be read.
    """
    wanted = kept_by_git(folder)
    files: list[str] = []
    folders: list[str] = []
    bound: list[str] = []
    ignored: list[str] = []
    digest = hashlib.sha256()
    for path, status in _walk(folder, bound, {os.path.realpath(each) for each in without}):
        if stat.S_ISDIR(status.st_mode):
            if wanted is None:
                folders.append(path)
            continue
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
            continue
        if wanted is not None and path not in wanted:
            ignored.append(path)
            continue
        files.append(path)
        if wanted is not None:
            folders += [parent for parent in _parents(path) if parent not in folders[-8:]]
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_mode}\0".encode(errors="replace"))
    return Tree(folder, tuple(files), tuple(sorted(set(folders))), tuple(bound), tuple(ignored), digest.hexdigest())


def copy_tree(tree: Tree, target: Path) -> None:
    """Copy it to `target`, which must not exist; times and modes are kept, bound folders become empty ones.

    Files that have gone since it was looked at are passed over. Raises OSError for what cannot be read.
    """
    target.mkdir(parents=True)
    for folder in (*tree.folders, *tree.bound):
        (target / folder).mkdir(parents=True, exist_ok=True)
    for path in tree.files:
        try:
            shutil.copy2(tree.folder / path, target / path, follow_symlinks=False)
        except FileNotFoundError:
            if os.path.lexists(tree.folder / path):
                raise
    for folder in reversed(tree.folders):
        with contextlib.suppress(FileNotFoundError):
            shutil.copystat(tree.folder / folder, target / folder)
    shutil.copystat(tree.folder, target)


def fingerprint(folder: Path, *, without: Collection[Path] = ()) -> str:
    """Changes whenever `read_tree` could, and sometimes when it does not: git is not asked. Raises OSError."""
    digest = hashlib.sha256()
    for path, status in _walk(folder, [], {os.path.realpath(each) for each in without}):
        if not stat.S_ISDIR(status.st_mode):
            digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode(errors="replace"))
    return digest.hexdigest()


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]


def _walk(folder: Path, bound: list[str], without: Set[str]) -> Iterator[tuple[str, os.stat_result]]:
    names = {os.path.basename(path) for path in without}
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        for entry in sorted(os.scandir(folder / inside), key=lambda each: each.name):
            path = f"{inside}/{entry.name}" if inside else entry.name
            if entry.name in _LEFT_OUT or (entry.name in names and os.path.realpath(entry.path) in without):
                continue
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and (entry.name in _BOUND or os.path.isfile(f"{entry.path}/pyvenv.cfg")):
                bound.append(path)
                continue
            if is_folder and any(os.path.isfile(f"{entry.path}/{mark}") for mark in _MADE):
                continue
            yield path, entry.stat(follow_symlinks=False)
            if is_folder:
                waiting.append(path)
