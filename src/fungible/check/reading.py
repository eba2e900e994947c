"""The files of a folder that are checked, read from the disk.

Left out: what git ignores, installed packages, caches, build output; and, unless a PATH names them, tests, migrations
and examples, which no process of the app serves. No link is followed, nothing outside the folder is read, nothing
large, nothing binary.
"""

from __future__ import annotations

import fnmatch
import io
import os
import stat
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from fungible.app.checkout import kept_by_git
from fungible.app.problem import Problem
from fungible.app.wording import counted, plain
from fungible.check.source import Source
from fungible.check.tree import Tree

LARGEST = 2 * 1024 * 1024
"""Bytes of one file."""
MOST_BYTES = 256 * 1024 * 1024
MOST = 20_000
"""Files."""

# In small letters, of a name or of a path.
_NAMES = tuple(
    """
    *.py procfile* dockerfile* containerfile* *.dockerfile makefile *.sh *.bash *.conf *.conf.* *.cfg *.config *.ini
    *.toml *.yml *.yaml *.json *.tf *.tfvars *.hcl *.bicep *.service *.env .env.* *nginx* *haproxy* caddyfile* *.caddy
    *.caddyfile .htaccess */sites-available/* */sites-enabled/*
    """.split()  # noqa: SIM905
)
_PROSE = (".md", ".rst", ".adoc", ".txt", ".html")
_NEVER = frozenset(
    """
    .git .hg .svn .tox .nox .venv venv virtualenv node_modules bower_components site-packages __pycache__ .eggs
    .mypy_cache .ruff_cache .pytest_cache .hypothesis .terraform .direnv htmlcov _vendor vendored third_party
    """.split()  # noqa: SIM905
)
# A checkout may have a package of such a name: there git tells what is made.
_MADE = frozenset("build dist env target out".split())  # noqa: SIM905
_NOT_SERVED = frozenset("tests test testing migrations examples example docs doc benchmarks fixtures".split())  # noqa: SIM905
_NOT_SERVED_FILES = ("test_*.py", "*_test.py", "conftest.py", "*-lock.json", "*.lock")
# What makes a folder an app's: a PATH in it is read along with the rest, since a request may come to it from there.
_APP = (
    "Procfile",
    "pyproject.toml",
    "fungible.toml",
    "setup.py",
    "setup.cfg",
    "requirements.txt",
    "manage.py",
    ".git",
)


@dataclass(frozen=True)
class Read:
    """The tree; `within`, the PATHs that findings are wanted of (none: all), relative to the folder; and sentences
    about what was not read and might have been expected to be."""

    tree: Tree
    within: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


def read(folder: Path, paths: Sequence[Path] = ()) -> Read:
    """The files of `folder`, and those that `paths` name in it (files or folders, from where the user is).

    Raises `Problem` for a path that does not exist, is not in the folder, or cannot be read, and where there is
    nothing to check.
    """
    root = folder.resolve()
    named = [_resolved(root, path) for path in paths]
    reading = _Reading(root)
    for path in named:
        if path.is_dir():
            reading.add_folder(path)
        else:
            reading.add(path.relative_to(root).as_posix(), asked=True)
    if not named or (reading.sources and any((root / each).exists() for each in _APP)):
        reading.add_folder(root)
    if not reading.sources:
        where = ", ".join(plain(path) for path in paths) or plain(root)
        why = reading.notices[0] if reading.notices else "no Python, no settings, no manifest; use --app DIR"
        raise Problem(f"{where}: nothing to check: {why}")
    sources = tuple(reading.sources[each] for each in sorted(reading.sources))
    within = tuple("" if path == root else path.relative_to(root).as_posix() for path in named)
    return Read(Tree(sources), within, tuple(reading.notices))


