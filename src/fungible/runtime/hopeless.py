"""What people read of a command that cannot start: why, once; then, rarely, that it is still so. Pure."""

from __future__ import annotations

from dataclasses import replace

from fungible.runtime.events import Event

HELD = 2.0
"""Seconds in which a further attempt shows whether it is like the last one; until then nothing is said of it."""
_MOST = 50
_WORTH_A_LINE = 8.0
"""Seconds of delay from which on a further attempt is worth a line."""


class Hopeless:
    """Leaves out what repeats itself with every attempt: the start, the shell's complaint, the exit, the delay.

    Events of a formation go through `tell`. Of a process that could not start, those of its next attempt are held
    back until it ends the same way, and are dropped then; or until it does not, or lives for `HELD` seconds.
    """

    def __init__(self) -> None:
        self._why: dict[str, str] = {}
        self._first: dict[str, str] = {}
        self._held: dict[str, list[Event]] = {}

    def tell(self, event: Event) -> list[Event]:
        """The events to show now."""
        name, instance = event.process, event.instance or ""
        if name is None:
            return [event]
        if event.kind == "process.ended" and "cannot_start" in event.data:
            return self._ended(name, instance, event)
        if event.kind == "process.backoff" and name in self._why:
            return self._delayed(name, event)
        if event.kind == "process.started" and name in self._why:
            self._held[instance] = []
        if instance not in self._held:
            return [event]
        held = self._held[instance]
        if event.kind == "process.ended" and not event.data.get("crashed"):
            del self._held[instance]  # it was stopped before anybody heard of it
            return []
        held.append(event)
        hopeful = event.kind in ("process.ended", "process.failed") or len(held) >= _MOST
        return self._release(name, instance) if hopeful else []

    def due(self, now: float) -> list[Event]:
        """The events that were held for long enough at `now`, in seconds since the epoch."""
        late = [instance for instance, held in self._held.items() if now - held[0].at >= HELD]
        return [
            event for instance in late for event in self._release(self._held[instance][0].process or "", instance)
        ]

    @property
    def holds(self) -> bool:
        """Whether anything is held."""
        return bool(self._held)

    def _ended(self, name: str, instance: str, event: Event) -> list[Event]:
        self._held.pop(instance, None)
        why = str(event.data["cannot_start"])
        if self._why.get(name) == why:
            return []
        self._forget(name)
        self._why[name] = why
        first = self._first.setdefault(why, name)
        return [event if first == name else replace(event, data={**event.data, "cannot_start": f"as {first}"})]

    def _delayed(self, name: str, event: Event) -> list[Event]:
        speaks = self._first.get(self._why[name]) == name and event.data["delay_s"] >= _WORTH_A_LINE
        return [replace(event, data={**event.data, "cannot_start": True})] if speaks else []

    def _release(self, name: str, instance: str) -> list[Event]:
        self._forget(name)
        return self._held.pop(instance)

    def _forget(self, name: str) -> None:
        why = self._why.pop(name, None)
        if why is not None and self._first.get(why) == name:
            del self._first[why]
