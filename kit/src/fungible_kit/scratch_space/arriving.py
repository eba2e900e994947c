"""A file on its way into a space: bounded, hashed, and under its name only once it is whole."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from fungible_kit.scratch_space import disk
from fungible_kit.scratch_space.errors import ScratchError, ScratchFull
from fungible_kit.scratch_space.quantity import written

if TYPE_CHECKING:
    from fungible_kit.scratch_space.space import Digest, Scratch

PART = ".part"


class Arriving:
    """A file that is not whole yet: it is written as `.part` and renamed at the end."""

    def __init__(self, space: Scratch, name: str, most: int | None) -> None:
        self._space, self._name, self._most = space, name, most
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()
        self._size = 0

    def begin(self, announced: int | None) -> IO[bytes]:
        """Open it; refuse what is announced as too large for the limit or the disk."""
        path, quota = self._space._living()
        if announced is not None:
            if self._most is not None and announced > self._most:
                raise self._too_large(announced)
            if announced > quota.left and announced > quota.limit.bytes - quota.recount().bytes:
                raise ScratchFull(
                    f"{written(announced)} would not fit: scratch has {written(quota.left)} of its limit left"
                )
            disk.require_free(path, announced, self._space._keep_free)
        self._file = self._space.open(self._name + PART, "xb")
        return self  # type: ignore[return-value]

    def write(self, data: bytes) -> int:
        assert self._file is not None
        self._size += len(data)
        if self._most is not None and self._size > self._most:
            raise self._too_large(None)
        self._hash.update(data)
        return self._file.write(data)

    def _too_large(self, announced: int | None) -> ScratchError:
        size = f"is {written(announced)}," if announced else "is"
        return ScratchError(f"the file {size} more than the {written(self._most or 0)} that may be copied")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def digest(self) -> Digest:
        return self._hash.hexdigest()

    def whole(self) -> Path:
        target = self._space / self._name
        os.rename(f"{target}{PART}", target)
        return target

    def discard(self) -> None:
        if self._file is None:
            return
        with suppress(OSError):
            self.close()
        with suppress(OSError, ScratchError):
            os.unlink(f"{self._space / self._name}{PART}")
            self._space._living()[1].recount()
