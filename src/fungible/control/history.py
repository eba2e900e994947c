"""What became of the formation lately: ends of processes with their causes, releases, the router's own deaths."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

from fungible.runtime.events import Event
from fungible.runtime.formation.standing import describe_end, describe_status
from fungible.runtime.process.place import Facts

_ENTRIES = 200


class History:
    """Takes the events of a bus; keeps the last 200 that an operator wants to know of."""

    def __init__(self) -> None:
        self._kept: deque[dict[str, Any]] = deque(maxlen=_ENTRIES)
        self._taken = 0
        self.crashes = 0

    def __call__(self, event: Event) -> None:
        """Take an event; those of no interest are passed over."""
        entry = entry_of(event)
        if entry is not None:
            self._kept.append(entry)
            self._taken += 1
            self.crashes += entry["kind"] == "crash"

    def since(self, number: int) -> tuple[int, list[dict[str, Any]]]:
        """How many entries there have been, and those kept after the first `number`."""
        count = min(len(self._kept), max(0, self._taken - number))
        return self._taken, list(islice(reversed(self._kept), count))[::-1]


def entry_of(event: Event) -> dict[str, Any] | None:
    """The event as an entry: when (`at`), of which `kind` it is, whom it concerns (`name`), and what it was in a few
    words. None for what an operator need not know."""
    kind, text = _told(event)
    if text is None:
        return None
    name = event.process or event.data.get("service")
    return {"at": round(event.at, 3), "kind": kind, "name": name, "release": event.release, "text": text}


def _told(event: Event) -> tuple[str, str | None]:
    data = event.data
    match event.kind:
        case "process.ended" if data.get("crashed"):
            facts = Facts(born_at=0.0, status=data.get("status"), cause=data.get("cause"))
            return "crash", str(data.get("cannot_start") or describe_end(facts))
        case "process.ended":
            return "end", "retired"
        case "process.ready":
            return "ready", f"ready after {data.get('boot_s', 0):g} s"
        case "process.killed":
            return "notice", f"killed: it did not stop within {data['after_s']:g} s"
        case "release.rolled":
            return "release", "serves"
        case "release.abandoned":
            return "abandoned", "abandoned"
        case "service.ended":
            return "crash", describe_status(data["status"])
        case "service.failed":
            return "notice", str(data["error"]).removeprefix(f"{data['service']}: ")
        case "service.ready":
            return "ready", f"serves again after {data['after_s']:g} s, {data['data']}"
        case "router.died":
            return "crash", f"the router died: {data.get('said')}"
        case "router.restarted":
            return "notice", f"the router serves again after {data.get('after_ms')} ms"
    return "", None
