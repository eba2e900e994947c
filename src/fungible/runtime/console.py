"""What people and machines see of a formation: one writer, bounded, never in a process's way."""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
import zlib
from collections.abc import Callable
from typing import IO

from fungible.runtime.events import Event

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_WAITING_AT_MOST = 10_000


def format_event(event: Event, colour: bool) -> str | None:
    """The event as a line for people; None for those that only machines want."""
    text = _text(event)
    if text is None:
        return None
    clock = time.strftime("%H:%M:%S", time.localtime(event.at))
    who = event.process or "fungible"
    head = f"{clock} {who:<10}|"
    if colour:
        tone = _COLOURS[zlib.crc32(who.encode()) % len(_COLOURS)]
        head = f"\x1b[{tone}m{head}\x1b[0m"
    return f"{head} {text}"


def _text(event: Event) -> str | None:
    data = event.data
    match event.kind:
        case "log.line":
            return str(data["text"])
        case "process.started":
            return f"started (pid {data['pid']}, {event.release})"
        case "process.ready" if "boot_s" in data:
            return f"ready after {data['boot_s']} s"
        case "process.forks_servers":
            return (
                f"runs {data['servers']} servers in one process: memory shared by chance. Ask for one worker "
                "(gunicorn -w 1, uvicorn --workers 1) and scale with web=N"
            )
        case "process.boot_timeout":
            return f"gave no answer within {data['after_s']:g} s: killed. Raise boot_timeout, or check `ready`"
        case "process.drain_timeout":
            return f"still has requests after {data['after_s']:g} s of drain: stopped all the same"
        case "process.killed":
            return f"did not stop within {data['after_s']:g} s: killed"
        case "process.wrote":
            more = f" and {data['count'] - len(data['paths'])} more" if data["count"] > len(data["paths"]) else ""
            return f"wrote: {', '.join(data['paths'])}{more} (thrown away)"
        case "process.failed":
            return f"could not be isolated: {data['error']} {data.get('path', '')}".rstrip()
        case "process.backoff":
            return f"crashed {data['crashes']} times in a row: next start in {data['delay_s']:g} s"
        case "process.ended":
            return _ended(event)
        case "router.died" | "router.restarted" | "formation.failed" | "router.dropped":
            return f"{event.kind.replace('.', ' ')} {json.dumps(dict(data)) if data else ''}".rstrip()
        case "notice":
            return str(data["text"])
    return None


def _ended(event: Event) -> str:
    data = event.data
    status = data.get("status")
    how = "ended" if status is None else f"killed by signal {-status}" if status < 0 else f"exited with {status}"
    if "cannot_start" in data:
        return f"{how}: {data['cannot_start']}"
    return f"crashed: {how}" if data.get("crashed") else how


class Console:
    """The one writer of a stream. Lines that it cannot keep up with are dropped and counted."""

    def __init__(
        self, stream: IO[str], *, as_json: bool, mask: Callable[[str], str], waiting: int = _WAITING_AT_MOST
    ) -> None:
        self._stream = stream
        self._as_json = as_json
        self._mask = mask
        self._colour = not as_json and stream.isatty()
        self._queue: queue.Queue[str | None] = queue.Queue(waiting)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="console", daemon=True)
        self._thread.start()

    def __call__(self, event: Event) -> None:
        """Take an event; never blocks."""
        if self._as_json:
            text: str | None = json.dumps(event.as_dict(), ensure_ascii=False)
        else:
            text = format_event(event, self._colour)
        if text is None:
            return
        self.line(self._mask(text))

    def line(self, text: str) -> None:
        """Write a line as it is."""
        try:
            self._queue.put_nowait(text)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what is waiting, and stop."""
        self._queue.put(None)
        self._thread.join(5.0)

    def _write(self) -> None:
        while (text := self._queue.get()) is not None:
            try:
                self._stream.write(text + "\n")
                if self._dropped:
                    dropped, self._dropped = self._dropped, 0
                    self._stream.write(self._say_dropped(dropped) + "\n")
                if self._queue.empty():
                    self._stream.flush()
            except (OSError, ValueError):
                return
        self._flush()

    def _flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            sys.stderr = sys.__stderr__

    def _say_dropped(self, count: int) -> str:
        if self._as_json:
            return json.dumps(Event("log.dropped", data={"lines": count}).as_dict())
        return f"... {count} lines dropped: this terminal is slower than the processes"
