"""The files of a folder that are checked, read from the disk.

Left out: what git ignores, installed packages, build output; and, unless a PATH names them, tests, migrations and
examples, which no process of the app serves. Nothing outside the folder is read, nothing large, nothing binary.
"""

from __future__ import annotations

import fnmatch
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fungible.app.problem import Problem
from fungible.app.wording import shown
from fungible.check.source import Source
from fungible.check.tree import Tree

LARGEST = 2 * 1024 * 1024
MOST = 20_000
_NAMES = tuple(
    """
    *.py Procfile* Dockerfile* *.dockerfile Containerfile* *.conf *.cfg *.ini *.toml *.yml *.yaml *.json *.tf
    Caddyfile* .htaccess
    """.split()  # noqa: SIM905
)
_NEVER = frozenset(
    """
    .git .hg .svn .tox .nox .venv venv .env env node_modules site-packages __pycache__ .mypy_cache .ruff_cache
    .pytest_cache .eggs build dist htmlcov .terraform bower_components
    """.split()  # noqa: SIM905
)
_NOT_SERVED = frozenset(
    """
    tests test testing migrations examples example docs doc benchmarks fixtures
    """.split()  # noqa: SIM905
)
_NOT_SERVED_FILES = ("test_*.py", "*_test.py", "conftest.py", "*-lock.json", "package-lock.json", "*.lock")


@dataclass(frozen=True)
class Read:
    """The tree, and sentences about what was not read and might have been expected to be."""

    tree: Tree
    notices: tuple[str, ...] = ()


def read(folder: Path, paths: Sequence[Path] = ()) -> Read:
    """The files of `folder`, or of `paths` (files or folders in it).

    Raises `Problem` for a path that does not exist, is not in the folder, or cannot be read.
    """
    root = folder.resolve()
    notices: list[str] = []
    sources: dict[str, Source] = {}
    for path in _wanted(root, paths):
        relative = path.relative_to(root).as_posix()
        if relative in sources:
            continue
        if len(sources) >= MOST:
            notices.append(f"only the first {MOST:,} files are read; name the folders that matter")
            break
        text = _text(path, relative, notices)
        if text is not None:
            sources[relative] = Source(relative, text)
    return Read(Tree(tuple(sources[each] for each in sorted(sources))), tuple(notices))


def _wanted(root: Path, paths: Sequence[Path]) -> Iterator[Path]:
    if not paths:
        yield from _inside(root, root, named=False)
        return
    for path in paths:
        there = path if path.is_absolute() else Path.cwd() / path
        if not there.exists():
            raise Problem(f"{shown(str(path))} does not exist; name files or folders of the app")
        resolved = there.resolve()
        if not resolved.is_relative_to(root):
            raise Problem(f"{shown(str(path))} is not in the app's folder {shown(str(root))}; use --app DIR")
        if resolved.is_file():
            yield resolved
        else:
            yield from _inside(root, resolved, named=True)


def _inside(root: Path, folder: Path, *, named: bool) -> Iterator[Path]:
    """The files of a folder by sorted names; `named`: the user asked for this one, so tests are checked too."""
    kept = _kept_by_git(folder)
    if not (folder / ".").exists() or not os.access(folder, os.R_OK):
        raise Problem(f"{shown(str(folder))} cannot be read")
    for base, folders, files in os.walk(folder):
        here = Path(base)
        folders[:] = sorted(
            name
            for name in folders
            if name not in _NEVER
            and (named or name not in _NOT_SERVED)
            and not (here / name).is_symlink()
            and not (here / name / "pyvenv.cfg").exists()
            and not name.endswith(".egg-info")
        )
        for name in sorted(files):
            path = here / name
            if path.is_symlink() or not any(fnmatch.fnmatchcase(name, each) for each in _NAMES):
                continue
            if not named and any(fnmatch.fnmatchcase(name, each) for each in _NOT_SERVED_FILES):
                continue
            if kept is None or path.relative_to(folder).as_posix() in kept:
                yield path


def _kept_by_git(folder: Path) -> frozenset[str] | None:
    """The files of a checkout that git does not ignore; None where it is no checkout or there is no git."""
    command = ["git", "-C", str(folder), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return frozenset(os.fsdecode(each) for each in done.stdout.split(b"\0") if each) or None


def _text(path: Path, relative: str, notices: list[str]) -> str | None:
    try:
        if path.stat().st_size > LARGEST:
            if path.suffix == ".py":
                notices.append(f"{relative} is larger than {LARGEST // 2**20} MiB and was not read")
            return None
        data = path.read_bytes()
    except OSError as error:
        notices.append(f"{relative} cannot be read: {error.strerror or error}")
        return None
    if b"\0" in data:
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")
