"""Files that a transaction makes in a temporary folder by other means than scratch: noted as they are made.

An audit hook sees `open`, `os.open`, `os.mkdir` and renames of Python code, hence all of `tempfile` and `shutil`;
what C code opens by itself (SQLite, a subprocess) it does not see.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from contextlib import suppress
from typing import Any, Literal

from fungible_kit.transactions.caller import app_line
from fungible_kit.transactions.scope import Leak, Transaction, current

Temporary = Literal["report", "wipe", "ignore"]

_lock = threading.Lock()
_hooked = False
_CREATE = os.O_CREAT
_EVENTS = frozenset(("open", "os.mkdir", "os.rename"))
_MOST = 1000
"""Paths noted in one transaction; one that makes more has been found out by then."""

OURS = "fungible-scratch-"
"""How the folders of `scratch` begin: those are looked after by themselves."""


class TemporaryFiles:
    """What one transaction made in the temporary folders, and at which line."""

    def __init__(self, rule: Temporary) -> None:
        self._rule = rule
        self._made: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._made)

    def made(self, path: str) -> None:
        """`path` is about to be made."""
        if len(self._made) < _MOST and path not in self._made and not os.path.lexists(path):
            self._made[path] = app_line()

    def moved(self, source: str, target: str) -> None:
        """`source` is about to be called `target`."""
        line = self._made.get(source)
        if line is not None and len(self._made) < _MOST:
            self._made[target] = line

    def leaks(self) -> list[Leak]:
        """What is still there; wiped where it lies in our own scratch folder, or where that is the rule."""
        own = _own_root()
        found: list[Leak] = []
        for path, line in sorted(self._made.items()):
            if any(path.startswith(leak.path + os.sep) for leak in found):
                continue  # its folder has been reported
            with suppress(OSError):
                found.append(self._leak(path, line, self._rule == "wipe" or _below(path, own)))
        return found

    def _leak(self, path: str, line: str, wipe: bool) -> Leak:
        from fungible_kit.scratch_space import tree

        size = os.lstat(path).st_size
        if not os.path.isdir(path) or os.path.islink(path):
            if wipe:
                os.unlink(path)
            return Leak("file", path, line, size, 1, wipe)
        usage = tree.measure(path)
        if wipe:
            tree.wipe(path)
        return Leak("folder", path, line, usage.bytes, usage.files, wipe)


class WatchedTransaction(Transaction):
    """A transaction whose temporary files are noted."""

    __slots__ = ("temporary",)

    def __init__(self, rule: Temporary) -> None:
        super().__init__()
        self.temporary = TemporaryFiles(rule)
        _hook_once()

    def finish(self) -> list[Leak]:
        if self.ended:
            return []
        return super().finish() + self.temporary.leaks()

    @property
    def empty(self) -> bool:
        return super().empty and not self.temporary


def _hook_once() -> None:
    global _hooked
    with _lock:
        if not _hooked:
            sys.addaudithook(_hear)
            _hooked = True


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _EVENTS:
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _CREATE):
        return
    transaction = current()
    if not isinstance(transaction, WatchedTransaction):
        return
    with suppress(Exception):  # whatever goes wrong here must not become the app's error
        path = _whole(arguments[0], arguments[-1] if event == "os.mkdir" else -1)
        if event == "os.rename":
            target = _whole(arguments[1], arguments[3])
            if path is not None and target is not None:
                transaction.temporary.moved(path, target)
        elif path is not None and OURS not in path and any(_below(path, root) for root in _roots()):
            transaction.temporary.made(path)


def _whole(path: object, folder: int) -> str | None:
    if isinstance(path, bytes | os.PathLike):
        path = os.fsdecode(path)
    if not isinstance(path, str) or (folder != -1 and not os.path.isabs(path)):
        return None
    return os.path.abspath(path)


def _roots() -> list[str]:
    temporary = tempfile.tempdir or os.environ.get("TMPDIR") or "/tmp"
    return [root for root in (_own_root(), os.path.abspath(os.fsdecode(temporary))) if root]


def _own_root() -> str:
    own = os.environ.get("FUNGIBLE_SCRATCH", "")
    return os.path.abspath(own) if own else ""


def _below(path: str, root: str) -> bool:
    return bool(root) and path.startswith(root + os.sep)
