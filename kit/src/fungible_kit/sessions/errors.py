"""What can go wrong with a session, each in one sentence that says how to mend it."""

from __future__ import annotations

from collections.abc import Iterable

from fungible_kit.services.errors import ServiceUnavailable


class SessionError(Exception):
    """Base of what sessions raise."""


class Misconfigured(SessionError, ValueError):
    """A setting that does not fit; raised when it is given, not when it is first used."""


class NotStorable(SessionError, TypeError):
    """A value that would not come back as it was put in; raised at assignment."""


class SessionTooLarge(SessionError, ValueError):
    """A name, a value or the whole session is over its limit."""


class SessionNotLoaded(SessionError, RuntimeError):
    """The session was read in an event loop before it was loaded."""


class SessionAlreadySent(SessionError, RuntimeError):
    """A change needs a cookie, and the response has started."""


class SessionConflict(SessionError, RuntimeError):
    """Another request changed the same names since this one read them (`conflict="raise"`, or `compute`)."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted(names))
        super().__init__(
            f"another request changed {', '.join(map(repr, self.names))}; read the session and try again"
        )


class NotSupported(SessionError, NotImplementedError):
    """The store cannot do this; the sentence names one that can."""


class StoreUnavailable(SessionError, ServiceUnavailable):
    """The store did not answer in time, or the breaker is open."""
