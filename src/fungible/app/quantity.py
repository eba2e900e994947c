"""Durations and sizes: `"500ms"`, `"24h"`, `"512MiB"` and plain numbers, read and written."""

from __future__ import annotations

import math
import re
from decimal import Decimal

# An amount longer than this is no amount that anybody means; the bound keeps conversion cheap.
_AMOUNT = r"([0-9]{1,18}(?:\.[0-9]{1,9})?)"
_DURATION = re.compile(_AMOUNT + r"\s?(ms|s|m|h|d)?")
_SIZE = re.compile(_AMOUNT + r"\s?([KMGT]i?B|B)?", re.IGNORECASE)

_SECONDS = {
    "d": Decimal(86400),
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}
_MOST_BYTES = 10**18
# IEC 80000-13: kibi is 1024, kilo is 1000.
_BYTES = {
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)},
}
_BYTES_BY_FOLDED = {unit.casefold(): factor for unit, factor in _BYTES.items()}


def parse_duration(value: object) -> float:
    """Seconds from `"500ms"`, `"60s"`, `"5m"`, `"24h"`, `"7d"`, or from a number of seconds.

    Raises ValueError for anything else, negative and non-finite numbers included.
    """
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return float(Decimal(match[1]) * _SECONDS[match[2] or "s"])
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**15:
        return float(value)
    raise ValueError("not a duration")


def parse_size(value: object) -> int:
    """Bytes from `"512MiB"`, `"1GiB"`, `"10MB"`, or from a whole number of bytes.

    Raises ValueError for anything else, parts of a byte included.
    """
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        size = Decimal(match[1]) * _BYTES_BY_FOLDED[(match[2] or "B").casefold()]
        if size < _MOST_BYTES and size == size.to_integral_value():
            return int(size)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_BYTES:
        return value
    raise ValueError("not a size")


def format_duration(seconds: float) -> str:
    """The shortest exact way to write `seconds` (rounded to the millisecond) with one unit: 90 is `"90s"`,
    0.5 `"500ms"`.

    Raises ValueError for a negative or non-finite number.
    """
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError("not a duration")
    milliseconds = round(seconds * 1000)
    for unit, factor in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds >= factor and milliseconds % factor == 0:
            return f"{milliseconds // factor}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"


def format_size(size: int) -> str:
    """The shortest exact way to write `size` bytes with one binary unit: 536870912 is `"512MiB"`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"
