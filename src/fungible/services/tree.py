"""Copies of folders: taken whole, and put back by touching only what changed."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.services import sqlite_file

Fingerprint = tuple[int, int, int, int, int]
"""A file as stat(2) shows it: inode, size, mode, mtime and ctime in ns."""

_TICK_NS = 20_000_000  # two changes within one kernel tick (at most 10 ms) may carry the same time


@dataclass(frozen=True)
class Entry:
    """One thing in a folder: its path relative to the root, with `/`, and its lstat."""

    name: str
    path: Path
    status: os.stat_result


def walk(root: Path) -> Iterator[Entry]:
    """Everything below `root`, a folder before what is in it, by name; links are not followed."""
    pending = [(root, "")]
    while pending:
        folder, prefix = pending.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            continue  # deleted while we look: a left-over process may still end
        inner = []
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            name = prefix + entry.name
            yield Entry(name, Path(entry.path), status)
            if stat.S_ISDIR(status.st_mode):
                inner.append((Path(entry.path), name + "/"))
        pending.extend(reversed(inner))


def take(source: Path, target: Path) -> dict[str, Fingerprint]:
    """Copy `source` to the new folder `target`, SQLite files through SQLite where they have a journal.

    Returns the fingerprints of those files of `source` that a later `put_back` may trust. Sockets, pipes and
    devices are left out. Raises `Problem` where a file cannot be read.
    """
    known: dict[str, Fingerprint] = {}
    settled = time.time_ns() - _TICK_NS
    target.mkdir(mode=0o700, parents=True)
    folders: list[tuple[Path, os.stat_result]] = []
    try:
        for entry in walk(source):
            copy = target / entry.name
            mode = entry.status.st_mode
            if stat.S_ISDIR(mode):
                copy.mkdir(mode=0o700)
                folders.append((copy, entry.status))
            elif stat.S_ISLNK(mode):
                copy.symlink_to(entry.path.readlink())
            elif stat.S_ISREG(mode) and not sqlite_file.is_sidecar(entry.path):
                if sqlite_file.has_journal(entry.path) and sqlite_file.copy(entry.path, copy):
                    _like(copy, entry.status)
                    continue
                shutil.copyfile(entry.path, copy)
                _like(copy, entry.status)
                if entry.status.st_mtime_ns < settled and entry.status.st_ctime_ns < settled:
                    known[entry.name] = fingerprint(entry.status)
    except OSError as error:
        raise _unreadable(error) from None
    for copy, status in reversed(folders):
        _like(copy, status)
    return known


def put_back(source: Path, target: Path, known: dict[str, Fingerprint]) -> dict[str, Fingerprint]:
    """Make `target` what `take` copied to `source`; returns the new fingerprints.

    A file whose fingerprint is `known` is left alone: times of change are kept as they were in the copy, so
    any write since shows. Raises `Problem` where a file cannot be written.
    """
    wanted = {entry.name: entry for entry in walk(source)}
    fresh: dict[str, Fingerprint] = {}
    try:
        _remove_others(target, wanted)
        for entry in wanted.values():
            path = target / entry.name
            mode = entry.status.st_mode
            if stat.S_ISDIR(mode):
                path.mkdir(mode=0o700, exist_ok=True)
                path.chmod(0o700)  # an app may have made it unreadable
            elif stat.S_ISLNK(mode):
                if not path.is_symlink() or path.readlink() != entry.path.readlink():
                    path.unlink(missing_ok=True)
                    path.symlink_to(entry.path.readlink())
            else:
                fresh[entry.name] = _put_file(entry, path, known.get(entry.name))
        for entry in reversed(wanted.values()):
            if stat.S_ISDIR(entry.status.st_mode):
                _like(target / entry.name, entry.status)
    except OSError as error:
        raise _unreadable(error) from None
    return fresh


def fingerprint(status: os.stat_result) -> Fingerprint:
    """The part of a stat that changes with the file."""
    return (status.st_ino, status.st_size, status.st_mode, status.st_mtime_ns, status.st_ctime_ns)


def _put_file(entry: Entry, path: Path, known: Fingerprint | None) -> Fingerprint:
    try:
        status = path.lstat()
    except FileNotFoundError:
        status = None
    if status is not None and known is not None and fingerprint(status) == known:
        return known
    # A new inode: whoever still holds the old file open writes into nothing.
    draft = path.with_name(f".fungible-{os.getpid()}-{path.name[:200]}")
    draft.unlink(missing_ok=True)
    shutil.copyfile(entry.path, draft)
    _like(draft, entry.status)
    draft.replace(path)
    return fingerprint(path.lstat())


def _remove_others(target: Path, wanted: dict[str, Entry]) -> None:
    pending = [(target, "")]
    while pending:
        folder, prefix = pending.pop()
        folder.chmod(0o700)
        for entry in list(os.scandir(folder)):
            name = prefix + entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            kept = wanted.get(name)
            same_type = kept is not None and stat.S_IFMT(kept.status.st_mode) == stat.S_IFMT(
                entry.stat(follow_symlinks=False).st_mode
            )
            if same_type:
                if is_folder:
                    pending.append((Path(entry.path), name + "/"))
            elif is_folder:
                remove(Path(entry.path))
            else:
                Path(entry.path).unlink()


def remove(folder: Path) -> None:
    """Delete a folder and all in it, those that an app made unreadable included; none there is no error."""

    def unlock(function: object, path: str, _: object) -> None:
        parent = Path(path).parent
        parent.chmod(0o700)
        entry = Path(path)
        if entry.is_symlink() or not entry.is_dir():
            entry.unlink(missing_ok=True)
            return
        entry.chmod(0o700)
        shutil.rmtree(entry)

    if folder.is_dir():
        shutil.rmtree(folder, onerror=unlock)


def _like(path: Path, status: os.stat_result) -> None:
    path.chmod(stat.S_IMODE(status.st_mode))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _unreadable(error: OSError) -> Problem:
    return Problem(f"cannot copy {error.filename or 'a folder'}: {error.strerror}", Exit.NOT_ALLOWED)
