"""One thread a process that counts every open space now and then: what others write in it is seen, too."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import Protocol

log = logging.getLogger("fungible_kit.scratch")

INTERVAL = 0.5
"""Seconds between two counts."""


class Watched(Protocol):
    """A space that can be counted."""

    def watch(self) -> None:
        """Count, and keep what is wrong."""


class _Watcher:
    def __init__(self) -> None:
        self._spaces = weakref.WeakSet[Watched]()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, space: Watched) -> None:
        with self._wake:
            self._spaces.add(space)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="fungible-scratch-watch", daemon=True)
                self._thread.start()
            elif len(self._spaces) == 1:
                self._wake.notify()

    def remove(self, space: Watched) -> None:
        with self._wake:
            self._spaces.discard(space)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait(INTERVAL if self._spaces else None)
                spaces = list(self._spaces)
            for space in spaces:
                try:
                    space.watch()
                except Exception:  # one `on_full` that fails must not end the watch over the others
                    log.exception("a space could not be watched")
            del spaces


_watcher = _Watcher()


def add(space: Watched) -> None:
    """Count `space` every `INTERVAL` seconds from now on."""
    _watcher.add(space)


def remove(space: Watched) -> None:
    _watcher.remove(space)


def _forked() -> None:
    global _watcher
    _watcher = _Watcher()


os.register_at_fork(after_in_child=_forked)
