"""How long a session lives: idle and absolute limit together, and when a read is worth a write."""

from __future__ import annotations

from dataclasses import dataclass

from fungible_kit.duration import Duration, seconds
from fungible_kit.sessions.errors import Misconfigured


def setting(name: str, given: Duration) -> float:
    """The seconds of a setting. Raises `Misconfigured` where it is no duration, or not above zero."""
    try:
        return seconds(name, given)
    except ValueError as error:
        raise Misconfigured(str(error)) from None


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
