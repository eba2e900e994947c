"""What a process is to be given, as plain data that crosses to the launcher as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple

LEVELS = ("full", "copy", "readonly", "scratch", "none")
"""Isolation levels, strongest first."""


@dataclass(frozen=True)
class Mount:
    """A folder or file of the host, seen at `target` inside; attached ones are writable."""

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Spec:
    """One process: what runs, in which sandbox. All paths are absolute.

    `argv` is executed with `environment` in `cwd`. `private` is a folder on the host that belongs to this process
    alone (its tmp, home, scratch live below it; wiped when the process has ended). `source` is the folder that
    holds the app's content, `target` the path at which the app sees it: at level full as a throw-away overlay, at
    copy as a copy in `private`. `hidden` folders become empty (level full); `kept` are bound back read-only where
    one of them hides them. `mounts` shine through. `grace` is the time in seconds that what the command left
    behind gets between TERM and KILL. `limits` are rlimits by name (`RLIMIT_NOFILE`). `layer` says where the
    overlay's upper folder lives: `disk`, or `memory` where the filesystem of `private` cannot be one. Without
    `wipe` the private folder stays when the process has ended, for another to find. `below` are upper folders of
    processes that are idle or have ended; they lie between the overlay and `source`, topmost first (level full).
    `control_groups` are folders of the kernel's control groups that the process is born into, its launcher with it.
    `outbound` is `free`, or `refused`: no address but those of this machine can be reached; `reachable` and
    `unreachable` are exceptions (see `outbound.Policy`).
    """

    level: str
    argv: Tuple[str, ...]
    environment: Dict[str, str]
    private: str
    source: Optional[str] = None
    below: Tuple[str, ...] = ()
    target: Optional[str] = None
    cwd: Optional[str] = None
    hidden: Tuple[str, ...] = ()
    kept: Tuple[str, ...] = ()
    mounts: Tuple[Mount, ...] = ()
    host_name: Optional[str] = None
    grace: float = 2.0
    patience: Optional[float] = None
    limits: Dict[str, int] = field(default_factory=dict)
    layer: str = "disk"
    watch_databases: bool = False
    keep_stdin: bool = False
    wipe: bool = True
    control_groups: Tuple[str, ...] = ()
    outbound: str = "free"
    reachable: Tuple[str, ...] = ()
    unreachable: Tuple[str, ...] = ()

    def fields(self) -> Dict[str, Any]:
        """The spec as plain data, by field; for JSON, not to be changed."""
        return {**vars(self), "mounts": [vars(mount) for mount in self.mounts]}

    def to_json(self) -> bytes:
        """The spec as UTF-8 JSON."""
        return json.dumps(self.fields()).encode("utf-8", "surrogateescape")

    @classmethod
    def from_json(cls, data: bytes) -> Spec:
        """The inverse of `to_json`."""
        return cls.from_fields(json.loads(data.decode("utf-8", "surrogateescape")))

    @classmethod
    def from_fields(cls, given: Dict[str, Any]) -> Spec:
        """The inverse of `fields`, from what JSON makes of it."""
        fields = dict(given)
        for name in ("argv", "below", "hidden", "kept", "control_groups", "reachable", "unreachable"):
            fields[name] = tuple(fields[name])
        fields["mounts"] = tuple(Mount(**mount) for mount in fields["mounts"])
        return cls(**fields)
