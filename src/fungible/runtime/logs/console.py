"""What people and machines see of a formation: one writer, bounded, never in a process's way."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from fungible.app.terminal import takes_colour
from fungible.runtime.events import Event
from fungible.runtime.logs.repeats import HELD, Repeats
from fungible.runtime.router.access_log import Requests
from fungible.runtime.router.answers import LOST

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_NAME = len("web.1/3fa2b1")
"""Columns of a name: one that is told apart does not move the lines beside it."""
_WAITING_AT_MOST = 16 * 1024 * 1024  # characters


def format_event(event: Event, colour: bool) -> str | None:
    """The event as a line for people; None for those that only machines want."""
    text = text_of(event)
    if text is None:
        return None
    clock = time.strftime("%H:%M:%S", time.localtime(event.at))
    who = event.process or "fungible"
    tone_of = who
    if event.data.get("former"):
        who = named_apart(who, event.instance or "")
    head = f"{clock} {who:<{_NAME}} |"
    if colour:
        tone = _COLOURS[zlib.crc32(tone_of.encode()) % len(_COLOURS)]
        head = f"\x1b[{tone}m{head}\x1b[0m"
    return f"{head} {text}"


def named_apart(name: str, instance: str) -> str:
    """`web.1/3fa2b1`: the name of a process while another one has it, too; the host's name has the same digits."""
    return f"{name}/{instance[:6]}"


def text_of(event: Event) -> str | None:
    """What the line says, without its time and whose it is."""
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
        case "process.listens_elsewhere":
            where, wanted = ", ".join(data["listens_on"]), data["wanted"]
            return f"listens on {where} instead of {wanted}, so no request reaches it: let the command take {wanted}"
        case "process.not_ready":
            return f"not ready: {data['refused']}"
        case "process.boot_timeout":
            if "listens_on" in data:
                where, wanted = ", ".join(data["listens_on"]), data.get("wanted", "$PORT")
                after = f"{data['after_s']:g} s"
                return f"gave no answer within {after}: killed. It listens on {where}: let it take {wanted}"
            return f"gave no answer within {data['after_s']:g} s: killed. It listens on {where}: let it take {wanted}"
            if "refused" in data:
                return f"not ready within {data['after_s']:g} s: killed. {data['refused']}"
            return f"gave no answer within {data['after_s']:g} s: killed. Raise boot_timeout, or check `ready`"
        case "process.drain_timeout":
            return f"still has requests after {data['after_s']:g} s of drain: stopped all the same"
        case "process.killed":
            return f"did not stop within {data['after_s']:g} s: killed"
        case "process.database":
            return f"writes an SQLite database inside the app's folder: {data['path']}"
        case "process.wrote":
            return lost(data["paths"], data["count"])
        case "process.failed":
            what = "could not be started" if data["stage"] in ("spawn", "launch") else "could not be isolated"
            return f"{what}: {data['error']} {data.get('path', '')}".rstrip()
        case "process.memory":
            used, allowed = (round(data[key] / 2**20) for key in ("used_bytes", "allowed_bytes"))
            return f"uses {used} MiB, more than its {allowed} MiB: killed"
        case "process.backoff":
            if "cannot_start" in data:
                return f"still cannot start: next attempt in {data['delay_s']:g} s"
            how = ", each time as above" if "repeats" in data else ""
            return f"crashed {data['crashes']} times in a row{how}: next start in {data['delay_s']:g} s"
        case "process.ended":
            return _ended(event)
        case "formation.stopping" if data["processes"]:
            count, most = _processes(data["processes"]), data["at_most_s"]
            return f"stopping {count} when done with what is under way ({most:g} s at most); a second Ctrl-C kills"
        case "formation.killing" if data["processes"]:
            return f"killing {_processes(data['processes'])}"
        case "router.died" | "router.restarted" | "formation.failed" | "router.dropped":
            return f"{event.kind.replace('.', ' ')} {json.dumps(dict(data)) if data else ''}".rstrip()
        case "service.ended":
            return _service_ended(data)
        case "service.ready":
            return f"{data['service']}: {data['kind']} answers again after {data['after_s']:g} s, {data['data']}"
        case "service.failed":
            return f"{data['error']}; it is tried again (told once a minute)"
        case "metrics.url":
            return f"metrics are at {data['url']}"
        case "router.request":
            return lost_request(event)
        case "notice":
            return str(data["text"])
    return None


def lost(paths: Sequence[str], count: int) -> str | None:
    """What was written and thrown away, in one line: `paths`, the first of `count`. Python's byte code is no news."""
    shown = [path for path in paths if "__pycache__" not in path.split("/")]
    more = f" and {count - len(paths)} more" if count > len(paths) else ""
    return f"wrote: {', '.join(shown) or 'byte code'}{more} (thrown away)" if shown or more else None


