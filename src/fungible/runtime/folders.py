"""Where the things of an app are kept; nothing of ours is ever written into the app's folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.services.place import private_folder


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
    def services(self) -> Path:
        """Data of embedded backing services, one folder each."""
        return self.state / "services"

    def make(self) -> Folders:
        """Create what is missing, mode 0700; returns itself. Raises Problem where that is not possible."""
        for folder in (self.root, self.state, self.run.parent, self.run):
            private_folder(folder)
        for folder in (self.processes, self.releases, self.services):
            private_folder(folder)
        return self


def folders_for(state_name: str, environment: Mapping[str, str]) -> Folders:
    """The folders of the app called `state_name` (`shop-1a2b3c4d`) for the user whose environment this is.

    As the XDG specification says, variables that hold a relative path are passed over. Raises Problem for a user
    without a home.
    """
    root = _state_home(environment) / "fungible"
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    base = Path(runtime) / "fungible" if os.path.isabs(runtime) and os.access(runtime, os.W_OK) else _fallback()
    # Unix socket paths end at 107 bytes: only the hash of the name goes into them.
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
