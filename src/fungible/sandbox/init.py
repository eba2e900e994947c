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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional, Union

    from .layer import CopyLayer, OverlayLayer
    from .outbound import Guard
    from .spec import Spec

    Layer = Union[OverlayLayer, CopyLayer, None]

_WATCH_EVERY = 1.0  # seconds between looks for a database in the layer
_WATCH_SHARE = 20  # of the time, at most one part in so many goes into these looks


def tell(control: socket.socket, kind: str, **data: Any) -> None:
    """Send one message to the supervisor; a supervisor that is gone is noticed by reading, not here."""
    try:
        control.sendall(json.dumps({"kind": kind, **data}).encode("utf-8", "surrogateescape") + b"\n")
    except OSError:
        return


def supervise(
    leader: int,
    control: socket.socket,
    spec: Spec,
    whole_namespace: bool,
    layer: Layer,
    guard: Optional[Guard] = None,
) -> int:
    """Run until the group of `leader` is empty; returns the leader's wait status.

    With `whole_namespace` the caller is PID 1 and the group is everything in the namespace; otherwise the caller
    is a subreaper and the group is its descendants. `guard` answers for where the group connects to.
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
    if guard is not None:
        poll.register(guard.listener, select.POLLIN)
    status: Optional[int] = None
    kill_at: Optional[float] = None
    asked = False
    watch = _Watch(control, layer) if spec.watch_databases and layer is not None else None
    unread = b""
    while True:
        while True:
            try:
                pid, ended = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                if status is None:
                    status = 0
                if watch is not None:
                    watch.look()
                _close_report(control, layer)
                return status
            if pid == 0:
                break
            if pid == leader:
                status = ended
                tell(control, "exited", status=os.waitstatus_to_exitcode(ended))
                # Asked to stop, the leader's own group has had its signal: only what left it hears of the end.
                for each in group.members():
                    if not asked or _group_of(each) != leader:
                        _send(each, signal.SIGTERM)
                    _send(each, signal.SIGCONT)
                patience = spec.grace if spec.patience is None or not asked else spec.patience
                kill_at = time.monotonic() + patience
        if kill_at is not None and time.monotonic() >= kill_at:
            group.signal(signal.SIGKILL)
            kill_at = time.monotonic() + 0.2
        timeout = None if kill_at is None else max(0.0, kill_at - time.monotonic())
        if watch is not None and status is None:
            until = max(0.0, watch.next_at - time.monotonic())
            timeout = until if timeout is None else min(timeout, until)
        ready = dict(poll.poll(None if timeout is None else timeout * 1000 + 1))
        if guard is not None and guard.listener in ready:
            if ready[guard.listener] & select.POLLIN:
                guard.answer()
            else:  # POLLHUP: nobody is left who could ask
                poll.unregister(guard.listener)
                guard = None
        if wake in ready:
            os.read(wake, 4096)
        if control.fileno() in ready:
            try:
                message = control.recv(65536)
            except OSError:  # ECONNRESET: the supervisor died before it read all that we told
                message = b""
            if not message:
                group.signal(signal.SIGKILL)
                poll.unregister(control)
                kill_at = time.monotonic() + 0.2
            else:
                *lines, unread = (unread + message).split(b"\n")
                for line in lines:
                    asked = True
                    _obey(json.loads(line), leader, group)
        if watch is not None and status is None and time.monotonic() >= watch.next_at:
            watch.look()


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


class _Watch:
    """Looks for SQLite databases among what was written, and tells of each once."""

    def __init__(self, control: socket.socket, layer: OverlayLayer | CopyLayer) -> None:
        self.next_at = time.monotonic() + _WATCH_EVERY
        self._control = control
        self._layer = layer
        self._told: List[str] = []

    def look(self) -> None:
        begin = time.monotonic()
        for path in self._layer.databases():
            if path not in self._told:
                self._told.append(path)
                tell(self._control, "database", path=path)
        end = time.monotonic()
        self.next_at = end + max(_WATCH_EVERY, (end - begin) * _WATCH_SHARE)


class _Namespace:
    """Everything in a PID namespace but its init."""

    def signal(self, number: int) -> None:
        try:
            os.kill(-1, number)
        except ProcessLookupError:
            return

    def members(self) -> List[int]:
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"]


class _Descendants:
    """The descendants of a subreaper, which is where orphans of its group end up (prctl(2))."""

    def signal(self, number: int) -> None:
        for pid in self.members():
            _send(pid, number)

    def members(self) -> List[int]:
        return _descendants(os.getpid())


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        return  # it has ended


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


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
