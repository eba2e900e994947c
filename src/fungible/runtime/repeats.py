"""What people read of a process that fails at every start: all of it once; then, rarely, that it still does. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from msgspec.structs import replace

from fungible.runtime.events import Event

HELD = 2.0
"""Seconds in which a further attempt shows whether it is like the last one; until then nothing is said of it."""
_LONGEST = 60.0
_MOST = 500
_WORTH_A_LINE = 8.0
"""Seconds of delay from which on a further attempt is worth a line."""
_YOUNG = 10.0
"""A process that ends by itself within so many seconds of its readiness has failed at its start."""
_CHANGES = re.compile(r"\b(?:0x)?[0-9a-f]{6,}\b|\d+")
"""What differs between two runs that say the same: times, pids, addresses, ids."""


@dataclass
class _Attempt:
    """One start: what was said of it, a list for each stream, as two streams are read in any order."""

    release: str | None
    began_at: float
    said: dict[str, list[int]] = field(default_factory=dict)
    took: float = 0.0
    why: str | None = None

    def add(self, event: Event) -> tuple[str, int]:
        """Note `event`; returns its stream, and its place in that."""
        stream, key = _key(event)
        said = self.said.setdefault(stream, [])
        if len(said) < _MOST:
            said.append(key)
        return stream, len(said) - 1


@dataclass
class _Held:
    events: list[Event]
    attempt: _Attempt


class Repeats:
    """Leaves out what repeats itself with every attempt: the start, the traceback, the exit, the delay.

    Events of a formation go through `tell`. Of a process that failed at its start, those of its next attempt are held
    back for as long as they are the same as the last time: they are dropped where it ends in the same way, and shown
    as soon as something differs, or it lives for longer than the last one.
    """

    def __init__(self) -> None:
        self._failed: dict[str, _Attempt] = {}
        self._running: dict[str, _Attempt] = {}
        self._first: dict[str, str] = {}
        self._held: dict[str, _Held] = {}
        self._repeated: set[str] = set()

    def tell(self, event: Event) -> list[Event]:
        """The events to show now."""
        name, instance = event.process, event.instance or ""
        if name is None:
            return [event]
        if event.kind == "process.backoff":
            return self._delayed(name, event)
        if event.kind == "process.started":
            attempt = self._running[instance] = _Attempt(event.release, event.at)
            last = self._failed.get(name)
            if last is not None and last.release == event.release:
                self._held[instance] = _Held([], attempt)
        running = self._running.get(instance)
        if event.kind == "process.ended":
            return self._ended(name, instance, event, self._running.pop(instance, None))
        if running is None:
            return [event]
        place = running.add(event)
        if instance not in self._held:
            return [event]
        self._held[instance].events.append(event)
        last = self._failed.get(name)
        return [] if last is not None and _is_at(last, place, running) else self._release(instance)

    def due(self, now: float) -> list[Event]:
        """The events that were held for long enough at `now`, in seconds since the epoch."""
        late = [
            instance for instance, held in self._held.items() if now - held.attempt.began_at >= self._patience(held)
        ]
        return [event for instance in late for event in self._release(instance)]

    @property
    def holds(self) -> bool:
        """Whether anything is held."""
        return bool(self._held)

    def _patience(self, held: _Held) -> float:
        last = self._failed.get(held.events[0].process or "") if held.events else None
        return HELD if last is None else min(_LONGEST, HELD + 1.5 * last.took)

    def _ended(self, name: str, instance: str, event: Event, attempt: _Attempt | None) -> list[Event]:
        held = self._held.pop(instance, None)
        if not event.data.get("crashed"):
            # It was stopped, maybe before anybody heard of it.
            return [event] if held is None else []
        shown = [] if held is None else held.events
        if event.data.get("uptime_s", 0.0) >= _YOUNG:
            self._forget(name)
            return [*shown, event]
        attempt = attempt or _Attempt(event.release, event.at)
        attempt.took = event.at - attempt.began_at
        attempt.why = event.data.get("cannot_start")
        place = attempt.add(event)
        last = self._failed.get(name)
        if held is not None and last is not None and _is_at(last, place, attempt):
            self._repeated.add(name)
            return []
        if attempt.why is None:
            self._forget(name)
            self._failed[name] = attempt
            return [*shown, event]
        return [*shown, self._explained(name, attempt, event)]

    def _explained(self, name: str, attempt: _Attempt, event: Event) -> Event:
        """One whole explanation of a command that cannot start, for all that have it."""
        why = attempt.why or ""
        self._forget(name)
        self._failed[name] = attempt
        first = self._first.setdefault(why, name)
        return event if first == name else replace(event, data={**event.data, "cannot_start": f"as {first}"})

    def _delayed(self, name: str, event: Event) -> list[Event]:
        failed = self._failed.get(name)
        if failed is None:
            return [event]
        long = event.data["delay_s"] >= _WORTH_A_LINE
        if failed.why is not None:
            speaks = self._first.get(failed.why) == name and long
            return [replace(event, data={**event.data, "cannot_start": True})] if speaks else []
        if name not in self._repeated:
            return [event]
        speaks = long or event.data["crashes"] == 2
        return [replace(event, data={**event.data, "repeats": True})] if speaks else []

    def _release(self, instance: str) -> list[Event]:
        events = self._held.pop(instance).events
        self._forget(events[0].process or "")
        return events

    def _forget(self, name: str) -> None:
        self._repeated.discard(name)
        failed = self._failed.pop(name, None)
        if failed is not None and failed.why is not None and self._first.get(failed.why) == name:
            del self._first[failed.why]


def _is_at(last: _Attempt, place: tuple[str, int], attempt: _Attempt) -> bool:
    """Whether what `attempt` said at `place` was said there the last time."""
    stream, at = place
    said = last.said.get(stream, [])
    return at < len(said) and said[at] == attempt.said[stream][at]


def _key(event: Event) -> tuple[str, int]:
    data = event.data
    if event.kind == "log.line":
        return str(data.get("stream")), hash(_CHANGES.sub("#", str(data["text"])))
    if event.kind == "process.ended":
        end = tuple(str(data.get(name)) for name in ("status", "cause", "cannot_start"))
        return "", hash((event.kind, end))
    return "", hash(event.kind)
