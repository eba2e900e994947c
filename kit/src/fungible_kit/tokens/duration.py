"""Lengths of time as people write them. Pure."""

from __future__ import annotations

import math
import re
from datetime import timedelta

Duration = float | str | timedelta
"""Seconds, `"30m"` (s, m, h, d) or a timedelta."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(what: str, given: Duration) -> int:
    """Whole seconds, one at least; raises ValueError that names `what`."""
    found: float | None = None
    if isinstance(given, timedelta):
        found = given.total_seconds()
    elif isinstance(given, str):
        if match := re.fullmatch(r"(\d{1,9})\s*([smhd])", given.strip()):
            found = int(match[1]) * _UNITS[match[2]]
    elif isinstance(given, (int, float)) and not isinstance(given, bool):
        found = given
    if found is None or not math.isfinite(found) or found < 1:
        raise ValueError(f"{what}: {given!r} is no length of time; write seconds, or '30m' (s, m, h, d)")
    return int(found)
