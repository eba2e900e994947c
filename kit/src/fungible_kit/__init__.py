"""State elsewhere: what a stateless app imports. Nothing is loaded before it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fungible_kit.scratch_space.async_space import AsyncScratch as AsyncScratch
    from fungible_kit.scratch_space.errors import FetchError as FetchError
    from fungible_kit.scratch_space.errors import FetchRefused as FetchRefused
    from fungible_kit.scratch_space.errors import FetchStopped as FetchStopped
    from fungible_kit.scratch_space.errors import ScratchError as ScratchError
    from fungible_kit.scratch_space.errors import ScratchFull as ScratchFull
    from fungible_kit.scratch_space.errors import ScratchIsMemory as ScratchIsMemory
    from fungible_kit.scratch_space.errors import UnsafeArchive as UnsafeArchive
    from fungible_kit.scratch_space.space import Scratch as Scratch
    from fungible_kit.scratch_space.space import scratch as scratch
    from fungible_kit.tokens import Passwords as Passwords
    from fungible_kit.tokens import SignedTokens as SignedTokens
    from fungible_kit.tokens import Tokens as Tokens
    from fungible_kit.transactions.cache import transaction_cache as transaction_cache
    from fungible_kit.transactions.middleware import Transactions as Transactions
    from fungible_kit.transactions.scope import Leak as Leak
    from fungible_kit.transactions.scope import transaction as transaction

_HOMES: dict[str, str] = {
    "FetchError": "fungible_kit.scratch_space.errors",
    "FetchRefused": "fungible_kit.scratch_space.errors",
    "FetchStopped": "fungible_kit.scratch_space.errors",
    "ScratchError": "fungible_kit.scratch_space.errors",
    "ScratchFull": "fungible_kit.scratch_space.errors",
    "ScratchIsMemory": "fungible_kit.scratch_space.errors",
    "UnsafeArchive": "fungible_kit.scratch_space.errors",
    "AsyncScratch": "fungible_kit.scratch_space.async_space",
    "Scratch": "fungible_kit.scratch_space.space",
    "scratch": "fungible_kit.scratch_space.space",
    "transaction_cache": "fungible_kit.transactions.cache",
    "Transactions": "fungible_kit.transactions.middleware",
    "Leak": "fungible_kit.transactions.scope",
    "transaction": "fungible_kit.transactions.scope",
    "Passwords": "fungible_kit.tokens",
    "SignedTokens": "fungible_kit.tokens",
    "Tokens": "fungible_kit.tokens",
}
"""Public name -> the module that defines it."""

__all__ = [
    "AsyncScratch",
    "FetchError",
    "FetchRefused",
    "FetchStopped",
    "Leak",
    "Passwords",
    "Scratch",
    "ScratchError",
    "ScratchFull",
    "ScratchIsMemory",
    "SignedTokens",
    "Tokens",
    "Transactions",
    "UnsafeArchive",
    "scratch",
    "transaction",
    "transaction_cache",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
