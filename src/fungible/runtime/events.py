"""Every change of a formation is an event on a bus; logs, control and tests read it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec


class Event(msgspec.Struct, frozen=True):
    """Something that happened, as plain data.

    `kind` is a dotted word (`process.ready`, `process.ended`, `router.request`, `log.line`); `process` is a
    name such as `web.1`, `instance` the id of that start; `at` is in seconds since the epoch. A struct, because one
    is made for every request and every line, and a frozen dataclass takes several times as long to make.
    """

    kind: str
    process: str | None = None
    instance: str | None = None
    release: str | None = None
    data: Mapping[str, Any] = msgspec.field(default_factory=dict)
    at: float = msgspec.field(default_factory=time.time)

    def as_dict(self) -> dict[str, Any]:
        """The event as one flat JSON-ready mapping; fields that do not apply are left out."""
        head = {"at": round(self.at, 6), "event": self.kind}
        named = {"process": self.process, "instance": self.instance, "release": self.release}
        return head | {k: v for k, v in named.items() if v is not None} | dict(self.data)


T = TypeVar("T")


class Bus(Generic[T]):
    """Delivers whatever is published to every subscriber, in order, in the thread that publishes it.

    Subscribers must not block: whoever needs time keeps a bounded queue of its own. A formation has two: of events,
    and of the requests that ended, which come in bulk.
    """

    def __init__(self) -> None:
        self._subscribers: list[Callable[[T], None]] = []

    def subscribe(self, subscriber: Callable[[T], None]) -> Callable[[], None]:
        """Call `subscriber` for everything from now on; returns a function that ends it."""
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return unsubscribe

    def publish(self, news: T) -> None:
        """Deliver `news` to all subscribers."""
        for subscriber in tuple(self._subscribers):
            subscriber(news)
