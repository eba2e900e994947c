"""Log listeners (`logging.handlers.QueueListener`): a thread that only hands records on is stopped before a fork, its
queue empty, and started anew in every child."""

from __future__ import annotations

import contextlib
import gc
import sys
from typing import Any


def stop_listeners() -> list[Any]:
    """Stop all that run; returns them."""
    kind: Any = getattr(sys.modules.get("logging.handlers"), "QueueListener", None)
    if kind is None:
        return []
    running = []
    for each in gc.get_objects():
        with contextlib.suppress(Exception):
            if isinstance(each, kind) and getattr(each, "_thread", None) is not None:
                each.stop()
                running.append(each)
    return running


def start_listeners(stopped: list[Any]) -> None:
    """Start them again, in a child."""
    for each in stopped:
        with contextlib.suppress(Exception):
            each.start()
