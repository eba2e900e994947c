"""How long a session lives: idle and absolute limit together, and when a read is worth a write."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from fungible_kit.sessions.errors import Misconfigured

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def seconds(value: str | float | timedelta, name: str) -> float:
    """A duration as seconds: `"30m"`, `"250ms"`, a number of seconds, or a `timedelta`.

    Raises `Misconfigured` where it is none, or not above zero.
    """
    if isinstance(value, timedelta):
        found = value.total_seconds()
    elif isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise Misconfigured(f"{name}={value!r} is no duration; write one like '250ms', '30m', '12h' or '30d'")
        found = float(match[1]) * _UNITS[match[2]]
    else:
        found = float(value)
    if not found > 0:
        raise Misconfigured(f"{name}={value!r} must be more than zero")
    return found


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Limits in seconds. Both hold at once and both are enforced by the store (OWASP ASVS 5.0, 7.3.1 and 7.3.2)."""

    idle: int = 1800
    absolute: int = 43200
    rotate_every: int | None = None
    fresh: int = 600

    def touch_due(self, touched: int, now: int) -> bool:
        """Whether a request that only reads should move the idle limit on.

        At most every minute or tenth of the limit, whichever is longer (half of it for limits under two
        minutes): otherwise every read would cost a write.
        """
        return now - touched >= min(max(60, self.idle // 10), max(1, self.idle // 2))

    def rotation_due(self, rotated: int, now: int) -> bool:
        return self.rotate_every is not None and now - rotated >= self.rotate_every
