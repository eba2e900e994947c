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

_SHARED = re.compile(r"^\S+ .w.s \S+ \S+ \S+ *(.*)$", re.MULTILINE)
_NAMES = 3  # that a reason lists


def open_descriptors() -> frozenset[int]:
    """What is open now."""
    return frozenset(_targets())


def reasons(known: frozenset[int]) -> list[str]:
    """Why this process must not be forked; empty if it may. `known` descriptors were open before the import."""
    return [*_threads(), *_children(), *_descriptors(known), *_locks(), *_memory(), *_timers(), *_loops()]


def python_files() -> dict[int, io.FileIO]:
    """Open files of Python, by descriptor."""
    found: dict[int, io.FileIO] = {}
    for each in gc.get_objects():
        if type(each) is io.FileIO and not each.closed:
            found[each.fileno()] = each
    return found


def _threads() -> list[str]:
    ours = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if ours:
        return ["{} after import".format(_listed("thread", ours, "runs", "run"))]
    native = len(os.listdir("/proc/self/task")) - 1
    return [f"{native} threads of a native library run after import"] if native > 0 else []


def _children() -> list[str]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            count = len(file.read().split())
    except OSError:
        return []
    return [f"{count} child processes run after import"] if count else []


def _targets() -> dict[int, str]:
    found: dict[int, str] = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink("/proc/self/fd/" + name)
        except OSError:
            continue  # the listing's own
    return found


def _descriptors(known: frozenset[int]) -> list[str]:
    connected: list[str] = []
    listening: list[str] = []
    kernel: list[str] = []
    files: list[str] = []
    python = python_files()
    for descriptor, target in sorted(_targets().items()):
        if descriptor in known:
            continue
        if target.startswith("socket:"):
            is_listening, peer = _socket(descriptor)
            if is_listening:
                listening.append(peer)
            elif peer:
                connected.append(peer)
        elif target.startswith("anon_inode:"):
            kernel.append(target[len("anon_inode:") :].strip("[]"))
        elif target.startswith("pipe:"):
            kernel.append("pipe")
        elif reason := _file(descriptor, target, descriptor in python):
            files.append(reason)
    said = []
    if connected:
        said.append("{} after import".format(_listed("connection", connected, "is open", "are open", "to ")))
    if listening:
        said.append("{} after import".format(_listed("socket", listening, "listens", "listen", "at ")))
    if kernel:
        said.append("{} after import".format(_listed("kernel object", sorted(set(kernel)), "is open", "are open")))
    return [*said, *files]


def _socket(descriptor: int) -> tuple[bool, str]:
    """Whether it listens, and where; else whom it is connected to, empty for nobody or for datagrams."""
    with socket.socket(fileno=os.dup(descriptor)) as found:
        try:
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return True, _address(found.getsockname())
            if found.type == socket.SOCK_DGRAM:
                return False, ""  # sent and forgotten; nothing to mix up
            return False, _address(found.getpeername()) or "a socket pair"
        except OSError:
            return False, ""


def _address(name: object) -> str:
    if isinstance(name, tuple):
        return "{}:{}".format(*name[:2])
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _file(descriptor: int, target: str, is_python: bool) -> str:
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
    if deleted:
        return "an unlinked file ({}) is open after import".format(target[: -len(" (deleted)")])
    what = "an SQLite database" if _is_sqlite(target) else "a file"
    return f"{what} ({target}) is open for writing after import"


def _is_sqlite(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(16) in (b"SQLite format 3\x00", b"")
    except OSError:
        return False


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


def _listed(what: str, names: list[str], one: str, many: str, word: str = "") -> str:
    shown = ", ".join(names[:_NAMES]) + (", ..." if len(names) > _NAMES else "")
    if len(names) == 1:
        return f"a {what} {word}`{shown}` {one}"
    return f"{len(names)} {what}s {word}({shown}) {many}"
