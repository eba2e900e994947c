"""The cookies of one client, as far as a workload to one host needs them (RFC 6265)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from email.utils import parsedate_to_datetime


class Jar:
    """Name -> value per path. Domain and Secure do not matter: there is one host, and it is ours."""

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str], str] = {}

    @property
    def values(self) -> dict[str, str]:
        """All cookies by name."""
        return {name: value for (name, _), value in self._cookies.items()}

    def add(self, other: Jar) -> None:
        """Take over all cookies of another jar."""
        self._cookies.update(other._cookies)

    def header(self, target: str) -> str | None:
        """The Cookie header for a request target, longest path first (section 5.4)."""
        path = target.partition("?")[0]
        matching = [(p, n, v) for (n, p), v in self._cookies.items() if _matches(path, p)]
        matching.sort(key=lambda each: -len(each[0]))
        return "; ".join(f"{name}={value}" for _, name, value in matching) or None

    def store(self, target: str, set_cookies: Iterable[str], now: float | None = None) -> None:
        """Take over the Set-Cookie headers of an answer; one that has expired deletes (section 5.3)."""
        for line in set_cookies:
            first, *attributes = line.split(";")
            name, equals, value = first.partition("=")
            if not equals or not name.strip():
                continue
            named = {k.strip().lower(): v.strip() for k, _, v in (a.partition("=") for a in attributes)}
            path = named.get("path", "")
            if not path.startswith("/"):
                path = target.partition("?")[0].rpartition("/")[0] or "/"
            key = (name.strip(), path)
            if _expired(named, time.time() if now is None else now):
                self._cookies.pop(key, None)
            else:
                self._cookies[key] = value.strip()


def _matches(path: str, cookie_path: str) -> bool:
    return path == cookie_path or (
        path.startswith(cookie_path) and (cookie_path.endswith("/") or path[len(cookie_path) :].startswith("/"))
    )


def _expired(named: dict[str, str], now: float) -> bool:
    if "max-age" in named:
        try:
            return int(named["max-age"]) <= 0
        except ValueError:
            return False
    if "expires" in named:
        try:
            return parsedate_to_datetime(named["expires"].replace("-", " ")).timestamp() <= now
        except (ValueError, TypeError, OverflowError):
            return False
    return False
