"""The log as it comes from the API, on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from fungible.app.terminal import takes_colour
from fungible.runtime.events import Event
from fungible.runtime.logs.console import format_event, text_of


def is_for_people(event: Event) -> bool:
    """Whether the event is a line of the log for people."""
    return text_of(event) is not None


def event_of(document: dict[str, Any]) -> Event:
    """The event that `Event.as_dict` made this of."""
    data = dict(document)
    at, kind = float(data.pop("at")), str(data.pop("event"))
    process, instance, release = (data.pop(name, None) for name in ("process", "instance", "release"))
    return Event(kind, process, instance, release, data, at)


def show_lines(documents: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    """Write each as people read it, or as it is. Raises BrokenPipeError when nobody reads any more."""
    colour = not as_json and takes_colour(sys.stdout.isatty())
    for document in documents:
        text = json.dumps(document, ensure_ascii=False) if as_json else format_event(event_of(document), colour)
        if text is not None:
            encoding = sys.stdout.encoding or "utf-8"
            sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            sys.stdout.flush()
