"""Sizes: `"2GiB"`, `"500MB"` and whole numbers of bytes, read and written."""

from __future__ import annotations

import re
from decimal import Decimal

_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s?([KMGT]i?B|B)?", re.IGNORECASE)
# IEC 80000-13: kibi is 1024, kilo is 1000.
_BYTES = {
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)},
}

Size = int | str
"""Bytes, or a size as it is written: `"2GiB"`."""


def size_of(value: Size, what: str) -> int:
    """`value` in bytes. Raises ValueError with `what` in its sentence."""
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        return int(Decimal(match[1]) * _BYTES[(match[2] or "B").lower()])
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f'{what}={value!r} is no size: give a number of bytes, or one like "512MiB" or "2GB"')


def written(size: int) -> str:
    """`size` for a reader: "1.5 GiB"."""
    amount, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
