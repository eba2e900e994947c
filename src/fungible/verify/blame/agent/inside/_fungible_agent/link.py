"""The connection to the verifier, and the thread that answers it.

There is no such thread while the process forks: the child starts without locks that nobody would release, and
connects anew. Everything that the thread uses is taken at the start, before a library replaces it in the modules.
"""

from __future__ import annotations

import _socket
import fcntl
import json
import os
import platform
import select
import time
from _thread import allocate_lock, get_native_id, start_new_thread
from typing import Any

from . import atoms, carry, chance, changes, files, hashes, lines, places, source
from .walk import Walk, walk

_LONGEST = 48 * 1024 * 1024
_SNAPSHOTS = 8
_HIGH = 200
_read, _write, _poll, _sleep, _exists = os.read, os.write, select.poll, time.sleep, os.path.exists

_address = ""
_channel: _Channel | None = None
_snapshots: dict[str, Walk] = {}


def begin(address: str) -> None:
    """Connect to the socket at `address`, here and in every child."""
    global _address
    _address = address
    os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
    _connect()


def _connect() -> None:
    global _channel
    _channel = None
    try:
        _channel = _Channel(_address)
        _channel.start()
    except (OSError, RuntimeError):
        _channel = None


def _before_fork() -> None:
    if _channel is not None:
        _channel.stop()


def _after_in_parent() -> None:
    if _channel is not None:
        _channel.start()


def _after_in_child() -> None:
    if _channel is not None:
        _channel.close()
    _connect()


def _high(number: int) -> int:
    """The descriptor away from those that the app counts on; it does not survive an exec."""
    try:
        moved = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except (OSError, ValueError):
        moved = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(number)
    return moved


def _command_line() -> list[str]:
    try:
        with open("/proc/self/cmdline", "rb") as file:
            return [os.fsdecode(part) for part in file.read().split(b"\0")[:-1]][:64]
    except OSError:
        return []


class _Channel:
    """One connection and its thread."""

    def __init__(self, address: str) -> None:
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        connection.connect(address)
        self._number = _high(connection.detach())
        self._inode = os.fstat(self._number).st_ino
        self._wake: tuple[int, int] = tuple(map(_high, os.pipe()))  # type: ignore[assignment]
        self._rest = b""
        self._running = False
        self._ended = allocate_lock()
        self._task = 0
        self._send({"hello": {"pid": os.getpid(), "parent": os.getppid(), "argv": _command_line(),
                              "python": platform.python_version(), "root": places.root.rstrip("/")}})  # fmt: skip

    def start(self) -> None:
        """Begin to answer."""
        self._running = True
        self._ended.acquire()
        try:
            start_new_thread(self._answer_all, ())
        except RuntimeError:
            self._running = False
            self._ended.release()

    def stop(self) -> None:
        """Wait until the thread has answered what it was asked, and is gone."""
        if not self._running:
            return
        _write(self._wake[1], b".")
        with self._ended:
            self._running = False
        # The interpreter's thread state is gone; the kernel's thread needs a moment more.
        for _ in range(100):
            if not self._task or not _exists(f"/proc/self/task/{self._task}"):
                break
            _sleep(0.0005)

    def close(self) -> None:
        """Forget the connection, in a child."""
        for number in (self._number, *self._wake):
            try:
                os.close(number)
            except OSError:
                continue

    def _answer_all(self) -> None:
        self._task = get_native_id()
        try:
            waiting = _poll()
            waiting.register(self._number, select.POLLIN)
            waiting.register(self._wake[0], select.POLLIN)
            while True:
                ready = [number for number, _ in waiting.poll()]
                if self._number in ready and not self._take():
                    return
                if self._wake[0] in ready:
                    _read(self._wake[0], 1)
                    return
        except OSError:
            return
        finally:
            self._ended.release()

    def _take(self) -> bool:
        if os.fstat(self._number).st_ino != self._inode:
            return False  # the app closed every descriptor, and this is another one
        said = _read(self._number, 1 << 16)
        if not said:
            return False
        *whole, self._rest = (self._rest + said).split(b"\n")
        for line in whole:
            self._send(_answer(json.loads(line)))
        return True

    def _send(self, answer: dict[str, Any]) -> None:
        line = json.dumps(answer).encode() + b"\n"
        if len(line) > _LONGEST:
            line = json.dumps({"id": answer.get("id"), "error": "the answer is too long"}).encode() + b"\n"
        while line:
            line = line[_write(self._number, line) :]


def _answer(command: dict[str, Any]) -> dict[str, Any]:
    try:
        known = _COMMANDS.get(command["do"])
        if known is None:
            raise LookupError(f"there is no command {command['do']}")
        return {"id": command["id"], "ok": known(command)}
    except Exception as error:
        detail = str(error) if type(error) in (LookupError, RuntimeError) else ""
        return {"id": command.get("id"), "error": f"{command.get('do')}: {detail or _where(error)}"}


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" in {trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
    return type(error).__name__ + place


def _snapshot(command: dict[str, Any]) -> dict[str, Any]:
    taken = walk(command["roots"], command["objects"], command["seconds"])
    if len(_snapshots) >= _SNAPSHOTS and command["name"] not in _snapshots:
        _snapshots.pop(next(iter(_snapshots)))
    _snapshots[command["name"]] = taken
    return {"objects": len(taken.nodes), "seconds": round(taken.seconds, 4), "truncated": taken.truncated}


def _taken(name: str) -> Walk:
    if name not in _snapshots:
        raise LookupError(f"there is no snapshot {name}")
    return _snapshots[name]


def _diff(command: dict[str, Any]) -> dict[str, Any]:
    born = _taken(command["born"] or command["from"])
    found = changes.differences(_taken(command["from"]))
    found.sort(key=lambda change: (not change.node.app, len(change.path)))
    told = [change.to_wire(born) for change in found[: command["limit"]]]
    return {"changes": told, "truncated": len(found) > len(told)}


def _restore(command: dict[str, Any]) -> dict[str, Any]:
    born = None if command["born"] is None else _taken(command["born"])
    done, failed = changes.restore(_taken(command["from"]), command["paths"], born)
    return {"restored": done, "suspects": failed}


def _declared(command: dict[str, Any]) -> dict[str, Any]:
    found = []
    for number, path in enumerate(command["paths"]):
        place = source.declared(path)
        if place is not None:
            found.append([number, *place])
    return {"places": found}


def _boot(command: dict[str, Any]) -> dict[str, Any]:
    return atoms.atoms(walk(command["roots"], 600_000, 30.0), command["salt"])


_COMMANDS: dict[str, Any] = {
    "snapshot": _snapshot,
    "diff": _diff,
    "restore": _restore,
    "export": lambda command: carry.export(command["path"]),
    "implant": lambda command: carry.implant(command["path"], command["value"]),
    "trace": lambda command: {"watching": lines.watch(command["paths"])},
    "traced": lambda command: {"writes": lines.writes()},
    "declared": _declared,
    "files": lambda command: {"files": files.files()},
    "boot": _boot,
    "drawn": lambda command: {"drawn": chance.end()},
    "hashed": lambda command: {"hashed": hashes.told()},
}
