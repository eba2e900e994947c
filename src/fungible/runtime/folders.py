"""Where the things of an app are kept; nothing of ours is ever written into the app's folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


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
        """Private folders of running processes, one each."""
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
        """Create what is missing, mode 0700; returns itself."""
        for folder in (self.root, self.state, self.run.parent, self.run):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.processes, self.releases, self.services):
            folder.mkdir(mode=0o700, exist_ok=True)
        return self


def folders_for(state_name: str, environment: Mapping[str, str]) -> Folders:
    """The folders of the app called `state_name` (`shop-1a2b3c4d`) for the user whose environment this is."""
    home = Path(environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    root = home / "fungible"
    runtime = environment.get("XDG_RUNTIME_DIR")
    base = Path(runtime) / "fungible" if runtime and os.access(runtime, os.W_OK) else _fallback()
    # Unix socket paths end at 107 bytes: only the hash of the name goes into them.
    return Folders(root, root / state_name, base / state_name.rsplit("-", 1)[-1])


def _fallback() -> Path:
    return Path(tempfile.gettempdir()) / f"fungible-{os.geteuid()}"
