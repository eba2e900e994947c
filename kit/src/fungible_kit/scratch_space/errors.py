"""What goes wrong with scratch, as sentences for whoever reads the log."""

from __future__ import annotations

import errno
from typing import Literal


class ScratchError(Exception):
    """Scratch cannot do what was asked; the message says why."""


class ScratchFull(ScratchError, OSError):
    """More bytes or files than the limit, or a disk that is nearly full. An OSError (ENOSPC) for libraries."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.ENOSPC, message)

    def __str__(self) -> str:
        return str(self.args[1])


Reason = Literal[
    "url", "host", "address", "redirect", "size", "coding", "digest", "status", "time", "network", "stop"
]
"""Why there is no file, for an app that tells its users in words of its own."""


class FetchError(ScratchError):
    """A file could not be fetched. `retry`: it may work later.

    `reason` is one word for a program, `detail` what a "network" error was; `status` is what the server answered, if
    it did.
    """

    def __init__(
        self, message: str, reason: Reason, *, retry: bool = False, detail: str = "", status: int | None = None
    ) -> None:
        super().__init__(message)
        self.reason, self.retry, self.detail, self.status = reason, retry, detail, status


class FetchRefused(FetchError):
    """A file that must not be fetched: wrong scheme, host, address, size or digest. Trying again is no use."""


class FetchStopped(FetchError):
    """The `stop` that was given said so in the middle."""


class UnsafeArchive(ScratchError):
    """An archive that must not be unpacked. Nothing of it is left."""


class ScratchIsMemory(UserWarning):
    """The disk under scratch is memory, and the limit allows more of it than the process may have."""
