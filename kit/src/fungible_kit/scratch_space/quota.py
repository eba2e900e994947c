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
    bytes wanted, and raises where the disk is nearly full.
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
        self._reserved = Usage(0, 0)  # all that was ever reserved under a name
        self._unasked = self._ASK_EVERY

    @property
    def used(self) -> Usage:
        """What is counted now, without looking at the disk."""
        return Usage(self._named.bytes + self._unnamed.bytes, self._named.files + self._unnamed.files)

    @property
    def left(self) -> int:
        """Bytes that may still be written."""
        return max(0, self.limit.bytes - self.used.bytes)

    def reserve(self, size: int, files: int = 0, *, named: bool = True) -> None:
        """Before `size` bytes are written, or `files` are made. Raises `ScratchFull`, and then nothing is counted."""
        if not self._taken(size, files, named):
            self.recount()  # something may have been removed
            if not self._taken(size, files, named):
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
                self.give_back(size, files, named=named)
                raise

    def _taken(self, size: int, files: int, named: bool) -> bool:
        with self._lock:
            if not self._fits(size, files):
                return False
            if named:
                self._named = _plus(self._named, size, files)
                self._reserved = _plus(self._reserved, size, files)
            else:
                self._unnamed = _plus(self._unnamed, size, files)
            return True

    def give_back(self, size: int, files: int = 0, *, named: bool = True) -> None:
        """What was reserved and not used, or is gone again."""
        with self._lock:
            if named:
                self._named = _plus(self._named, -size, -files)
                self._reserved = _plus(self._reserved, -size, -files)
            else:
                self._unnamed = _plus(self._unnamed, -size, -files)

    def recount(self) -> Usage:
        """Count what is there, whoever wrote it; what was reserved meanwhile comes on top."""
        before = self._reserved
        found = self._count()
        with self._lock:
            self._named = Usage(
                found.bytes + max(0, self._reserved.bytes - before.bytes),
                found.files + max(0, self._reserved.files - before.files),
            )
        return self.used

    def check(self) -> None:
        """Count, and raise `ScratchFull` where more is there than may be."""
        self.recount()
        if not self._fits(0, 0):
            raise self._full(0, 0)

    def _fits(self, size: int, files: int) -> bool:
        used = self.used
        return used.bytes + size <= self.limit.bytes and used.files + files <= self.limit.files

    def _full(self, size: int, files: int) -> ScratchFull:
        used = self.used
        if used.bytes + size > self.limit.bytes:
            return ScratchFull(
                f"scratch is full: {written(used.bytes + size)} would be more than its limit of "
                f"{written(self.limit.bytes)}"
            )
        return ScratchFull(
            f"scratch is full: {used.files + files} files and folders would be more than its limit of "
            f"{self.limit.files}"
        )


def _plus(usage: Usage, size: int, files: int) -> Usage:
    return Usage(max(0, usage.bytes + size), max(0, usage.files + files))
