"""State elsewhere: what a stateless app imports. Nothing is loaded before it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fungible_kit.tokens import Passwords, SignedTokens, Tokens

_HOMES: dict[str, str] = {
    "Passwords": "fungible_kit.tokens",
    "SignedTokens": "fungible_kit.tokens",
    "Tokens": "fungible_kit.tokens",
}
"""Public name -> the module that defines it."""

__all__ = [
    "Passwords",
    "SignedTokens",
    "Tokens",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
