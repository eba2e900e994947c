"""What an import leaves in a process that a child must not share: pools are closed before the fork, files and
generators of random numbers are made anew after it."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import io
import os
import random
import re
import shutil
import stat
import sys
import tempfile
import weakref
from dataclasses import dataclass
from typing import Any

from . import safety
from .listening import start_listeners, stop_listeners
from .living import objects_of

_PLACES = ("/tmp", "/var/tmp", "/dev/shm")


@dataclass(frozen=True)
class _File:
    descriptor: int
    path: str
    flags: int


class Randomness:
    """Generators of random numbers made at import: those that were not seeded on purpose differ in every child."""

    def __init__(self) -> None:
        self._seeded: dict[int, weakref.ref[random.Random]] = {}
        self._own: list[random.Random] = []
        self._state: Any = None
        self._watch()

    def settle(self) -> None:
        """To be called after the import."""
        random.Random.seed = self._original  # type: ignore[method-assign]
        shared: Any = random._inst
        random.seed = shared.seed
        if self._is_seeded(shared):
            self._state = shared.getstate()
        for each in objects_of(random.Random):
            if each is not shared and not isinstance(each, random.SystemRandom) and not self._is_seeded(each):
                self._own.append(each)

    def renew(self) -> None:
        """To be called in a child."""
        shared: Any = random._inst
        if self._state is not None:
            shared.setstate(self._state)  # the standard library has seeded it anew at the fork
        for each in self._own:
            with contextlib.suppress(Exception):
                each.seed()
        _renew_numpy()

    def _is_seeded(self, each: random.Random) -> bool:
        found = self._seeded.get(id(each))
        return found is not None and found() is each

    def _watch(self) -> None:
        seeded = self._seeded
        original = self._original = random.Random.seed

        def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
            if a is None:
                seeded.pop(id(self), None)
            else:
                seeded[id(self)] = weakref.ref(self)
            original(self, a, version)

        random.Random.seed = seed  # type: ignore[method-assign]
        random.seed = random._inst.seed


def _renew_numpy() -> None:
    """numpy's global generator, unless it was seeded: 128 bits of entropy are the system's (numpy.random)."""
    module = sys.modules.get("numpy.random")
    if module is None:
        return
    with contextlib.suppress(Exception):
        generator: Any = module.mtrand._rand
        entropy = generator._bit_generator.seed_seq.entropy
        if isinstance(entropy, int) and entropy.bit_length() > 64:
            generator.seed(None)


class Heritage:
    """What a child takes over, found once after the import."""

    def __init__(self, known: frozenset[int]) -> None:
        self._known = known
        self._files: list[_File] = []
        self._places: list[tuple[str, int]] = []
        self._mounted: frozenset[str] = frozenset()
        self._own: int | None = None
        self._listeners: list[Any] = []

    def settle(self, own: str) -> None:
        """Close what can be opened again, flush what is buffered, note what is open. `own` is the private folder
        that TMPDIR and HOME of the import are in."""
        close_pools()
        self._listeners = stop_listeners()
        gc.collect()
        _flush()
        for descriptor in sorted(safety.python_files()):
            if descriptor in self._known or not stat.S_ISREG(os.fstat(descriptor).st_mode):
                continue
            flags = fcntl.fcntl(descriptor, fcntl.F_GETFL) & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC)
            self._files.append(_File(descriptor, os.readlink(f"/proc/self/fd/{descriptor}"), flags))
        self._mounted = _mount_points()
        for place in _PLACES:
            if os.path.isdir(place) and _has_content(place):
                self._places.append((place, os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)))
        if any(_has_content(entry.path) for entry in os.scandir(own) if entry.is_dir()):
            self._own = os.open(own, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    @property
    def descriptors(self) -> frozenset[int]:
        """What it keeps open itself."""
        kept = [descriptor for _, descriptor in self._places] + ([] if self._own is None else [self._own])
        return frozenset(kept)

    def fill_own(self, own: str) -> None:
        """In a child, before it enters its view: what the import put into its private folder goes into ours."""
        if self._own is not None:
            _copy_tree(self._own, own, frozenset())

    def fill_places(self) -> None:
        """In a child's view: what the import wrote to /tmp and its like."""
        for place, descriptor in self._places:
            _copy_tree(descriptor, place, self._mounted)

    def reopen(self) -> None:
        """In a child's view: files get an offset, and a layer, of their own. Raises OSError."""
        for file in self._files:
            offset = os.lseek(file.descriptor, 0, os.SEEK_CUR)
            opened = os.open(file.path, file.flags)
            if not file.flags & os.O_APPEND:
                os.lseek(opened, offset, os.SEEK_SET)
            os.dup2(opened, file.descriptor, inheritable=os.get_inheritable(file.descriptor))
            os.close(opened)
        tempfile.tempdir = None

    def resume(self) -> None:
        """In a child that is confined: threads have the confinement of the thread that starts them."""
        start_listeners(self._listeners)


def close_pools() -> None:
    """Close idle connections that their pools open again by themselves: SQLAlchemy, Django, redis-py."""
    django: Any = sys.modules.get("django.db")
    if django is not None:
        with contextlib.suppress(Exception):
            for connection in django.connections.all(initialized_only=True) if _takes_flag(django) else ():
                if not _in_memory(str(connection.settings_dict.get("NAME", ""))):
                    connection.close()
    engine: Any = getattr(sys.modules.get("sqlalchemy.engine"), "Engine", None)
    pool: Any = getattr(sys.modules.get("redis.connection"), "ConnectionPool", None)
    if engine is None and pool is None:
        return
    for each in objects_of(*(kind for kind in (engine, pool) if kind is not None)):
        with contextlib.suppress(Exception):
            if pool is not None and isinstance(each, pool):
                each.disconnect()
            elif each.dialect.name != "sqlite" or not _in_memory(each.url.database or ""):
                each.dispose()


def _takes_flag(django: Any) -> bool:
    """Whether `connections.all` has `initialized_only` (Django 4.1); before it, all are closed alike."""
    if hasattr(django.connections, "all") and "initialized_only" in django.connections.all.__code__.co_varnames:
        return True
    django.connections.close_all()
    return False


def _in_memory(database: str) -> bool:
    return database in ("", ":memory:") or "mode=memory" in database


def _flush() -> None:
    for each in objects_of(io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom):
        with contextlib.suppress(Exception):
            each.flush()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _has_content(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(iter(entries), None) is not None
    except OSError:
        return False


def _mount_points() -> frozenset[str]:
    """Where something is mounted (proc(5), mountinfo: spaces and their like are octal escapes)."""
    with open("/proc/self/mountinfo") as file:
        found = [line.split(" ")[4] for line in file]
    return frozenset(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path) for path in found)


def _copy_tree(source: int, target: str, skipped: frozenset[str]) -> None:
    """Copy files, folders and links from an open folder to the path `target`, but for the paths `skipped`; sockets
    and pipes are not copied."""
    base = f"/proc/self/fd/{source}"
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        with os.scandir(os.path.join(base, inside)) as entries:
            found = list(entries)
        for entry in found:
            path = os.path.join(inside, entry.name)
            to = os.path.join(target, path)
            if to in skipped:
                continue
            if entry.is_symlink():
                if not os.path.lexists(to):
                    os.symlink(os.readlink(entry.path), to)
            elif entry.is_dir():
                os.makedirs(to, exist_ok=True)
                shutil.copystat(entry.path, to)
                waiting.append(path)
            elif entry.is_file():
                shutil.copy2(entry.path, to)
