"""HAProxy's access log: read in bulk, counted by what lines have in common, told one by one if asked."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from fungible.runtime.events import Event
from fungible.runtime.router.answers import LOST, cause_of
from fungible.runtime.router.model import Upstream

PIPE_SIZE = 1024 * 1024
_F_SETPIPE_SZ = 1031  # linux/fcntl.h
_F_GETPIPE_SZ = 1032
_LONGEST_LINE = 64 * 1024
_LONGEST_PATH = 512

# Whatever a client chose comes last in its half: a method may have any of RFC 9110's `tchar` in it.
_HALF = b";"
OUTCOME_FORMAT = "%s %ST %ts %[var(txn.cause)] %rc %Tw %Ta %HM"
DETAIL_FORMAT = "%B %Tc %Tr %ID %[var(sess.client)] %HPO"
LOG_FORMAT = f"{OUTCOME_FORMAT}{_HALF.decode()}{DETAIL_FORMAT}"
"""A line of the log (HAProxy's configuration manual 2.8, 8.2.6); times in milliseconds, -1 for a step not reached."""

_OUTCOME = re.compile(r"(\S+) (-?\d+) (\S\S) (\S+) \+?(\d+) (-?\d+) (-?\d+) (.+)")
_DETAIL = re.compile(r"(\d+) (-?\d+) (-?\d+) (\S+) (\S+) (.*)")
_ENCODED = re.compile("#([0-9A-F]{2})")


class Outcome(NamedTuple):
    """What many requests have in common; times in milliseconds. A request that met no process has no `upstream`."""

    upstream: Upstream | None
    method: str | None
    status: int | None
    cause: str | None
    retries: int
    queue_ms: int
    total_ms: int


class Requests:
    """Requests that ended at about the same time (`at`, in seconds since the epoch), in the order in which they did.

    Under load there are thousands a second, and hardly anybody asks for more than how many there were of each sort:
    `outcomes` are made of the half of a line that repeats, and a line is read in full for whoever wants its event.
    `lines` are as `LOG_FORMAT` writes them; any other (HAProxy's own messages) is passed over. `upstreams` finds the
    process by HAProxy's name of the server.
    """

    def __init__(self, lines: Sequence[bytes], upstreams: Mapping[str, Upstream], at: float) -> None:
        self.at = at
        halves = Counter([line.partition(_HALF)[0] for line in lines])
        read = {half: outcome_of(half, upstreams) for half in halves}
        self.outcomes = [(outcome, halves[half]) for half, outcome in read.items() if outcome is not None]
        if None in read.values():
            lines = [line for line in lines if read[line.partition(_HALF)[0]] is not None]
        self._lines = lines
        self._read = read

    def __len__(self) -> int:
        return len(self._lines)

    def events(self, last: int | None = None) -> Iterator[Event]:
        """The `router.request` event of each request, or of the `last` so many."""
        for line in self._lines if last is None else self._lines[max(0, len(self) - last) :]:
            half, _, rest = line.partition(_HALF)
            if outcome := self._read[half]:
                yield event_of(outcome, rest, self.at)

    def lost(self) -> Iterator[Event]:
        """The events of those that a process was given and did not answer in full."""
        if any(outcome.cause in LOST for outcome, _ in self.outcomes):
            yield from (event for event in self.events() if event.data["cause"] in LOST)


def outcome_of(half: bytes, upstreams: Mapping[str, Upstream]) -> Outcome | None:
    """The first half of a line, or None where it is none."""
    found = _OUTCOME.fullmatch(half.decode("utf-8", "replace"))
    if found is None:
        return None
    server, status, end, cause, retries, queue, total, method = found.groups()
    code = int(status)
    return Outcome(
        upstream=upstreams.get(server),
        method=None if method in ("-", "<BADREQ>") else method,
        status=code if code > 0 else None,
        cause=cause_of(named=None if cause == "-" else cause, status=code, termination=end),
        retries=int(retries),
        queue_ms=max(0, int(queue)),
        total_ms=max(0, int(total)),
    )


def event_of(outcome: Outcome, rest: bytes, at: float) -> Event:
    """The event of a request, from its outcome and the second half of its line, which may be cut short."""
    found = _DETAIL.fullmatch(rest.decode("utf-8", "replace"))
    size, connect, response, id, client, path = found.groups() if found else ("0", "-1", "-1", "-", "-", "-")
    upstream = outcome.upstream
    data = {
        "method": outcome.method,
        "path": None if path in ("", "-", "<BADREQ>") else _decoded(path),
        "status": outcome.status,
        "bytes": int(size),
        "queue_ms": outcome.queue_ms,
        "connect_ms": max(0, int(connect)),
        "response_ms": int(response) if int(response) >= 0 else None,
        "total_ms": outcome.total_ms,
        "request_id": None if id == "-" else id,
        "cause": outcome.cause,
        "retries": outcome.retries,
        "client": None if client == "-" else client,
    }
    return Event(
        "router.request",
        process=upstream.name if upstream else None,
        instance=upstream.instance if upstream else None,
        release=upstream.release if upstream else None,
        data=data,
        at=at,
    )


def _decoded(path: str) -> str:
    """HAProxy writes quotes, `#` and what cannot be printed as `#` and two digits."""
    return _ENCODED.sub(lambda found: chr(int(found[1], 16)), path)[:_LONGEST_PATH]


class LogPipe:
    """A pipe that HAProxy writes its log to without ever waiting: what does not fit, it drops and counts.

    `write_end` is the descriptor to hand over; it outlives an HAProxy that dies. `take` gets the whole lines of each
    read.
    """

    def __init__(self, take: Callable[[Sequence[bytes]], None]) -> None:
        self._take = take
        self._rest = b""
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_end, False)
        with contextlib.suppress(OSError):  # an ordinary user may have reached pipe-user-pages-soft
            fcntl.fcntl(self._read_end, _F_SETPIPE_SZ, PIPE_SIZE)
        self._size = fcntl.fcntl(self._read_end, _F_GETPIPE_SZ)
        # Under load, lines are worth collecting: a wake-up each would cost more than the line itself.
        self._pause = 0.05 if self._size >= PIPE_SIZE else 0.002
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Read from now on, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_end, self._ready, self._loop)

    def drain(self) -> None:
        """Take what is there now."""
        try:
            chunk = os.read(self._read_end, self._size)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            self._rest = b""
        if lines:
            self._take(lines)

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
        self.drain()
        self._timer = loop.call_later(self._pause, self.open)
