"""Where a process lives on the host, and what is known of it besides its state."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """Where a process lives on the host: its private folder, its port, its Unix socket's folder."""

    private: Path
    port: int | None = None
    socket_folder: Path | None = None

    @property
    def socket(self) -> Path | None:
        """The path of the Unix socket that it listens on, if any."""
        return self.socket_folder / "s" if self.socket_folder else None

    @property
    def address(self) -> str | None:
        """As the router takes it."""
        if self.socket is not None:
            return f"unix@{self.socket}"
        return f"127.0.0.1:{self.port}" if self.port is not None else None

    @property
    def wanted(self) -> str:
        """The variable that names where it is to listen."""
        return "$FUNGIBLE_SOCKET" if self.socket_folder else "$PORT"

    def given(self, name: str, instance: str) -> dict[str, str]:
        """What the process `name` is told of itself and of its place, as environment variables."""
        own = self.private / "own"
        given = {
            "FUNGIBLE_PROCESS": name,
            "FUNGIBLE_INSTANCE": instance,
            "FUNGIBLE_SCRATCH": str(own / "scratch"),
            "TMPDIR": str(own / "tmp"),
            "HOME": str(own / "home"),
            "XDG_RUNTIME_DIR": str(own / "run"),
        }
        if self.port is not None:
            given["PORT"] = str(self.port)
        if self.socket is not None:
            given["FUNGIBLE_SOCKET"] = str(self.socket)
        return given


@dataclass
class Facts:
    """What is known of a process besides its state; times are the clock's seconds. `listens_on` is where it listens
    instead of at its place, `refused` what it answers at its `ready` path as long as that does not count."""

    born_at: float
    ready_at: float | None = None
    ended_at: float | None = None
    pid: int | None = None
    status: int | None = None
    cause: str | None = None
    servers: int | None = None
    listens_on: list[str] | None = None
    refused: str | None = None
    wrote: list[str] = field(default_factory=list)
