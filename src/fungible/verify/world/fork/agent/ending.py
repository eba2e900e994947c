"""What TERM does to a process of ours: until it serves it ends; then the server stops, and the app is heard."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, NoReturn


def end(*_: object) -> NoReturn:
    """The handler before there is a server."""
    raise SystemExit(128 + signal.SIGTERM)


def own_handler() -> Callable[[int, Any], Any] | None:
    """The handler for TERM that the app has set when it was imported, if it has: it may write what it has kept."""
    found = signal.getsignal(signal.SIGTERM)
    return found if callable(found) and found is not end else None
