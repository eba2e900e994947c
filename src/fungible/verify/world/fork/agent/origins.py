"""Which line of the app made what does not survive a fork: heard from CPython's audit events while it is imported
(PEP 578; what a C library opens by itself has none), and from threads as they start."""

from __future__ import annotations

import os
import sys
import threading
from types import FrameType
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR


class Origins:
    """Hears from now on, until `settle`. `folder` is the app's."""

    def __init__(self, folder: str) -> None:
        self._folder = os.path.join(os.path.realpath(folder), "")
        self._found: dict[tuple[str, str], str] = {}
        self._hearing = True
        sys.addaudithook(self._heard)
        start = self._start = threading.Thread.start

        def started(thread: threading.Thread) -> None:
            self._note(("thread", thread.name))
            start(thread)

        threading.Thread.start = self._started = started  # type: ignore[assignment, method-assign]

    def settle(self) -> None:
        """The import is over."""
        self._hearing = False
        if threading.Thread.start is self._started:  # else another library put its own over it
            threading.Thread.start = self._start  # type: ignore[method-assign]

    def of(self, kind: str, name: str = "") -> str:
        """`file.py:LINE` where a `file` (by its real path), a `connection` (by its address), a `listener`, a
        `thread` (by its name) or a `child` came from; empty where no line of the app was there."""
        return self._found.get((kind, name), "")

    def named(self, path: str) -> str:
        """A path as the app's people know it: `$DATABASE_URL`, or within their folder."""
        for name, value in os.environ.items():
            if path in value:
                return "$" + name
        return path[len(self._folder) :] if path.startswith(self._folder) else path

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._hearing:
            return
        try:
            made = _made(event, arguments)
        except Exception:
            return  # the app comes first
        if made is not None:
            self._note(made)

    def _note(self, made: tuple[str, str]) -> None:
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            name = frame.f_code.co_filename
            path = os.path.abspath(name)
            if name[:1] != "<" and path.startswith(self._folder) and "-packages/" not in path:
                self._found[made] = f"{path[len(self._folder) :]}:{frame.f_lineno}"
                return
            frame = frame.f_back


def _made(event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
    if event == "open":
        path, mode, flags = arguments
        if not isinstance(path, (str, bytes)) or not (flags & _WRITING or (mode and mode.strip("rbtU"))):
            return None
        return "file", os.path.realpath(os.fsdecode(path))
    if event == "sqlite3.connect":
        path = os.fsdecode(arguments[0])
        return "file", os.path.realpath(path[5:].partition("?")[0] if path.startswith("file:") else path)
    if event in ("socket.connect", "socket.bind"):
        return ("connection" if event == "socket.connect" else "listener"), address(arguments[1])
    return ("child", "") if event == "subprocess.Popen" else None


def address(name: object) -> str:
    """`127.0.0.1:5432`, or the path of a local socket."""
    if isinstance(name, tuple):
        return "{}:{}".format(*name[:2])
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
