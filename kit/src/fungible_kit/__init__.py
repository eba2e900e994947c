"""State elsewhere: what a stateless app imports. Nothing is loaded before it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES: dict[str, str] = {
    "Cookie": "fungible_kit.sessions",
    "Session": "fungible_kit.sessions",
    "Sessions": "fungible_kit.sessions",
}
"""Public name -> the module that defines it."""

__all__: list[str] = []


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
