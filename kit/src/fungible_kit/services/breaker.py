"""When a service is away: fail at once instead of waiting again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum
from time import monotonic
from types import TracebackType

from fungible_kit.services.errors import ServiceUnavailable


class Circuit(Enum):
    CLOSED = "closed"  # calls pass
    OPEN = "open"  # calls fail at once
    PROBING = "probing"  # one call is out to see; all others fail at once


class Breaker:
    """Opens after `failures` failed calls in a row; after `pause` seconds lets one through to probe.

    Used as a context manager around each call. Only a service that is away counts as a failure, and not one that
    answers with an error. What is refused is told as `unavailable`, with `what` in its words. One for each process:
    it holds an observation about the service, no state of the app.
    """

    def __init__(
        self,
        unavailable: Callable[[str], ServiceUnavailable],
        what: str,
        failures: int = 3,
        pause: float = 1.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._unavailable = unavailable
        self._what = what
        self._limit = failures
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._failed = 0
        self._until = 0.0
        self.circuit = Circuit.CLOSED

    def __enter__(self) -> None:
        if self.circuit is Circuit.CLOSED:  # no lock on the usual way
            return
        with self._lock:
            if self._failed < self._limit:
                return  # closed meanwhile
            if self._clock() < self._until:
                raise self._unavailable(f"{self._what} failed a moment ago and is not asked again yet")
            # A probe that never reports back (its thread was killed) must not close the way for ever.
            self.circuit = Circuit.PROBING
            self._until = self._clock() + self._pause

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, ServiceUnavailable) or not error.away:
            if self._failed or self.circuit is not Circuit.CLOSED:
                with self._lock:
                    # A cancelled probe has seen nothing.
                    if kind is None or issubclass(kind, Exception):
                        self._failed = 0
                        self.circuit = Circuit.CLOSED
            return
        with self._lock:
            self._failed += 1
            if self._failed >= self._limit:
                self.circuit = Circuit.OPEN
                self._until = self._clock() + self._pause
