"""Builds on disk, each in a folder that is named by the digest of what it holds.

    builds/9f3c…/app          the code with what was built, never written again
    builds/9f3c…/build.json   what went in and what came out (`Record`)
    builds/keys/1a2b…         the digest that came of this input

The store is a user's, not an app's: the same tree under another path is the same build. A release has hard links to
its build's files, so that a build which is deleted here takes nothing from it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fungible.build.links import delete, write_protect
from fungible.services.place import write_private

KEPT = 10
"""Builds that are kept; the least recently used are deleted when a new one is made."""
_RECORD = "build.json"
_DRAFT = "draft-"


@dataclass(frozen=True)
class Record:
    """What is written down of a build.

    `digest` is that of `files`, which are all files of it by relative path, each as `mode:SHA-256`; `inputs` are
    those it was made of, in the same form; `commands` the lines that were run; `tools` what their programs call
    themselves; `variables` what they were given; `assets` how many assets it has, `unproved` what the proof could not
    judge, `active` what compiles while requests are served. `bound_to` is the only folder that it is right for, where
    something in it names that folder.
    """

    digest: str
    key: str
    made_by: str
    commands: tuple[str, ...]
    tools: Mapping[str, str]
    variables: Mapping[str, str]
    inputs: Mapping[str, str]
    files: Mapping[str, str]
    assets: int = 0
    unproved: tuple[str, ...] = ()
    bound_to: str | None = None
    left_out: tuple[str, ...] = field(default=())
    active: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Build:
    """A build in the store: `content` is the folder with its files."""

    content: Path
    record: Record

    @property
    def digest(self) -> str:
        """SHA-256 of all that it holds."""
        return self.record.digest


class Store:
    """The builds below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str, folder: Path) -> Build | None:
        """The build of this input that is right for an app at `folder`; None where there is none."""
        for name in (key, _placed(key, folder)):
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
                digest = (self._folder / "keys" / name).read_text().strip()
                home = self._folder / digest
                record = read_record(home / _RECORD)
                if record.digest == digest and (home / "app").is_dir():
                    os.utime(home)
                    return Build(home / "app", record)
        return None

    def latest_with_assets(self, made_by: str, number: int) -> tuple[Path, ...]:
        """The contents of as many builds that have assets, the last used first, made by the same version."""
        found: list[tuple[float, Path]] = []
        for path in self._folder.glob(f"*/{_RECORD}"):
            with contextlib.suppress(OSError, ValueError, TypeError):
                record = read_record(path)
                if record.assets and record.made_by == made_by:
                    found.append((path.parent.stat().st_mtime, path.parent / "app"))
        return tuple(content for _, content in sorted(found, reverse=True)[:number])

    @contextlib.contextmanager
    def draft(self) -> Iterator[Path]:
        """A folder for a build in the making, deleted at the end if it has not been added."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._reap()
        with _locked(self._folder / f"{_DRAFT}{secrets.token_hex(4)}") as home:
            yield home / "app"

    def add(self, content: Path, record: Record) -> Build:
        """Take over what `draft` gave, its files read-only from now on; a build with the same digest that is there
        already stays. Raises OSError."""
        # Folders stay as they are: in the throw-away layer over them a process may make files.
        write_protect(content)
        home = self._folder / record.digest
        keys = self._folder / "keys"
        keys.mkdir(mode=0o700, exist_ok=True)
        write_private(content.parent / _RECORD, json.dumps(asdict(record), indent=1, sort_keys=True) + "\n")
        # The draft's own folder stays behind with its lock: what is moved is another one, locked as well.
        with _locked(content.parent.with_name(f"{_DRAFT}{secrets.token_hex(4)}")) as finished:
            content.rename(finished / "app")
            (content.parent / _RECORD).rename(finished / _RECORD)
            try:
                finished.rename(home)
            except OSError:  # another one of the same content was faster
                if not (home / _RECORD).is_file():
                    raise
        name = record.key if record.bound_to is None else _placed(record.key, Path(record.bound_to))
        write_private(keys / name, record.digest + "\n")
        self._prune(record.digest)
        return Build(home / "app", record)

    def _prune(self, latest: str) -> None:
        builds = [path for path in self._folder.iterdir() if (path / _RECORD).is_file() and path.name != latest]
        builds.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in builds[KEPT - 1 :]:
            delete(path)
        for key in (self._folder / "keys").iterdir():
            with contextlib.suppress(OSError):
                if not (self._folder / key.read_text().strip()).is_dir():
                    key.unlink()

    def _reap(self) -> None:
        """Delete drafts whose maker has been killed."""
        for path in self._folder.glob(f"{_DRAFT}*"):
            with contextlib.suppress(OSError):
                lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    delete(path)
                finally:
                    os.close(lock)


def read_record(path: Path) -> Record:
    """The record at `path`. Raises OSError, ValueError or TypeError where it is none."""
    data = json.loads(path.read_text())
    for name in ("commands", "unproved", "left_out", "active"):
        data[name] = tuple(data.get(name, ()))
    return Record(**data)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """A new folder that nobody takes for a left-over; deleted at the end if it is still there."""
    folder.mkdir(mode=0o700)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield folder
    finally:
        os.close(lock)
        if folder.exists():
            delete(folder)


def _placed(key: str, folder: Path) -> str:
    return f"{key}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"
