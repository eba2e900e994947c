"""What a process wrote into the app's folder: read from its overlay's upper folder, or by comparing its copy."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import FrozenSet, Iterable, Iterator, List, Optional, Sequence, Tuple

_LISTED_AT_MOST = 1000
_SQLITE_MAGIC = b"SQLite format 3\x00"
_WRITE_AHEAD = "-wal"


class OverlayLayer:
    """The upper folder of an overlay. `shared` are paths in it that are only mount points of attached folders."""

    def __init__(self, upper: int, shared: FrozenSet[str]) -> None:
        self._upper = upper
        self._shared = shared
        self._lower: Tuple[int, ...] = ()

    def compare(self, lower: Sequence[int]) -> None:
        """From now on leave out what only was opened for writing: overlayfs copies a file up then, with its times, as
        SQLite has it done to every database that it reads. `lower` are the open folders below, the topmost first."""
        self._lower = tuple(lower)

    @property
    def descriptor(self) -> int:
        """The open upper folder; it outlives the namespace that it is mounted in."""
        return self._upper

    @property
    def shared(self) -> FrozenSet[str]:
        """Paths in it that are only mount points of attached folders."""
        return self._shared

    def written(self) -> List[str]:
        """Paths written or deleted (`-path`), relative to the app's folder, sorted, 1000 at most."""
        found = []
        for path, status in self._changed():
            if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
                found.append(f"-{path}")  # a whiteout (overlayfs, kernel documentation)
            elif not stat.S_ISDIR(status.st_mode):
                found.append(path)
            if len(found) >= _LISTED_AT_MOST:
                break
        return sorted(found)

    def databases(self) -> List[str]:
        """SQLite databases among what was written."""
        return _databases(self._upper, self._changed())

    def _changed(self) -> Iterator[Tuple[str, os.stat_result]]:
        for path, status in _walk(self._upper):
            if not self._is_mount_point(path) and not self._is_as_below(path, status):
                yield path, status

    def _is_as_below(self, path: str, status: os.stat_result) -> bool:
        if not stat.S_ISREG(status.st_mode):
            return False
        below = next((found for folder in self._lower if (found := _status(folder, path)) is not None), None)
        return below is not None and _marks(below) == _marks(status)

    def _is_mount_point(self, path: str) -> bool:
        return any(path == shared or shared.startswith(path + "/") for shared in self._shared)


class CopyLayer:
    """A private copy of a folder, made by `shutil.copytree` with times kept."""

    def __init__(self, source: str, copy: str) -> None:
        self._source = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._copy = os.open(copy, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def written(self) -> List[str]:
        """As OverlayLayer.written."""
        found = [path for path, status in self._changed() if not stat.S_ISDIR(status.st_mode)]
        for path, _ in _walk(self._source):
            if _status(self._copy, path) is None:
                found.append(f"-{path}")
            if len(found) >= _LISTED_AT_MOST:
                break
        return sorted(found)[:_LISTED_AT_MOST]

    def databases(self) -> List[str]:
        """As OverlayLayer.databases."""
        return _databases(self._copy, self._changed())

    def _changed(self) -> Iterator[Tuple[str, os.stat_result]]:
        for path, status in _walk(self._copy):
            before = _status(self._source, path)
            if before is None or (before.st_size, before.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
                yield path, status


def _marks(status: os.stat_result) -> Tuple[int, ...]:
    """What differs where a file was written to, or given to others."""
    return status.st_mode, status.st_uid, status.st_gid, status.st_size, status.st_mtime_ns


def _databases(folder: int, changed: Iterable[Tuple[str, os.stat_result]]) -> List[str]:
    """The SQLite databases that `changed` are, or are the write-ahead log of (https://www.sqlite.org/wal.html): what
    is written there reaches the file itself later."""
    found = set()
    for path, status in changed:
        if not stat.S_ISREG(status.st_mode):
            continue
        if _is_sqlite(folder, path):
            found.add(path)
        elif path.endswith(_WRITE_AHEAD) and status.st_size and _is_sqlite(folder, path[: -len(_WRITE_AHEAD)]):
            found.add(path[: -len(_WRITE_AHEAD)])
    return sorted(found)


def _status(folder: int, path: str) -> Optional[os.stat_result]:
    try:
        return os.stat(path, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None


def _walk(folder: int) -> Iterator[Tuple[str, os.stat_result]]:
    """Every entry below an open folder, with its own status; what vanishes meanwhile is passed over."""
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        try:
            descriptor = os.open(inside or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        except OSError:
            continue
        try:
            names = sorted(os.listdir(descriptor))
        finally:
            os.close(descriptor)
        for name in names:
            path = f"{inside}/{name}" if inside else name
            status = _status(folder, path)
            if status is None:
                continue
            yield path, status
            if stat.S_ISDIR(status.st_mode):
                waiting.append(path)


def _is_sqlite(folder: int, path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return False
    try:
        return os.read(descriptor, 16) == _SQLITE_MAGIC
    except OSError:
        return False
    finally:
        os.close(descriptor)
