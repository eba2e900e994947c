"""How much of its limit one space has used."""

from __future__ import annotations

import threading
from collections.abc import Callable

from fungible_kit.scratch_space.errors import ScratchFull
from fungible_kit.scratch_space.quantity import written
from fungible_kit.scratch_space.tree import Usage


class Quota:
    """Bytes and files of one space: what was reserved by counted writers, put right by counting what is there.

    `limit_bytes` and `limit_files` bound it; `count` measures the folder; `has_room` is asked now and then, with the
    bytes wanted, and raises where the disk is nearly full. Whoever writes calls `reserve`, writes, and calls `settle`.
    """

    _ASK_EVERY = 4 * 1024 * 1024  # bytes between two looks at the disk

    def __init__(
        self, limit_bytes: int, limit_files: int, count: Callable[[], Usage], has_room: Callable[[int], None]
    ) -> None:
        self.limit = Usage(limit_bytes, limit_files)
        self._count, self._has_room = count, has_room
        self._lock = threading.Lock()
        self._named = Usage(0, 0)  # in the folder, as far as we know
        self._unnamed = Usage(0, 0)  # files without a name: no count finds them
        self._pending = Usage(0, 0)  # reserved under a name and not written yet: a count may miss it
        self._ever = Usage(0, 0)  # all that was ever reserved under a name
        self._unasked = self._ASK_EVERY

    @property
    def used(self) -> Usage:
        """What is counted now, without looking at the disk."""
        return _plus(self._named, self._unnamed.bytes, self._unnamed.files)

    @property
    def left(self) -> int:
        """Bytes that may still be written."""
        return max(0, self.limit.bytes - self.used.bytes)

    def reserve(self, size: int, files: int = 0, *, named: bool = True) -> None:
        """Before `size` bytes are written, or `files` are made. Raises `ScratchFull`, and then nothing is counted."""
        for _ in range(4):
            if self._taken(size, files, named):
                break
            before = self._ever
            self.recount()  # something may have been removed
            if self._ever == before and not self._fits(size, files):
                raise self._full(size, files)
            # Others wrote during the count, which is too high by that: once more.
        else:
            raise self._full(size, files)
        with self._lock:
            self._unasked += size
            ask = self._unasked >= self._ASK_EVERY
            if ask:
                self._unasked = 0
        if ask:
            try:
                self._has_room(size)
            except BaseException:
                self._unasked = self._ASK_EVERY
                self.settle(size, files, 0, 0, named=named)
                raise

    def settle(self, size: int, files: int, kept_size: int, kept_files: int, *, named: bool = True) -> None:
        """What `reserve` was asked for has been written, or that part of it which is kept."""
        with self._lock:
            if named:
                self._pending = _plus(self._pending, -size, -files)
                self._named = _plus(self._named, kept_size - size, kept_files - files)
            else:
                self._unnamed = _plus(self._unnamed, kept_size - size, kept_files - files)

    def give_back(self, size: int, files: int = 0, *, named: bool = True) -> None:
        """What was written is gone again."""
        with self._lock:
            if named:
                self._named = _plus(self._named, -size, -files)
            else:
                self._unnamed = _plus(self._unnamed, -size, -files)

    def recount(self) -> Usage:
        """Count what is there, whoever wrote it; what is being written meanwhile comes on top."""
        with self._lock:
            pending, before = self._pending, self._ever
        found = self._count()
        with self._lock:
            self._named = _plus(
                found,
                pending.bytes + self._ever.bytes - before.bytes,
                pending.files + self._ever.files - before.files,
            )
        return self.used

    def _taken(self, size: int, files: int, named: bool) -> bool:
        with self._lock:
            if not self._fits(size, files):
                return False
            if named:
                self._named = _plus(self._named, size, files)
                self._pending = _plus(self._pending, size, files)
                self._ever = _plus(self._ever, size, files)
            else:
                self._unnamed = _plus(self._unnamed, size, files)
            return True

    def check(self) -> None:
        """Count, and raise `ScratchFull` where more is there than may be.

        What is reserved and not yet written does not matter here; a file that is renamed during a count may be met
        twice, so that only two counts are believed.
        """
        for again in (True, False):
            found = self._count()
            used = _plus(found, self._unnamed.bytes, self._unnamed.files)
            if used.bytes <= self.limit.bytes and used.files <= self.limit.files:
                return
            if not again:
                raise _full(self.limit, used)

    def _fits(self, size: int, files: int) -> bool:
        used = self.used
        return used.bytes + size <= self.limit.bytes and used.files + files <= self.limit.files

    def _full(self, size: int, files: int) -> ScratchFull:
        return _full(self.limit, _plus(self.used, size, files))


def _full(limit: Usage, wanted: Usage) -> ScratchFull:
    if wanted.bytes > limit.bytes:
        return ScratchFull(
            f"scratch is full: {written(wanted.bytes)} would be more than its limit of {written(limit.bytes)}"
        )
    return ScratchFull(
        f"scratch is full: {wanted.files} files and folders would be more than its limit of {limit.files}"
    )


def _plus(usage: Usage, size: int, files: int) -> Usage:
    return Usage(max(0, usage.bytes + size), max(0, usage.files + files))
