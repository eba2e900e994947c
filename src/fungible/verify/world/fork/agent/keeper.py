"""The process outside the namespaces: it waits for the fork server to end, and answers for where it and its slots
connect to."""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING

from .order import tell

if TYPE_CHECKING:
    from fungible.sandbox import outbound
    from fungible.sandbox.spec import Spec
else:
    from fungible_sandbox import outbound
    from fungible_sandbox.spec import Spec


def submit(spec: Spec, channel: socket.socket) -> None:
    """In the fork server, before it imports: its connections, and those of all slots, are asked for from now on."""
    if spec.outbound == "refused":
        outbound.enter(channel)
        outbound.try_out()
    channel.close()


def keep(spec: Spec, control: socket.socket, channel: socket.socket, child: int) -> None:
    """Until `child` has ended, and with it all of its PID namespace. Closes `channel`."""
    guard = _guard(spec, control, channel) if spec.outbound == "refused" else None
    channel.close()
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    if guard is not None:
        poll.register(guard.listener, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if ended in ready:
            break
        if guard is not None and guard.listener in ready:
            if ready[guard.listener] & select.POLLIN:
                guard.answer()
            else:
                poll.unregister(guard.listener)
                guard = None
    os.waitpid(child, 0)


def _guard(spec: Spec, control: socket.socket, channel: socket.socket) -> outbound.Guard | None:
    def heard(to: outbound.Destination, allowed: bool, program: str) -> None:
        tell(control, "outbound", to=str(to), port=to.port, allowed=allowed, loopback=to.loopback, program=program)

    _, listeners, _, _ = socket.recv_fds(channel, 1, 1)
    if not listeners:
        return None  # it failed before, and says so itself
    os.set_inheritable(listeners[0], False)
    return outbound.Guard(listeners[0], outbound.Policy(spec.reachable, spec.unreachable), heard)