def _resolved(root: Path, path: Path) -> Path:
    try:
        resolved = path.resolve(strict=True)
    except FileNotFoundError:
        raise Problem(f"{plain(path)} does not exist; name files or folders of the app") from None
    except (OSError, RuntimeError) as error:
        raise Problem(f"{plain(path)} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not resolved.is_relative_to(root):
        raise Problem(f"{plain(path)} is not in the app's folder {plain(root)}; use --app DIR")
    return resolved


@dataclass
class _Reading:
    """What has been read so far."""

    root: Path
    sources: dict[str, Source] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    size: int = 0

    def add_folder(self, folder: Path) -> None:
        """Read the files of a folder; those that no process serves only where the folder is one of theirs."""
        base = PurePosixPath(folder.relative_to(self.root).as_posix())
        every = any(part in _NOT_SERVED for part in base.parts)
        for inside in _files(folder, self.notices):
            *folders, name = PurePosixPath(inside).parts
            if not _is_read((base / inside).as_posix().lower()):
                continue
            if not every and (_NOT_SERVED.intersection(folders) or _is_for_tests(name)):
                continue
            if len(self.sources) >= MOST or self.size >= MOST_BYTES:
                files = counted(len(self.sources), "file")
                self.notices.append(f"only the first {files} were read: name the folders that matter")
                return
            self.add((base / inside).as_posix())

    def add(self, relative: str, *, asked: bool = False) -> None:
        """Read one file; what is passed over is told where it was asked for, or is Python."""
        path = os.fsencode(relative).decode("utf-8", "replace")
        if path in self.sources:
            return
        try:
            data = _bytes(self.root / relative)
        except OSError as error:
            self.notices.append(f"{plain(path)} was not read: {error.strerror or error}")
            return
        text, why = _text(data, python=path.endswith(".py"))
        if text is not None:
            self.size += len(data)
            self.sources[path] = Source(path, text)
        elif asked or path.endswith(".py"):
            self.notices.append(f"{plain(path)} was not read: {why}")


def _is_read(path: str) -> bool:
    name = path.rpartition("/")[2]
    known = any(fnmatch.fnmatchcase(each, pattern) for pattern in _NAMES for each in (name, path))
    return known and not name.endswith(_PROSE)


def _is_for_tests(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, each) for each in _NOT_SERVED_FILES)


def _files(folder: Path, notices: list[str]) -> Iterator[str]:
    """The files in a folder, relative to it, sorted by folder: those that git keeps, or all."""
    kept = kept_by_git(folder)
    if kept is None:
        yield from _walked(folder, notices)
        return
    environments: dict[PurePosixPath, bool] = {}
    for inside in sorted(kept):
        path = PurePosixPath(inside)
        # What git knows may be removed and not yet committed.
        if _NEVER.intersection(path.parts) or (folder / inside).is_symlink() or not (folder / inside).exists():
            continue
        for parent in path.parents:
            if parent not in environments:
                environments[parent] = parent.name != "" and (folder / parent / "pyvenv.cfg").is_file()
        if not any(environments[parent] for parent in path.parents):
            yield inside


def _walked(folder: Path, notices: list[str]) -> Iterator[str]:
    def told(error: OSError) -> None:
        notices.append(f"{plain(error.filename)} was not read: {error.strerror}")

    for base, folders, files in os.walk(folder, onerror=told):
        here = Path(base)
        folders[:] = sorted(
            name
            for name in folders
            if name not in _NEVER
            and name not in _MADE
            and not name.endswith(".egg-info")
            and not (here / name / "pyvenv.cfg").is_file()
        )
        for name in sorted(files):
            if not (here / name).is_symlink():
                yield (here / name).relative_to(folder).as_posix()


def _bytes(path: Path) -> bytes:
    """At most `LARGEST` bytes and one. Raises OSError for what is no regular file; never waits for a pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is no file")
        return file.read(LARGEST + 1)


def _text(data: bytes, *, python: bool) -> tuple[str | None, str]:
    """The text, its lines ended by `\\n`; or None and why there is none."""
    if len(data) > LARGEST:
        return None, f"it is larger than {LARGEST // 2**20} MiB"
    if b"\0" in data:
        return None, "it is binary"
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0] if python else "utf-8-sig"
        text = data.decode(encoding)
    except (SyntaxError, LookupError, UnicodeError):
        if python:
            return None, "it is not in the encoding that it names, or not in UTF-8"
        text = data.decode("latin-1")  # its directives are ASCII, whatever its comments are in
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"), ""
