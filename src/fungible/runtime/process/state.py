"""The one named state of a process, and how it moves."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a process is in its life. `READY` alone may be chosen for a request."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    ENDED = "ended"


class Happening(Enum):
    """What moves a process from one state to the next."""

    ANSWERED = "answered"  # ready: a complete answer came, or a type that does not listen has started
    RETIRED = "retired"  # someone wants it gone
    DRAINED = "drained"  # nothing in flight any more, or the drain's time is over
    EXITED = "exited"  # the command ended
    EMPTIED = "emptied"  # nothing of its group is left, its folder is wiped


_MOVES = {
    (State.STARTING, Happening.ANSWERED): State.READY,
    (State.STARTING, Happening.RETIRED): State.STOPPING,
    (State.READY, Happening.RETIRED): State.DRAINING,
    (State.DRAINING, Happening.DRAINED): State.STOPPING,
    (State.STARTING, Happening.EXITED): State.STOPPING,
    (State.READY, Happening.EXITED): State.STOPPING,
    (State.DRAINING, Happening.EXITED): State.STOPPING,
    (State.STOPPING, Happening.EXITED): State.STOPPING,
    (State.STARTING, Happening.EMPTIED): State.ENDED,
    (State.READY, Happening.EMPTIED): State.ENDED,
    (State.DRAINING, Happening.EMPTIED): State.ENDED,
    (State.STOPPING, Happening.EMPTIED): State.ENDED,
}


def advance(state: State, happening: Happening) -> State:
    """The state after `happening`; what cannot happen in a state leaves it as it is.

    Late news is normal (a process answers while it is being stopped), so it is ignored rather than an error.
    """
    return _MOVES.get((state, happening), state)
