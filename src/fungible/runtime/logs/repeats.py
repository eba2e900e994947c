"""What people read of processes that fail at their start: all of it once; then, rarely, that they still do. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from fungible.runtime.events import Event

HELD = 2.0
"""Seconds in which a further attempt shows whether it is like one before; until then nothing is said of it."""
AHEAD = 5.0
"""Seconds by which one of several that boot side by side may be ahead of the one that is shown."""
_LONGEST = 60.0
_MOST = 500
_WORTH_A_LINE = 8.0
"""Seconds of delay from which on a further attempt is worth a line."""
_YOUNG = 10.0
"""A process that ends by itself within so many seconds of its readiness has failed at its start."""
_USUAL = re.compile(r"\b(?:INFO|DEBUG)\b")
"""What a server says of its progress is said or not, as its processes end in any order; no failure is told so."""
_CHANGES = re.compile(r"\b(?:0x)?[0-9a-f]{6,}\b|\d+")
"""What differs between two runs that say the same: times, pids, addresses, ids."""

_Kind = tuple[str, str | None]
"""A type and a release: starts of one kind may fail in one way."""


@dataclass(eq=False)
class _Attempt:
    """One start of `name`, and what was said of it, how often: a server's processes write in any order.

    `up_at` is when it answered; of those that nobody asks, when it has lived for a moment. `names` are those whose
    last failure was like this one.
    """

    name: str
    kind: _Kind
    began_at: float
    said: Counter[int] = field(default_factory=Counter)
    count: int = 0
    up_at: float = math.inf
    took: float = 0.0
    why: str | None = None
    names: set[str] = field(default_factory=set)

    def note(self, event: Event) -> None:
        """Take down what is said of it, as long as it is little."""
        self.count += 1
        usual = event.kind == "log.line" and _USUAL.search(str(event.data["text"])) is not None
        if (self.count <= _MOST and not usual) or event.kind == "process.ended":
            self.said[_key(event)] += 1
        if event.kind == "process.ready":
            self.up_at = event.at if event.data.get("answered") else self.began_at + HELD

    def is_within(self, other: _Attempt) -> bool:
        """Whether the other one said all of it."""
        return self.count <= _MOST and self.said <= other.said

    @property
    def speaker(self) -> str:
        """The name that tells of a failure for all that have it."""
        return self.name if self.name in self.names else min(self.names)


@dataclass(eq=False)
class _Held:
    """The `events` of an attempt that are not shown yet; `whole` if none of it has been.

    `unlike_since` is when it said what no other one had said until then; `ended_at` is set once it has failed before
    the one that it may be like.
    """

    attempt: _Attempt
    whole: bool
    events: list[Event] = field(default_factory=list)
    unlike_since: float | None = None
    ended_at: float | None = None


class Repeats:
    """Leaves out what repeats itself with every attempt, and in every process of a type: the traceback, the exit.

    Events of a formation go through `tell`. The first process of a type that boots is shown as it boots; what the
    others say is held back for as long as it says the same. When one has failed, an attempt that fails in the same
    way is one line the first time, `crashed: exited with 3, as web.1`, and none later. As soon as something differs,
    or it lives for longer than the last one, all of it is shown.
    """

    def __init__(self) -> None:
        self._running: dict[str, _Attempt] = {}
        self._held: dict[str, _Held] = {}
        self._failures: dict[_Kind, list[_Attempt]] = {}
        self._last: dict[str, _Attempt] = {}
        self._repeated: set[str] = set()

    def tell(self, event: Event) -> list[Event]:
        """The events to show now."""
        name, instance = event.process, event.instance or ""
        if name is None:
            return [event]
        if event.kind == "process.backoff":
            return self._delayed(name, instance, event)
        if event.kind == "process.started":
            return self._started(name, instance, event)
        attempt = self._running.get(instance)
        if event.kind == "process.ended":
            self._running.pop(instance, None)
            return self._ended(instance, event, attempt or _attempt(name, event))
        if attempt is None:
            return [event]
        attempt.note(event)
        held = self._held.get(instance)
        if held is None:
            shown = [event]
        else:
            held.events.append(event)
            shown = [] if self._may_wait(held, event.at) else self._release(instance)
        return [*shown, *self._look_again(attempt.kind, event.at)] if event.kind == "process.ready" else shown

    def due(self, now: float) -> list[Event]:
        """The events that were held for long enough at `now`, in seconds since the epoch."""
        late = [instance for instance, held in self._held.items() if self._is_late(held, now)]
        return [event for instance in late for event in self._release(instance)]

    @property
    def holds(self) -> bool:
        """Whether anything is held."""
        return bool(self._held)

    def _started(self, name: str, instance: str, event: Event) -> list[Event]:
        attempt = _attempt(name, event)
        before = self._last.get(name)
        if before is not None and before.kind != attempt.kind:
            self._forget(name)
        waits = any(held.attempt.name == name and held.attempt.kind == attempt.kind for held in self._held.values())
        again = waits or name in self._last
        if again or attempt.kind in self._failures or any(self._leaders(attempt, event.at)):
            self._held[instance] = _Held(attempt, again, [event] if again else [])
        self._running[instance] = attempt
        attempt.note(event)
        return [] if again else [event]

    def _ended(self, instance: str, event: Event, attempt: _Attempt) -> list[Event]:
        held = self._held.get(instance)
        if not event.data.get("crashed"):
            # It was stopped, maybe before anybody heard of it.
            self._held.pop(instance, None)
            shown = [event] if held is None else [] if held.whole else [*held.events, event]
        elif event.data.get("uptime_s", 0.0) >= _YOUNG:
            shown = [*self._release(instance), event]
            self._forget(attempt.name)
        else:
            attempt.took = event.at - attempt.began_at
            attempt.why = event.data.get("cannot_start")
            attempt.note(event)
            shown = self._failed(instance, event, attempt, held)
        return [*shown, *self._look_again(attempt.kind, event.at)]

    def _failed(self, instance: str, event: Event, attempt: _Attempt, held: _Held | None) -> list[Event]:
        failure = self._alike(attempt)
        if failure is not None:
            if held is None:  # it was shown as it came
                self._fails_as(attempt.name, failure)
                return [event]
            held.events.append(event)
            return self._collapsed(instance, failure)
        if held is not None and any(self._leaders(attempt, event.at)):
            held.events.append(event)
            held.ended_at = event.at
            return []
        shown = self._release(instance)
        return [*shown, self._new_failure(attempt, event)]

    def _collapsed(self, instance: str, failure: _Attempt) -> list[Event]:
        """What is shown of an attempt that failed as another one did: one line the first time, no more later."""
        held = self._held.pop(instance)
        name = held.attempt.name
        end = next(event for event in held.events if event.kind == "process.ended")
        if name in failure.names:
            self._repeated.add(name)
            shown = []
        else:
            shown = [_as(end, failure.speaker)]
            self._fails_as(name, failure)
        rests = [event for event in held.events if event.kind == "process.backoff"]
        return [*shown, *(told for event in rests for told in self._delayed(name, instance, event))]

    def _new_failure(self, attempt: _Attempt, event: Event) -> Event:
        """A failure that none before was like; one explanation of a command that cannot start is for all."""
        self._fails_as(attempt.name, attempt)
        self._failures.setdefault(attempt.kind, []).append(attempt)
        first = self._first(attempt)
        return event if first is attempt else _as(event, first.speaker)

    def _first(self, failure: _Attempt) -> _Attempt:
        """The first failure with its reason, of any type."""
        every = (each for failures in self._failures.values() for each in failures)
        same = (each for each in every if failure.why is not None and each.why == failure.why)
        return next(same, failure)

    def _delayed(self, name: str, instance: str, event: Event) -> list[Event]:
        held = self._held.get(instance)
        if held is not None:
            held.events.append(event)
            return []
        failure = self._last.get(name)
        if failure is None:
            return [event]
        long = event.data["delay_s"] >= _WORTH_A_LINE
        if failure.why is not None:
            speaks = self._first(failure).speaker == name and long
            return [replace(event, data={**event.data, "cannot_start": True})] if speaks else []
        if failure.speaker != name:
            return []
        if name not in self._repeated:
            return [event]
        speaks = long or event.data["crashes"] == 2
        return [replace(event, data={**event.data, "repeats": True})] if speaks else []

    def _look_again(self, kind: _Kind, now: float) -> list[Event]:
        """One of a type has failed, or is up: what comes of the others that are held."""
        shown: list[Event] = []
        for instance, held in tuple(self._held.items()):
            if instance not in self._held or held.attempt.kind != kind:
                continue
            failure = self._alike(held.attempt)
            if held.ended_at is not None and failure is not None:
                shown += self._collapsed(instance, failure)
            elif not self._may_wait(held, now):
                shown += self._release(instance)
        return shown

    def _alike(self, attempt: _Attempt) -> _Attempt | None:
        """The failure that it is like so far, that of its own name before others."""
        known = self._failures.get(attempt.kind, [])
        own = [failure for failure in known if attempt.name in failure.names]
        return next((failure for failure in (*own, *known) if attempt.is_within(failure)), None)

    def _leaders(self, attempt: _Attempt, now: float) -> Iterator[_Attempt]:
        """Others of its kind that boot, and are shown as they do."""
        for instance, each in self._running.items():
            other = each.kind == attempt.kind and each.name != attempt.name
            if other and now < each.up_at and instance not in self._held:
                yield each

    def _may_wait(self, held: _Held, now: float) -> bool:
        """Whether it may still turn out to be like another; what is said a moment before the other one says it."""
        if self._alike(held.attempt) is not None:
            return True
        if held.ended_at is None and now >= held.attempt.up_at:
            return False
        leaders = tuple(self._leaders(held.attempt, now))
        if any(held.attempt.is_within(leader) for leader in leaders):
            held.unlike_since = None
            return True
        held.unlike_since = now if held.unlike_since is None else held.unlike_since
        return bool(leaders) and held.attempt.count <= _MOST

    def _is_late(self, held: _Held, now: float) -> bool:
        attempt = held.attempt
        failure = self._alike(attempt)
        if failure is not None:
            return now - attempt.began_at >= min(_LONGEST, HELD + 1.5 * failure.took)
        if held.ended_at is not None:
            return now - held.ended_at >= min(_LONGEST, HELD + 1.5 * attempt.took)
        if not self._may_wait(held, now):
            return True
        return held.unlike_since is not None and now - held.unlike_since >= AHEAD

    def _release(self, instance: str) -> list[Event]:
        """All that is held of an attempt, after what is held of earlier ones of its name."""
        if instance not in self._held:
            return []
        name = self._held[instance].attempt.name
        shown: list[Event] = []
        for each, held in tuple(self._held.items()):
            if held.attempt.name != name:
                continue
            del self._held[each]
            self._forget(name)
            for event in held.events:
                shown.append(self._new_failure(held.attempt, event) if event.kind == "process.ended" else event)
            if each == instance:
                break
        return shown

    def _fails_as(self, name: str, failure: _Attempt) -> None:
        if self._last.get(name) is not failure:
            self._forget(name)
        self._last[name] = failure
        failure.names.add(name)

    def _forget(self, name: str) -> None:
        self._repeated.discard(name)
        failure = self._last.pop(name, None)
        if failure is None:
            return
        failure.names.discard(name)
        if not failure.names:
            of_kind = [each for each in self._failures.get(failure.kind, ()) if each is not failure]
            self._failures[failure.kind] = of_kind
            if not of_kind:
                del self._failures[failure.kind]


def _attempt(name: str, event: Event) -> _Attempt:
    return _Attempt(name, (name.rpartition(".")[0], event.release), event.at)


def _as(event: Event, name: str) -> Event:
    """The end of a process that ended as the one called `name` did."""
    if "cannot_start" in event.data:
        return replace(event, data={**event.data, "cannot_start": f"as {name}"})
    return replace(event, data={**event.data, "as": name})


def _key(event: Event) -> int:
    data = event.data
    if event.kind == "log.line":
        return hash((str(data.get("stream")), _CHANGES.sub("#", str(data["text"]))))
    if event.kind == "process.ended":
        end = tuple(str(data.get(name)) for name in ("status", "cause", "cannot_start"))
        return hash((event.kind, end))
    return hash(event.kind)
