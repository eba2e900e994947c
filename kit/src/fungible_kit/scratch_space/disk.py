"""What the disk under scratch is: how much is free, and whether it is memory."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

from fungible_kit.scratch_space.errors import ScratchFull, ScratchIsMemory
from fungible_kit.scratch_space.quantity import written

_MEMORY = frozenset(("tmpfs", "ramfs"))
_OCTAL = re.compile(r"\\([0-7]{3})")
_warned: set[tuple[str, int]] = set()


def free(folder: str) -> int:
    """Bytes that this user may still write below `folder` (statvfs(3))."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def require_free(folder: str, size: int, keep: int) -> None:
    """Raises `ScratchFull` where writing `size` bytes would leave less than `keep` free."""
    left = free(folder)
    if left - size < keep:
        raise ScratchFull(
            f"the disk under {folder} has {written(left)} free: scratch leaves {written(keep)} of it, and asked for "
            f"{written(size)}"
        )


def kind_of(mountinfo: str, folder: str) -> str:
    """The type of the file system at `folder`, from the text of /proc/self/mountinfo (proc(5)); "" if unknown."""
    best = ("", "")
    for line in mountinfo.splitlines():
        front, _, back = line.partition(" - ")
        fields = front.split()
        if len(fields) < 5 or not back:
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        inside = folder == point or folder.startswith(point.rstrip("/") + "/")
        # Of two mounts at one place the later covers the earlier.
        if inside and len(point) >= len(best[0]):
            best = (point, back.split()[0])
    return best[1]


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes of memory that this process may have: the least limit of its control groups, else the machine's memory.

    `root` is where /proc and /sys/fs/cgroup are found. None where neither says.
    """
    found = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        below = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        if controllers and "memory" not in controllers.split(","):
            continue
        group = below / path.lstrip("/")
        for each in (group, *group.parents):
            value = _text(each / name).strip()
            if value.isdecimal():
                found.append(int(value))
            if each == below:
                break
    total = re.search(r"^MemTotal:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    if total:
        found.append(int(total[1]) * 1024)
    return min(found, default=None)


def warn_if_memory(folder: str, limit: int) -> None:
    """Warn (`ScratchIsMemory`), once for each folder and limit, where `folder` is memory and `limit` allows more than
    half of what this process may have."""
    if (folder, limit) in _warned:
        return
    _warned.add((folder, limit))
    if kind_of(_text(Path("/proc/self/mountinfo")), os.path.realpath(folder)) not in _MEMORY:
        return
    memory = memory_limit()
    if memory is not None and limit > memory // 2:
        warnings.warn(
            f"scratch is memory: {folder} is a tmpfs, its limit is {written(limit)}, and this process may have "
            f"{written(memory)} of memory in all; set FUNGIBLE_SCRATCH to a folder on disk, or a lower limit",
            ScratchIsMemory,
            stacklevel=4,
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
