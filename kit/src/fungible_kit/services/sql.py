"""What SQLite and PostgreSQL have in common: a statement as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Statement:
    """Text with a `?` for each parameter, and no other question mark."""

    text: str
    parameters: tuple[Any, ...] = ()
