"""Who listens, read from /proc: is a process up, and how many servers does it hide.

A type that forks its own servers (`gunicorn -w 4`) is recognised by counting the processes that hold a listening
socket and have no child that holds one too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fungible.runtime.process.tcp_listeners import tcp_listeners

_ACCEPTS = 0x10000  # __SO_ACCEPTCON


@dataclass(frozen=True)
class Group:
    """The processes that descend from one command: pid -> parent's pid."""

    parents: dict[int, int]

    @property
    def pids(self) -> tuple[int, ...]:
        """All of them."""
        return tuple(self.parents)


def group_of(pid: int) -> Group:
    """The process `pid` (as the host counts) and its descendants; empty where it has ended."""
    if not Path(f"/proc/{pid}").exists():
        return Group({})
    found = {pid: 0}
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        for child in _children(parent):
            if child not in found:
                found[child] = parent
                waiting.append(child)
    return Group(found)


def threads_of(pid: int) -> int:
    """How many threads the process `pid` has; 0 where it has ended."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def _children(pid: int) -> list[int]:
    found = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    for task in tasks:
        try:
            found += [int(word) for word in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
        except (OSError, ValueError):
            continue
    return found


def listening_sockets(port: int | None = None, path: str | None = None) -> frozenset[str]:
    """Inodes of the sockets that listen on a TCP port of any address, or on a Unix socket path."""
    found: set[str] = set()
    if port is not None:
        found |= {inode for number, inode in tcp_listeners() if number == port}
    if path is not None:
        for line in _lines("/proc/net/unix"):
            fields = line.split()
            if len(fields) > 7 and fields[7] == path and int(fields[3], 16) & _ACCEPTS:
                found.add(fields[6])
    return frozenset(found)


def _lines(table: str) -> list[str]:
    try:
        return Path(table).read_text().splitlines()[1:]
    except OSError:
        return []


def holders(group: Group, inodes: frozenset[str]) -> frozenset[int]:
    """Which processes of the group have one of these sockets open."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    return frozenset(pid for pid in group.pids if wanted & _open_sockets(pid))


def _open_sockets(pid: int) -> set[str]:
    found: set[str] = set()
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return found
    for descriptor in descriptors:
        try:
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def listening_at(pid: int) -> list[str]:
    """Where the command `pid` and its descendants listen, for people: TCP ports and paths of Unix sockets."""
    held: set[str] = set().union(*(_open_sockets(each) for each in group_of(pid).pids))
    found: dict[str, None] = {}
    for port, inode in tcp_listeners():
        if f"socket:[{inode}]" in held:
            found[f"port {port}"] = None
    for line in _lines("/proc/net/unix"):
        fields = line.split()
        if len(fields) > 7 and int(fields[3], 16) & _ACCEPTS and f"socket:[{fields[6]}]" in held:
            found[fields[7]] = None
    return list(found)


def is_listening(pid: int, port: int | None, path: str | None = None) -> bool:
    """Whether the command `pid` or a descendant listens there."""
    inodes = listening_sockets(port, path)
    return bool(inodes) and bool(holders(group_of(pid), inodes))


def is_foreign(pid: int, port: int | None, path: str | None = None) -> bool:
    """Whether an answer from there was somebody else's: no process of the command `pid` listens there, and each of
    them could be looked into. Where one could not (it changed its user), nothing is said against it, and neither
    where the kernel does not tell who listens, or a socket's path may be another name of this one."""
    group = group_of(pid)
    inodes = listening_sockets(port, path)
    # On a port where nobody listens by now, it was somebody who has gone since.
    unknown = not inodes and (port is None or not tcp_listeners())
    if unknown or holders(group, inodes):
        return False
    return all(os.access(f"/proc/{each}/fd", os.R_OK | os.X_OK) for each in group.pids)


def serving(pid: int, port: int | None, path: str | None = None) -> frozenset[int]:
    """The processes that serve: holders of the listening socket without a child that holds it too."""
    group = group_of(pid)
    holding = holders(group, listening_sockets(port, path))
    return frozenset(each for each in holding if not any(group.parents[other] == each for other in holding))


def count_servers(pid: int, port: int | None, path: str | None = None) -> int:
    """How many processes serve behind one port or socket."""
    return len(serving(pid, port, path))
