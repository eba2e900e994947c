"""The formation as it lives, told to whoever watches: one reading for all of them, as server-sent events.

A watcher is a few numbers of what it has been told. What it does not take in time it misses: nothing waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

from fungible import __version__
from fungible.control.documents import formation_document
from fungible.control.history import History
from fungible.control.log_lines import is_for_people
from fungible.control.traffic import Traffic
from fungible.runtime.events import Event
from fungible.runtime.logs.console import text_of
from fungible.runtime.router.access_log import Requests
from fungible.runtime.start import Running

TYPE = "text/event-stream"
_EVERY = 1.0
"""Seconds between two readings while nothing changes."""
_AT_LEAST = 0.15
"""Seconds between two readings while much changes."""
_REQUESTS = 200
_LINES = 400
"""The most requests and log lines in one message."""
_CHARACTERS = 4000
"""The longest line."""
_LOUD = frozenset(
    {
        "process.failed",
        "process.boot_timeout",
        "process.memory",
        "router.died",
        "formation.failed",
        "service.ended",
        "service.failed",
    }
)
"""Events that are shown as bad news, besides crashes."""


@dataclass
class _Told:
    """What a watcher has been told."""

    requests: int = 0
    lines: int = 0
    history: int = 0


class Live:
    """Reads `running` while somebody watches. Subscribe it to the bus."""

    def __init__(self, running: Running, clock: Callable[[], float] = time.time) -> None:
        self._running = running
        self._clock = clock
        self._started_at = clock()
        self._traffic = Traffic()
        self._history = History()
        self._watchers = 0
        self._hurry = asyncio.Event()
        self._next: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reading: asyncio.Task[None] | None = None
        self._state: dict[str, Any] = {}
        self._number = 0
        self._ended = False

    def __call__(self, event: Event) -> None:
        """Take an event; never blocks."""
        if event.kind.startswith(("process.", "release.", "formation.", "router.", "service.")):
            self._history(event)
            self._hurry.set()

    def take_requests(self, requests: Requests) -> None:
        """Take requests that ended; never blocks."""
        self._traffic(requests)

    async def end(self) -> None:
        """Nothing more will be told; whoever watches hears that the formation has ended."""
        self._ended = True
        self._tell_watchers()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def watch(self) -> AsyncGenerator[bytes, None]:
        """Messages, each a JSON document; the first one tells all that is remembered."""
        # A reading that others have is new enough, where somebody watches; otherwise the last one may be old.
        told, number = _Told(), self._number if self._watchers == 0 else max(0, self._number - 1)
        self._watchers += 1
        try:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.ensure_future(self._keep_reading())
            message = {"hello": self._hello()}
            while True:
                while self._number <= number and not self._ended:
                    await asyncio.wait({self._next, self._reading}, return_when=asyncio.FIRST_COMPLETED)
                    if self._reading.done() and not self._ended:
                        self._reading.result()  # what could not be read is an error of ours: say so
                        return
                number = self._number
                yield _message(message | self._news(told))
                if self._ended:
                    return
                message = {}
        finally:
            self._watchers -= 1

    def _hello(self) -> dict[str, Any]:
        app = self._running.app
        return {
            "app": app.name,
            "folder": str(app.folder),
            "version": __version__,
            "pid": os.getpid(),
            "started_at": round(self._started_at, 3),
        }

    def _news(self, told: _Told) -> dict[str, Any]:
        """What a watcher that has been told so much does not know yet."""
        news: dict[str, Any] = {"at": round(self._clock(), 3), "ended": self._ended, **self._state}
        before = told.requests
        told.requests, requests = self._traffic.since(told.requests, _REQUESTS)
        news["requests"] = [_request(self._running.tail.masked(event)) for event in requests]
        news["requests_missed"] = told.requests - before - len(requests)
        told.history, news["history"] = self._history.since(told.history)
        before = told.lines
        told.lines, lines = self._running.tail.since(told.lines, _LINES)
        news["lines"] = [_line(event) for event in lines if is_for_people(event)]
        news["lines_missed"] = told.lines - before - len(lines) if before else 0
        return news

    async def _keep_reading(self) -> None:
        while self._watchers and not self._ended:
            self._hurry.clear()
            self._state = await self._read_state()
            self._number += 1
            self._tell_watchers()
            await asyncio.sleep(_AT_LEAST)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), _EVERY - _AT_LEAST)

    def _tell_watchers(self) -> None:
        told, self._next = self._next, asyncio.get_running_loop().create_future()
        told.set_result(None)

    async def _read_state(self) -> dict[str, Any]:
        running = self._running
        document = await formation_document(running)
        for each in document["processes"]:
            process = running.formation.processes.get(each["instance"])
            each["leaves"] = process is None or running.formation.leaves(process)
        queued = await running.router.queued() if running.url() is not None else 0
        traffic = self._traffic.summary(self._clock())
        types = running.formation.types.values()
        more = {
            "singletons": [type.name for type in types if type.singleton],
            "stopping": running.formation.stopping,
        }
        return {
            "formation": document | more,
            "traffic": traffic | {"queued": queued, "crashes": self._history.crashes},
        }


def _request(event: Event) -> dict[str, Any]:
    data = event.data
    return {
        "at": round(event.at, 3),
        "process": event.process,
        "instance": event.instance,
        "release": event.release,
        **{name: data.get(name) for name in ("method", "path", "status", "total_ms", "cause", "retries")},
    }


def _line(event: Event) -> dict[str, Any]:
    loud = event.kind in _LOUD or bool(event.data.get("crashed"))
    text = (text_of(event) or "")[:_CHARACTERS]
    return {"at": round(event.at, 3), "process": event.process, "text": text, "loud": loud}


def _message(document: dict[str, Any]) -> bytes:
    """One server-sent event. JSON has no line break in it, so one `data` field holds it (HTML standard, 9.2.5)."""
    return b"data: " + json.dumps(document).encode() + b"\n\n"
