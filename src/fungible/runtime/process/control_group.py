"""Memory and processors of a process held by the kernel's control groups, where this user may make some.

Both versions are known (Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ of the kernel). Of version 2 the
nearest ancestor is taken that this user may write to and that gives the controllers on to its children.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

OF_OURS = 16 * 1024 * 1024
"""Bytes that our own init in the group may take, on top of what the process may."""
_PERIOD = 100_000  # microseconds
_NAME = re.compile(r"fungible-(\d+)-[0-9a-f]+")


@dataclass(frozen=True)
class Places:
    """Folders in which groups can be made, by controller (`memory`, `cpu`); `version` of their files."""

    folders: Mapping[str, Path]
    version: int

    def can(self, controller: str) -> bool:
        """Whether it can be held to that."""
        return controller in self.folders


class Group:
    """A group of one process: made, entered, asked and removed."""

    def __init__(self, places: Places, name: str, memory: int | None, cpu: float | None) -> None:
        self._version = places.version
        self._folders: list[Path] = []
        self._memory: Path | None = None
        with contextlib.suppress(OSError):
            if memory is not None and places.can("memory"):
                self._memory = self._make(places.folders["memory"] / name)
                self._limit_memory(self._memory, memory + OF_OURS)
            if cpu is not None and places.can("cpu"):
                self._limit_cpu(self._make(places.folders["cpu"] / name), cpu)

    @property
    def holds_memory(self) -> bool:
        """Whether the kernel bounds its memory."""
        return self._memory is not None

    @property
    def folders(self) -> tuple[str, ...]:
        """Where it is: one folder for each controller, or for all."""
        return tuple(str(folder) for folder in self._folders)

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed anything in it for want of memory."""
        if self._memory is None:
            return False
        name = "memory.events" if self._version == 2 else "memory.oom_control"
        with contextlib.suppress(OSError, ValueError):
            for line in (self._memory / name).read_text().splitlines():
                word, _, count = line.partition(" ")
                if word == "oom_kill":
                    return int(count) > 0
        return False

    def most_memory(self) -> int | None:
        """The most bytes that were in use in it, our own init included; None where the kernel does not say."""
        name = "memory.peak" if self._version == 2 else "memory.max_usage_in_bytes"
        with contextlib.suppress(OSError, ValueError):
            return int((self._memory / name).read_text()) if self._memory is not None else None
        return None

    def let_go(self) -> None:
        """Remove it; nothing is in it any more."""
        for folder in self._folders:
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _make(self, folder: Path) -> Path:
        if folder not in self._folders:
            folder.mkdir()
            self._folders.append(folder)
        return folder

    def _limit_memory(self, folder: Path, most: int) -> None:
        if self._version == 2:
            (folder / "memory.max").write_text(str(most))
            with contextlib.suppress(OSError):  # no swap on this machine
                (folder / "memory.swap.max").write_text("0")
            return
        (folder / "memory.limit_in_bytes").write_text(str(most))
        with contextlib.suppress(OSError):  # swap is not accounted for
            (folder / "memory.memsw.limit_in_bytes").write_text(str(most))

    def _limit_cpu(self, folder: Path, most: float) -> None:
        quota = max(1000, round(most * _PERIOD))
        if self._version == 2:
            (folder / "cpu.max").write_text(f"{quota} {_PERIOD}")
            return
        (folder / "cpu.cfs_period_us").write_text(str(_PERIOD))
        (folder / "cpu.cfs_quota_us").write_text(str(quota))


def find_places() -> Places:
    """Where this process may make groups; no folders where it may not."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        own = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return Places({}, 2)
    return places_from(mounts, own)


def places_from(mountinfo: Iterable[str], own: Iterable[str]) -> Places:
    """The places that the lines of /proc/self/mountinfo and /proc/self/cgroup tell of (proc(5))."""
    paths = {
        controllers: path for _, controllers, path in (line.split(":", 2) for line in own if line.count(":") > 1)
    }
    found: dict[str, Path] = {}
    first: dict[str, Path] = {}
    for line in mountinfo:
        left, _, right = line.partition(" - ")
        root, mount = left.split()[3:5]
        kind, _, options = right.split()[0:3]
        if kind == "cgroup2" and "" in paths:
            top = Path(mount)
            for folder in _upwards(top, _below(paths[""], root)):
                given = _given_on(folder)
                found = {name: folder for name in ("memory", "cpu") if name in given and _may_make(folder)}
                if found:
                    return Places(found, 2)
        elif kind == "cgroup":
            for controllers, path in paths.items():
                for name in ("memory", "cpu"):
                    folder = Path(mount) / _below(path, root)
                    if name in controllers.split(",") and name in options.split(",") and _may_make(folder):
                        first[name] = folder
    return Places(first, 1)


def reap(places: Places) -> None:
    """Remove the empty groups of supervisors that are no more."""
    for folder in set(places.folders.values()):
        with contextlib.suppress(OSError):
            for entry in folder.iterdir():
                match = _NAME.fullmatch(entry.name)
                if match and not Path(f"/proc/{match[1]}").exists():
                    with contextlib.suppress(OSError):
                        entry.rmdir()


def name_of(instance: str) -> str:
    """The name of a group of this supervisor."""
    return f"fungible-{os.getpid()}-{instance}"


def _below(path: str, root: str) -> str:
    """`path` in a hierarchy of which `root` is what is mounted."""
    inside = os.path.relpath(path, root)
    return "." if inside.startswith("..") else inside


def _upwards(top: Path, inside: str) -> list[Path]:
    parts = [part for part in inside.split("/") if part != "."]
    return [top.joinpath(*parts[:end]) for end in range(len(parts), -1, -1)]


def _given_on(folder: Path) -> list[str]:
    try:
        return (folder / "cgroup.subtree_control").read_text().split()
    except OSError:
        return []


def _may_make(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)
