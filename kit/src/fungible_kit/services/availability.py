"""What the log tells of a store that cannot be used: which one it is, why, and when it is back."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

from fungible_kit.services import MEMCACHED, POSTGRES, SQLITE, VALKEY
from fungible_kit.services.errors import ServiceUnavailable

AGAIN = 60.0  # seconds between two warnings, whatever happens meanwhile
_LONGEST = 300  # characters of a cause


class Availability:
    """Tells the log once when an outage begins, again at most every minute while it lasts, and once when it is over.

    Used as a context manager around each call, inside the breaker: what that refuses is no news of the store. `store`
    is a URL, or the app's own object, which is then named as `what`: "the session store". One for each process: an
    observation of the store, no state of the app.
    """

    def __init__(self, store: object, what: str, log: logging.Logger, clock: Callable[[], float] = monotonic) -> None:
        self._store = store
        self._what = what
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._told: float | None = None
        self._is_out = False  # the log's last word is that the store cannot be used

    def __enter__(self) -> None:
        """Nothing is known before the call."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ServiceUnavailable):
            self._failed(error)
        elif self._is_out and error is None:  # no lock on the usual way
            self._answered()

    def _failed(self, error: ServiceUnavailable) -> None:
        with self._lock:
            now = self._clock()
            if self._told is not None and now - self._told < AGAIN:
                return
            self._told, self._is_out = now, True
        self._log.warning("%s", sentence(self._store, self._what, error))

    def _answered(self) -> None:
        with self._lock:
            if not self._is_out:
                return
            self._is_out = False
        self._log.warning("%s is back", place(self._store, self._what))


def sentence(store: object, what: str, error: ServiceUnavailable) -> str:
    """`valkey at 127.0.0.1:1 cannot be used: Connection refused`; without what opens the store."""
    return f"{place(store, what)} cannot be used: {_cause(store, error)}"


def place(store: object, what: str) -> str:
    """A store's kind, host and port; a URL's user, password and options are left out."""
    if not isinstance(store, str):
        return f"{what} {type(store).__name__}"
    rest = store.partition("://")[2]
    scheme = _scheme(store)
    if scheme in SQLITE:
        return f"the file {unquote(rest.removeprefix('/').partition('?')[0])}"
    if scheme == "unix":
        return f"valkey at {rest.rpartition('@')[2].partition('?')[0]}"
    netloc, *after = re.split(r"[/?#]", rest, maxsplit=1)
    hosts = netloc.rpartition("@")[2]
    if not hosts or "@" in "".join(after):  # a password with a raw / or ?: nobody knows where it ends
        return scheme
    port = {**dict.fromkeys(MEMCACHED, 11211), **dict.fromkeys(POSTGRES, 5432)}.get(scheme, 6379)
    named = (host if re.search(r":\d+$", host) else f"{host}:{port}" for host in hosts.split(","))
    return f"{scheme} at {', '.join(named)}"


def _scheme(url: str) -> str:
    """Without the driver that SQLAlchemy names in it (`postgresql+psycopg`)."""
    return url.partition("://")[0].partition("+")[0].lower()


def _cause(store: object, error: ServiceUnavailable) -> str:
    """The client's or the server's own words where ours say less than they do, in one line."""
    scheme = _scheme(store) if isinstance(store, str) else ""
    cause, said = error.__cause__, str(error)
    if scheme in (*VALKEY, *MEMCACHED) and cause is not None and not error.timed_out:
        said = str(cause) or type(cause).__name__
        # A server that does not know a command repeats what came with it: keys, values, a password.
        said = re.split(r",? with args", said)[0]
        if any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said) for word in _secrets(str(store))):
            said = type(cause).__name__
    if error.timed_out and scheme in ("valkeys", "rediss"):
        said += " (does it speak TLS at this port?)"
    return " ".join(said.split())[:_LONGEST]


def _secrets(url: str) -> set[str]:
    try:
        password: Any = urlsplit(url).password
    except ValueError:
        password = None
    return {password, unquote(password)} if password else set()
