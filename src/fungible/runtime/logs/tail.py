"""The last of what was said: a bounded memory of the log, and whoever follows it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from itertools import islice
from typing import Any

from msgspec.structs import replace

from fungible.runtime.events import Event
from fungible.runtime.router.access_log import Requests

_EVENTS = 5000
_CHARACTERS = 4 * 1024 * 1024
_WAITING = 10_000


class Tail:
    """Keeps the last events (of requests only those that were lost), with secrets struck out by `mask`; bounded in
    number and size."""

    def __init__(self, mask: Callable[[str], str], events: int = _EVENTS, characters: int = _CHARACTERS) -> None:
        self._mask = mask
        self._most = (events, characters)
        self._kept: deque[tuple[int, Event]] = deque()
        self._size = 0
        self._taken = 0
        self._followers: set[_Follower] = set()

    def __call__(self, event: Event) -> None:
        """Take an event; never blocks."""
        event = self.masked(event)
        self._taken += 1
        size = 200 + len(str(event.data.get("text", "")))
        self._kept.append((size, event))
        self._size += size
        while len(self._kept) > self._most[0] or self._size > self._most[1]:
            self._size -= self._kept.popleft()[0]
        for follower in self._followers:
            follower.take(event)

    def take_requests(self, requests: Requests) -> None:
        """Take those that were lost; never blocks."""
        for event in requests.lost():
            self(event)

    def last(self, count: int, name: str | None = None, wanted: Callable[[Event], bool] = bool) -> list[Event]:
        """The last `count` events of the process or type called `name` (None: of all) that are `wanted`."""
        found: deque[Event] = deque(maxlen=count)
        found.extend(event for _, event in self._kept if concerns(event, name) and wanted(event))
        return list(found)

    def masked(self, event: Event) -> Event:
        """The event with secrets struck out."""
        return replace(event, data=_masked(event.data, self._mask))

    def conceal(self, text: str) -> str:
        """The text with secrets struck out."""
        return self._mask(text)

    def since(self, number: int, most: int) -> tuple[int, list[Event]]:
        """How many events have been taken, and what is kept of those after the first `number`, at most the last
        `most`: whoever keeps the number misses what it asks for too late, and costs nothing."""
        count = min(most, len(self._kept), max(0, self._taken - number))
        found = [event for _, event in islice(reversed(self._kept), count)]
        return self._taken, found[::-1]

    def lines_of(self, instance: str, count: int) -> list[str]:
        """The last `count` lines that a process wrote."""
        found: deque[str] = deque(maxlen=count)
        for _, event in self._kept:
            if event.kind == "log.line" and event.instance == instance:
                found.append(str(event.data["text"]))
        return list(found)

    def names(self) -> set[str]:
        """The names of processes of which something is kept."""
        return {event.process for _, event in self._kept if event.process is not None}

    def end(self) -> None:
        """Nothing more will be said: whoever follows gets the rest, and its end."""
        for follower in self._followers:
            follower.end()

    async def follow(
        self, count: int, name: str | None = None, wanted: Callable[[Event], bool] = bool
    ) -> AsyncGenerator[Event, None]:
        """The last `count` events as `last` gives them and every later one, until the iteration is closed. Whoever
        takes them too slowly misses some, and is told how many."""
        follower = _Follower()
        past = self.last(count, name, wanted)
        self._followers.add(follower)
        try:
            for event in past:
                yield event
            while not follower.is_done:
                for event in await follower.next():
                    if event.kind == "log.dropped" or (concerns(event, name) and wanted(event)):
                        yield event
        finally:
            self._followers.discard(follower)


def concerns(event: Event, name: str | None) -> bool:
    """Whether an event is of the process `web.1`, or of the type `web`; every event is of None."""
    if name is None:
        return True
    process = event.process or ""
    return process == name or process.rpartition(".")[0] == name


class _Follower:
    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._dropped = 0
        self._change = asyncio.Event()
        self._ended = False

    @property
    def is_done(self) -> bool:
        return self._ended and not self._events

    def end(self) -> None:
        self._ended = True
        self._change.set()

    def take(self, event: Event) -> None:
        if len(self._events) >= _WAITING:
            self._dropped += 1
            return
        self._events.append(event)
        self._change.set()

    async def next(self) -> list[Event]:
        await self._change.wait()
        self._change.clear()
        events, self._events = list(self._events), deque()
        if self._dropped:
            events.append(Event("log.dropped", data={"lines": self._dropped}))
            self._dropped = 0
        return events


def _masked(value: Mapping[str, Any], mask: Callable[[str], str]) -> dict[str, Any]:
    return {key: _mask_one(each, mask) for key, each in value.items()}


def _mask_one(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return _masked(value, mask)
    return [_mask_one(each, mask) for each in value] if isinstance(value, list | tuple) else value
