"""Lengths of time as people write them. Pure."""

from __future__ import annotations

import math
import re
from datetime import timedelta

Duration = float | str | timedelta
"""Seconds, `"30m"` (ms, s, m, h, d) or a timedelta."""

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_WRITTEN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|d)")


def seconds(what: str, given: Duration, *, least: float = 0.001) -> float:
    """A length of time in seconds; raises ValueError, which names `what`, where it is none or under `least`."""
    found: float | None = None
    if isinstance(given, timedelta):
        found = given.total_seconds()
    elif isinstance(given, str):
        if match := _WRITTEN.fullmatch(given.strip()):
            found = float(match[1]) * _UNITS[match[2]]
    elif isinstance(given, (int, float)) and not isinstance(given, bool):
        found = given
    if found is None or not math.isfinite(found):
        raise ValueError(f"{what}={given!r} is no duration; write seconds, or '250ms', '30m', '12h', '30d'")
    if found < least:
        raise ValueError(f"{what}={given!r} is less than {least * 1000:g} ms, the least there is")
    return found


def whole_seconds(what: str, given: Duration) -> int:
    """The same in whole seconds, one at least."""
    return int(seconds(what, given, least=1))
