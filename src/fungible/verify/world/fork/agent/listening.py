"""Log listeners (`logging.handlers.QueueListener`): a thread that only hands records on is stopped before a fork, its
queue empty, and started anew in every child."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from .living import objects_of


def stop_listeners() -> list[Any]:
    """Stop all that run; returns them."""
    kind: Any = getattr(sys.modules.get("logging.handlers"), "QueueListener", None)
    if kind is None:
        return []
    running = []
    for each in objects_of(kind):
        with contextlib.suppress(Exception):
            if getattr(each, "_thread", None) is not None:
                each.stop()
                running.append(each)
    return running


def start_listeners(stopped: list[Any]) -> None:
    """Start them again, in a child."""
    for each in stopped:
        with contextlib.suppress(Exception):
            each.start()
