"""How much memory a process uses, with everything that descends from it."""

from __future__ import annotations

from pathlib import Path

from fungible.runtime.process.listeners import group_of


def memory_of(pid: int) -> int:
    """Bytes that the command `pid` and its descendants have for themselves (RssAnon, proc(5)); files that are
    mapped, such as libraries, do not count."""
    return sum(_anonymous(each) for each in group_of(pid).pids)


def _anonymous(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0