def lost_request(event: Event) -> str | None:
    """A request that a process was given and did not answer in full, in one line; None for any other."""
    data = event.data
    if data.get("cause") not in LOST or event.process is None:
        return None
    got = "a part of the answer" if data["cause"] == "interrupted" else data.get("status") or "no answer"
    return f"{data.get('method') or '?'} {data.get('path') or '?'}: {data['cause']} (the client got {got})"


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def _service_ended(data: Mapping[str, Any]) -> str:
    then = f"started again in {data['delay_s']:g} s" if data["delay_s"] else "started again"
    said = f". It said last: {data['said']}" if data["said"] else ""
    return f"{data['service']}: {data['kind']} (pid {data['pid']}) {_how(data['status'])}: {then}{said}"


def _how(status: int) -> str:
    return f"ended by {_signal(-status)}" if status < 0 else f"exited with {status}"


def _ended(event: Event) -> str:
    data = event.data
    status = data.get("status")
    how = "ended" if status is None else _how(status)
    if "cannot_start" in data:
        return f"{how}: {data['cannot_start']}"
    if data.get("crashed"):
        how = f"{how}, as {data['as']}" if "as" in data else how
        return f"ended by itself: {how}" if status == 0 else f"crashed: {how}"
    return how


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Console:
    """The one writer of a stream, in a thread of its own. What it cannot keep up with is dropped and counted.

    `mask` strikes secrets out of each text. At most `waiting` characters wait to be written.
    """

    def __init__(
        self, stream: TextIO, *, as_json: bool, mask: Callable[[str], str], waiting: int = _WAITING_AT_MOST
    ) -> None:
        self._stream = stream
        self._as_json = as_json
        self._mask = mask
        self._colour = not as_json and takes_colour(stream.isatty())
        self._most = waiting
        self._lines: deque[str] = deque()
        self._waiting = 0
        self._dropped = 0
        self._closing = False
        self._change = threading.Condition()
        self._repeats = Repeats()
        self._thread = threading.Thread(target=self._write, name="console", daemon=True)
        self._thread.start()

    def __call__(self, event: Event) -> None:
        """Take an event; never blocks."""
        if self._as_json:
            # Before encoding: a secret with a quote in it would not be found behind its backslash.
            self.line(json.dumps(_masked(event.as_dict(), self._mask), ensure_ascii=False))
            return
        with self._change:
            self._show(self._repeats.due(event.at) + self._repeats.tell(event))
            if self._repeats.holds:
                self._change.notify()

    def take_requests(self, requests: Requests) -> None:
        """Take requests, of which people see those that were lost; never blocks."""
        for event in requests.events() if self._as_json else requests.lost():
            self(event)

    def line(self, text: str) -> None:
        """Write a line as it is."""
        with self._change:
            self._append(text)

    def close(self, patience: float = 5.0) -> None:
        """Write what is waiting, for at most `patience` seconds, and stop."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join(patience)

    def _append(self, text: str) -> None:
        if self._waiting + len(text) > self._most and self._lines:
            self._dropped += 1
            return
        self._lines.append(text)
        self._waiting += len(text)
        self._change.notify()

    def _show(self, events: list[Event]) -> None:
        for event in events:
            text = format_event(event, self._colour)
            if text is not None:
                self._append(self._mask(text))

    def _write(self) -> None:
        while True:
            with self._change:
                while not self._lines and not self._dropped:
                    self._show(self._repeats.due(math.inf if self._closing else time.time()))
                    if self._lines:
                        break
                    if self._closing:
                        return
                    self._change.wait(HELD / 4 if self._repeats.holds else None)
                lines, self._lines, self._waiting = self._lines, deque(), 0
                dropped, self._dropped = self._dropped, 0
            if dropped:
                lines.append(self._say_dropped(dropped))
            try:
                # An app may print what the stream cannot encode: that is no reason to fall silent.
                encoding = self._stream.encoding or "utf-8"
                self._put(b"".join(line.encode(encoding, "backslashreplace") + b"\n" for line in lines), encoding)
            except (OSError, ValueError):
                return  # nobody reads any more

    def _put(self, data: bytes, encoding: str) -> None:
        """Past the stream's own buffer: whoever flushes that at exit waits for a reader as long as we do here."""
        try:
            descriptor = self._stream.fileno()
        except OSError:  # a stream in memory
            self._stream.write(data.decode(encoding))
            self._stream.flush()
            return
        while data:
            data = data[os.write(descriptor, data) :]

    def _say_dropped(self, count: int) -> str:
        if self._as_json:
            return json.dumps(Event("log.dropped", data={"lines": count}).as_dict())
        return f"... {count} lines dropped: whoever reads this is slower than the processes"


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {key: _masked(each, mask) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(each, mask) for each in value]
    return value
