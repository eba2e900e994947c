"""Where the things of an app are kept; nothing of ours is ever written into the app's folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.services.place import private_folder

_LONGEST = 65
"""Bytes of the runtime folder's path, so that the longest path of a socket below it stays under 107 (unix(7))."""


@dataclass(frozen=True)
class Folders:
    """The folders of one app: `state` lasts, `run` holds sockets and lasts as long as the supervisor.

    `root` is the folder above all apps' states, hidden from every sandbox. XDG Base Directory Specification 0.8.
    """

    root: Path
    state: Path
    run: Path

    @property
    def processes(self) -> Path:
        """Private folders of running processes, in one folder for each supervisor (see `session`)."""
        return self.state / "processes"

    @property
    def releases(self) -> Path:
        """Sealed releases, one folder each."""
        return self.state / "releases"

    @property
    def assets(self) -> Path:
        """Hashed assets of all releases that are kept; every process of an app with assets sees it."""
        return self.state / "assets"

    @property
    def services(self) -> Path:
        """Data of embedded backing services, one folder each."""
        return self.state / "services"

    def make(self) -> Folders:
        """Create what is missing, mode 0700; returns itself. Raises Problem where that is not possible.

        Until `leave`, or the end of this process, nobody removes what is empty.
        """
        _enter(self.run.parent)
        for folder in (self.root, self.state, self.run):
            private_folder(folder)
        for folder in (self.processes, self.releases, self.services):
            private_folder(folder)
        return self

    def leave(self) -> None:
        """Let go; the last one of this user to do so removes what is empty."""
        with _left(self.run.parent) as last:
            if last:
                _remove_empty(self.run.parent)
                # A folder of the services belongs to the app, empty or not.
                for folder in (self.processes, self.releases, self.services, self.state, self.root):
                    with contextlib.suppress(OSError):
                        folder.rmdir()


_held: dict[Path, int] = {}
"""Runtime folders that this process is in: each by a descriptor with a shared lock (flock(2))."""


def _enter(folder: Path) -> None:
    """Make `folder` and lock it, shared; one that was removed in between is made again."""
    while folder not in _held:
        private_folder(folder)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), folder.stat()):
                _held[folder] = descriptor
                return
        os.close(descriptor)


@contextlib.contextmanager
def _left(folder: Path) -> Iterator[bool]:
    """Let go of `folder` afterwards; whether nobody else is in it, nor can come in meanwhile."""
    descriptor = _held.pop(folder, None)
    if descriptor is None:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        last = True
    except OSError:
        last = False
    try:
        yield last
    finally:
        os.close(descriptor)


def _remove_empty(folder: Path) -> None:
    for path, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(path)


def folders_for(state_name: str, environment: Mapping[str, str]) -> Folders:
    """The folders of the app called `state_name` (`shop-1a2b3c4d`) for the user whose environment this is.

    As the XDG specification says, variables that hold a relative path are passed over; so is a runtime folder that
    cannot be written to, or whose path is too long for sockets below it. Raises Problem for a user
    without a home.
    """
    root = _state_home(environment) / "fungible"
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    # Unix socket paths end at 107 bytes: only the hash of the name goes into them.
    usable = os.path.isabs(runtime) and len(os.fsencode(runtime)) < _LONGEST and os.access(runtime, os.W_OK)
    base = Path(runtime) / "fungible" if usable else _fallback()
    return Folders(root, root / state_name, base / state_name.rsplit("-", 1)[-1])


def _state_home(environment: Mapping[str, str]) -> Path:
    wanted = environment.get("XDG_STATE_HOME", "")
    if os.path.isabs(wanted):
        return Path(wanted)
    try:
        return Path.home() / ".local" / "state"
    except RuntimeError:
        raise Problem("this user has no home folder; set XDG_STATE_HOME to a folder", Exit.NOT_ALLOWED) from None


def _fallback() -> Path:
    return Path(tempfile.gettempdir()) / f"fungible-{os.geteuid()}"
