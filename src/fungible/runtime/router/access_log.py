"""HAProxy's access log, a JSON line a request, as events."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable, Mapping

import msgspec

from fungible.runtime.events import Event
from fungible.runtime.router.answers import cause_of
from fungible.runtime.router.model import Upstream

PIPE_SIZE = 1024 * 1024
_F_SETPIPE_SZ = 1031  # linux/fcntl.h
_F_GETPIPE_SZ = 1032
_LONGEST_LINE = 64 * 1024


class Line(msgspec.Struct):
    """One line as `configuration.LOG_FORMAT` writes it; times in milliseconds, -1 for a step not reached."""

    method: str
    path: str
    status: int
    bytes: int
    server: str
    queue: int
    connect: int
    response: int
    total: int
    id: str
    end: str
    cause: str
    retries: str
    client: str


_decoder = msgspec.json.Decoder(Line)


def parse(line: bytes, upstreams: Mapping[str, Upstream]) -> Event | None:
    """The `router.request` event of a log line, or None for a line that is none (HAProxy's own messages).

    `upstreams` finds the process by HAProxy's name of the server; a request that met none has no `process`.
    """
    try:
        entry = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    upstream = upstreams.get(entry.server)
    named = None if entry.cause in ("", "-") else entry.cause
    cause = cause_of(named=named, status=entry.status, termination=entry.end)
    retries = entry.retries.lstrip("+")
    data = {
        "method": None if entry.method in ("", "-", "<BADREQ>") else entry.method,
        "path": None if entry.path in ("", "-") else entry.path,
        "status": entry.status if entry.status > 0 else None,
        "bytes": entry.bytes,
        "queue_ms": max(0, entry.queue),
        "connect_ms": max(0, entry.connect),
        "response_ms": entry.response if entry.response >= 0 else None,
        "total_ms": max(0, entry.total),
        "request_id": None if entry.id in ("", "-") else entry.id,
        "cause": cause,
        "retries": int(retries) if retries.isdigit() else 0,
        "client": entry.client,
    }
    return Event(
        "router.request",
        process=upstream.name if upstream else None,
        instance=upstream.instance if upstream else None,
        release=upstream.release if upstream else None,
        data=data,
    )


class LogPipe:
    """A pipe that HAProxy writes its log to without ever waiting: what does not fit, it drops and counts.

    `write_end` is the descriptor to hand over; it outlives an HAProxy that dies. `take` gets each whole line.
    """

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._rest = b""
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_end, False)
        with contextlib.suppress(OSError):  # an ordinary user may have reached pipe-user-pages-soft
            fcntl.fcntl(self._read_end, _F_SETPIPE_SZ, PIPE_SIZE)
        # Under load, lines are worth collecting: a wake-up each would cost more than the line itself.
        self._pause = 0.05 if fcntl.fcntl(self._read_end, _F_GETPIPE_SZ) >= PIPE_SIZE else 0.002
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Read from now on, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_end, self._ready, self._loop)

    def drain(self, rounds: int = 64) -> None:
        """Take what is there, at most `rounds` times 64 KiB."""
        for _ in range(rounds):
            try:
                chunk = os.read(self._read_end, 65536)
            except BlockingIOError:
                return
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._take(line)
            if len(self._rest) > _LONGEST_LINE:
                self._rest = b""

    def close(self) -> None:
        """Take the rest and close both ends."""
        if self._loop:
            self._loop.remove_reader(self._read_end)
        if self._timer:
            self._timer.cancel()
        self.drain()
        os.close(self._read_end)
        os.close(self.write_end)

    def _ready(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._read_end)
        self.drain(rounds=2)
        self._timer = loop.call_later(self._pause, self.open)
