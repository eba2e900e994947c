"""The zygote: a process that has loaded the launcher once and forks one for every spec.

To start Python and to load the launcher takes many times what the sandbox itself takes; so a supervisor has it done
once. The zygote runs in no sandbox, has one thread and does nothing else. What it forked does not need it any more:
should it end, the launchers live on, and the supervisor starts another.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import warnings  # noqa: F401 - os.execvpe does, and every launcher would load it anew

from . import launch, linux
from .init import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, NoReturn

    from .spec import Spec

_DESCRIPTORS = 5
_PLAIN, _WATCHED = b"p", b"w"


def order_for(spec: Spec) -> bytes:
    """The byte that orders a launcher for `spec`: it says whether the process's connections are to be watched."""
    return _WATCHED if spec.outbound == "refused" else _PLAIN


def main(orders_at: int) -> int:
    """Fork a launcher for every order that comes over the socket `orders_at`, until its other end is closed.

    An order is one byte (see `order_for`) and five descriptors: the spec's file, the control socket, standard
    input, output and error.
    """
    if linux.available():
        linux.libc()
    gc.collect()
    gc.freeze()  # a collection in a launcher would write to every object's header, and so copy its page
    _Zygote(socket.socket(fileno=orders_at)).serve()
    return 0


class _Zygote:
    """Keeps the control socket of every launcher open until it has waited for it: the supervisor, who sees its end,
    then knows that there is no such process any more."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        os.set_inheritable(orders.fileno(), False)
        self._controls: Dict[int, int] = {}
        self._wake, self._waker = os.pipe()
        for end in (self._wake, self._waker):
            os.set_blocking(end, False)

    def serve(self) -> None:
        """Until nobody can order any more."""
        signal.set_wakeup_fd(self._waker)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._orders, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._reap()
            if self._orders.fileno() in ready:
                try:
                    order, descriptors, _, _ = socket.recv_fds(self._orders, 1, _DESCRIPTORS)
                except OSError:  # ECONNRESET: the supervisor died before it read all that was told
                    return
                if not order:
                    return
                if len(descriptors) == _DESCRIPTORS:
                    self._fork(order, descriptors)
                else:  # no room for them: who ordered sees the end of what we close
                    for descriptor in descriptors:
                        os.close(descriptor)

    def _fork(self, order: bytes, descriptors: List[int]) -> None:
        if order == _WATCHED:
            _load_outbound()
        spec_at, control_at, *standard = descriptors
        try:
            pid = os.fork()
            if pid == 0:
                self._become_launcher(spec_at, control_at, standard)
            self._controls[pid] = control_at
        except OSError as error:
            with socket.socket(fileno=control_at) as control:
                tell(control, "failed", stage="spawn", error=error.strerror or str(error), path="")
        for descriptor in (spec_at, *standard):
            os.close(descriptor)

    def _reap(self) -> None:
        # Waited for, not ignored: else their time would be missing from their supervisor's (getrusage(2)).
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            os.close(self._controls.pop(pid))

    def _become_launcher(self, spec_at: int, control_at: int, standard: List[int]) -> NoReturn:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            self._orders.close()
            for descriptor in (self._wake, self._waker, *self._controls.values()):
                os.close(descriptor)  # of others: the end of none may wait for ours
            for number, descriptor in enumerate(standard):
                os.dup2(descriptor, number)
                os.close(descriptor)
            status = launch.main(spec_at, control_at)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
        finally:
            os._exit(status)


def _load_outbound() -> None:
    """Before the fork, for others will need it too; in the launcher the view may hide where it lies."""
    import threading  # noqa: F401

    from . import outbound  # noqa: F401
