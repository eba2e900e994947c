"""A supervisor's own folder for its processes: locked while it lives, so that another knows what it may wipe."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from pathlib import Path

from fungible.sandbox.launch import wipe

_LOCK = "lock"


class Session:
    """A folder below `processes` that belongs to this supervisor; nobody else wipes it before `end`.

    The lock (flock(2)) goes with the process that holds it, however that process ends. Raises OSError.
    """

    def __init__(self, processes: Path) -> None:
        while True:
            self.folder = processes / secrets.token_hex(3)
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                self.folder.mkdir(mode=0o700)
                # Between mkdir and the lock another may have taken it for a left-over.
                descriptor = take(self.folder / _LOCK)
                if descriptor is not None:
                    self._descriptor = descriptor
                    return

    def end(self) -> None:
        """Wipe the folder and let go of it."""
        wipe(str(self.folder))
        os.close(self._descriptor)

    def __enter__(self) -> Path:
        return self.folder

    def __exit__(self, *_: object) -> None:
        self.end()


def reap_sessions(processes: Path) -> int:
    """Wipe the folders of supervisors that are no more; returns how many processes had left theirs there."""
    left = 0
    for folder in processes.iterdir():
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            descriptor = take(folder / _LOCK)
            if descriptor is None:
                continue
            try:
                left += sum(1 for entry in folder.iterdir() if entry.name != _LOCK)
                wipe(str(folder))
            finally:
                os.close(descriptor)
    return left


def take(path: Path, *, shared: bool = False) -> int | None:
    """Lock the file at `path`, made if need be, until the descriptor that this returns is closed; None where another
    process has locked it (where `shared`: has locked it for itself alone). Who holds the lock alone may delete the
    file. Raises OSError."""
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        os.close(descriptor)  # its last holder has just deleted it
