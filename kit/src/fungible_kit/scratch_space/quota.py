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
    bytes wanted, and raises where the disk is nearly full. A writer holds `writing` from `reserve` until it has
    written: then a count finds all that is reserved.
    """

    _ASK_EVERY = 4 * 1024 * 1024  # bytes between two looks at the disk

    def __init__(
        self, limit_bytes: int, limit_files: int, count: Callable[[], Usage], has_room: Callable[[int], None]
    ) -> None:
        self.limit = Usage(limit_bytes, limit_files)
        self.writing = threading.RLock()
        self._count, self._has_room = count, has_room
        self._named = Usage(0, 0)  # in the folder, as far as we know
        self._unnamed = Usage(0, 0)  # files without a name: no count finds them
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
        with self.writing:
            # Something may have been removed: that is looked for once there is no room any more.
            if not self._fits(size, files) and not (self.recount() and self._fits(size, files)):
                raise _full(self.limit, _plus(self.used, size, files))
            self._unasked += size
            if self._unasked >= self._ASK_EVERY:
                self._has_room(size)
                self._unasked = 0
            self._add(size, files, named)

    def give_back(self, size: int, files: int = 0, *, named: bool = True) -> None:
        """What was reserved has not been written, or is gone again."""
        with self.writing:
            self._add(-size, -files, named)

    def recount(self) -> Usage:
        """Count what is there, whoever wrote it."""
        with self.writing:
            self._named = self._count()
            return self.used

    def _add(self, size: int, files: int, named: bool) -> None:
        if named:
            self._named = _plus(self._named, size, files)
        else:
            self._unnamed = _plus(self._unnamed, size, files)

    def check(self) -> None:
        """Count, and raise `ScratchFull` where more is there than may be.

        Writers go on meanwhile. A file that is renamed during a count may be met twice: two counts are believed.
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
