"""The small init that every command runs under: forwards signals to its group, reaps, waits until it is empty.

A PID 1 without handlers ignores TERM, so a command is never PID 1 itself. The control socket is the supervisor's
word: a message is acted on, its end means that the supervisor is gone, and so is the group (pid_namespaces(7)).
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from typing import Any, List, Optional, Union

from .layer import CopyLayer, OverlayLayer

Layer = Union[OverlayLayer, CopyLayer, None]

_WATCH_EVERY = 1.0  # seconds between looks for a database in the layer


def tell(control: socket.socket, kind: str, **data: Any) -> None:
    """Send one message to the supervisor; a supervisor that is gone is noticed by reading, not here."""
    try:
        control.sendall(json.dumps({"kind": kind, **data}).encode("utf-8", "surrogateescape") + b"\n")
    except OSError:
        return


def supervise(
    leader: int, control: socket.socket, grace: float, whole_namespace: bool, layer: Layer, watch: bool
) -> int:
    """Run until the group of `leader` is empty; returns the leader's wait status.

    With `whole_namespace` the caller is PID 1 and the group is everything in the namespace; otherwise the caller
    is a subreaper and the group is its descendants.
    """
    group: _Namespace | _Descendants = _Namespace() if whole_namespace else _Descendants()
    wake, waker = os.pipe()
    for end in (wake, waker):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    poll.register(control, select.POLLIN)
    status: Optional[int] = None
    kill_at: Optional[float] = None
    told: List[str] = []
    unread = b""
    while True:
        while True:
            try:
                pid, ended = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                if status is None:
                    status = 0
                _close_report(control, layer)
                return status
            if pid == 0:
                break
            if pid == leader:
                status = ended
                tell(control, "exited", status=os.waitstatus_to_exitcode(ended))
                group.signal(signal.SIGTERM)
                group.signal(signal.SIGCONT)
                kill_at = time.monotonic() + grace
        if kill_at is not None and time.monotonic() >= kill_at:
            group.signal(signal.SIGKILL)
            kill_at = time.monotonic() + 0.2
        timeout = None if kill_at is None else max(0.0, kill_at - time.monotonic())
        if watch and status is None:
            timeout = _WATCH_EVERY if timeout is None else min(timeout, _WATCH_EVERY)
        ready = dict(poll.poll(None if timeout is None else timeout * 1000 + 1))
        if wake in ready:
            os.read(wake, 4096)
        if control.fileno() in ready:
            message = control.recv(65536)
            if not message:
                group.signal(signal.SIGKILL)
                poll.unregister(control)
                kill_at = time.monotonic() + 0.2
            else:
                *lines, unread = (unread + message).split(b"\n")
                for line in lines:
                    _obey(json.loads(line), leader, group)
        if watch and status is None and layer is not None:
            for path in layer.databases():
                if path not in told:
                    told.append(path)
                    tell(control, "database", path=path)


def _obey(message: Any, leader: int, group: _Namespace | _Descendants) -> None:
    number = int(message["signal"])
    if number == signal.SIGKILL:
        group.signal(number)
        return
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        return


def _close_report(control: socket.socket, layer: Layer) -> None:
    if layer is not None:
        written = layer.written()
        if written:
            tell(control, "wrote", paths=[path[:200] for path in written[:200]], count=len(written))
    tell(control, "empty")


class _Namespace:
    """Everything in a PID namespace but its init."""

    def signal(self, number: int) -> None:
        try:
            os.kill(-1, number)
        except ProcessLookupError:
            return


class _Descendants:
    """The descendants of a subreaper, which is where orphans of its group end up (prctl(2))."""

    def signal(self, number: int) -> None:
        for pid in _descendants(os.getpid()):
            try:
                os.kill(pid, number)
            except OSError:
                continue


def _descendants(pid: int) -> List[int]:
    found: List[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        try:
            with open(f"/proc/{parent}/task/{parent}/children") as file:
                children = [int(word) for word in file.read().split()]
        except OSError:
            children = []
        found += children
        waiting += children
    return found
