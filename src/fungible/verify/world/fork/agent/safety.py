"""Is a process that has imported an app safe to fork? What does not survive a fork, read from the process itself.

What is looked for was measured to break: threads are gone in a child, connections are shared by all children, locks
are held by none, an event loop's epoll is one for all (fork(2), epoll(7), "How To Corrupt An SQLite Database File").
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import io
import os
import re
import signal
import socket
import stat
import threading

from .origins import Origins, address

_SHARED = re.compile(r"^\S+ .w.s \S+ \S+ \S+ *(.*)$", re.MULTILINE)
_NAMES = 3  # that a reason lists


def open_descriptors() -> frozenset[int]:
    """What is open now."""
    return frozenset(_targets())


def reasons(known: frozenset[int], origins: Origins) -> list[str]:
    """Why this process must not be forked, with the app's lines; empty if it may. `known` descriptors were open
    before the import."""
    return [
        *_threads(origins),
        *_children(origins),
        *_descriptors(known, origins),
        *_locks(),
        *_memory(),
        *_timers(),
        *_loops(),
    ]


def python_files() -> dict[int, io.FileIO]:
    """Open files of Python, by descriptor."""
    found: dict[int, io.FileIO] = {}
    for each in gc.get_objects():
        if type(each) is io.FileIO and not each.closed:
            found[each.fileno()] = each
    return found


def _threads(origins: Origins) -> list[str]:
    ours = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if ours:
        told = [(name, _started(origins.of("thread", name))) for name in ours]
        return ["{} after import".format(_listed("thread", told, "runs", "run"))]
    native = len(os.listdir("/proc/self/task")) - 1
    return [f"{native} threads of a native library run after import"] if native > 0 else []


def _children(origins: Origins) -> list[str]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            count = len(file.read().split())
    except OSError:
        return []
    started = _started(origins.of("child"))
    return (
        [f"{count} child {'process runs' if count == 1 else 'processes run'}{started} after import"] if count else []
    )


def _targets() -> dict[int, str]:
    found: dict[int, str] = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink("/proc/self/fd/" + name)
        except OSError:
            continue  # the listing's own
    return found


def _descriptors(known: frozenset[int], origins: Origins) -> list[str]:
    connected: list[tuple[str, str]] = []
    listening: list[tuple[str, str]] = []
    kernel: list[str] = []
    files: list[str] = []
    python = python_files()
    for descriptor, target in sorted(_targets().items()):
        if descriptor in known:
            continue
        if target.startswith("socket:"):
            is_listening, peer = _socket(descriptor)
            if is_listening:
                listening.append((peer, _opened(origins.of("listener", peer))))
            elif peer:
                connected.append((peer, _opened(origins.of("connection", peer))))
        elif target.startswith("anon_inode:"):
            kernel.append(target[len("anon_inode:") :].strip("[]"))
        elif target.startswith("pipe:"):
            kernel.append("pipe")
        elif reason := _file(descriptor, target, descriptor in python, origins):
            files.append(reason)
    said = []
    if connected:
        said.append("{} after import".format(_listed("connection", connected, "is open", "are open", "to ")))
    if listening:
        said.append("{} after import".format(_listed("socket", listening, "listens", "listen", "at ")))
    if kernel:
        names = [(name, "") for name in sorted(set(kernel))]
        said.append("{} after import".format(_listed("kernel object", names, "is open", "are open")))
    return [*said, *dict.fromkeys(files)]


def _socket(descriptor: int) -> tuple[bool, str]:
    """Whether it listens, and where; else whom it is connected to, empty for nobody or for datagrams."""
    with socket.socket(fileno=os.dup(descriptor)) as found:
        try:
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return True, address(found.getsockname())
            if found.type == socket.SOCK_DGRAM:
                return False, ""  # sent and forgotten; nothing to mix up
            return False, address(found.getpeername()) or "a socket pair"
        except OSError:
            return False, ""


def _file(descriptor: int, target: str, is_python: bool, origins: Origins) -> str:
    """Why an open file stands in the way; Python's own files are opened anew in a child."""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError:
        return ""
    deleted = target.endswith(" (deleted)")
    if mode == os.O_RDONLY and not deleted:
        return ""
    if is_python and not deleted:
        return ""
    path = target[: -len(" (deleted)")] if deleted else target
    what = "an unlinked file" if deleted else "an SQLite database" if _is_sqlite(path) else "a file"
    how = "open" if deleted else "open for writing"
    return f"{what} ({origins.named(path)}){_opened(origins.of('file', path))} is {how} after import"


def _is_sqlite(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError:
        return False
    return head == b"SQLite format 3\x00" or (not head and path.endswith((".db", ".sqlite", ".sqlite3")))


def _locks() -> list[str]:
    """Locks that we hold (proc(5), /proc/locks): a child would not."""
    ours = str(os.getpid())
    try:
        with open("/proc/locks") as file:
            held = [line.split() for line in file]
    except OSError:
        return []
    kinds = sorted({words[1] for words in held if len(words) > 4 and words[1] != "->" and words[4] == ours})
    return ["a file lock ({}) is held after import".format(", ".join(kinds))] if kinds else []


def _memory() -> list[str]:
    with open("/proc/self/maps") as file:
        shared = [name.strip() or "without a name" for name in _SHARED.findall(file.read())]
    return [f"memory is shared with children after import ({shared[0]})"] if shared else []


def _timers() -> list[str]:
    return ["an interval timer runs after import"] if signal.getitimer(signal.ITIMER_REAL)[0] > 0 else []


def _loops() -> list[str]:
    return ["an event loop runs after import"] if asyncio._get_running_loop() is not None else []


def _opened(line: str) -> str:
    return f", opened at {line}," if line else ""


def _started(line: str) -> str:
    return f", started at {line}," if line else ""


def _listed(what: str, names: list[tuple[str, str]], one: str, many: str, word: str = "") -> str:
    """`names` with where each came from."""
    if len(names) == 1:
        return f"a {what} {word}`{names[0][0]}`{names[0][1]} {one}"
    shown = ", ".join(name + origin.rstrip(",").replace(",", "") for name, origin in names[:_NAMES])
    shown += ", ..." if len(names) > _NAMES else ""
    return f"{len(names)} {what}s {word}({shown}) {many}"
