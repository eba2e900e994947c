"""State elsewhere: what a stateless app imports. Nothing is loaded before it is asked for."""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as of `typing`, which takes ten times as long to import as the rest
if TYPE_CHECKING:
    from typing import Any

    from fungible_kit.assets import asset as asset
    from fungible_kit.assets import asset_tags as asset_tags
    from fungible_kit.revocation import NotAllRevoked as NotAllRevoked
    from fungible_kit.revocation import Revoked as Revoked
    from fungible_kit.revocation import arevoke_everything as arevoke_everything
    from fungible_kit.revocation import revoke_everything as revoke_everything
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
    from fungible_kit.sessions import Cookie as Cookie
    from fungible_kit.sessions import Session as Session
    from fungible_kit.sessions import Sessions as Sessions
    from fungible_kit.tokens import Passwords as Passwords
    from fungible_kit.tokens import SignedTokens as SignedTokens
    from fungible_kit.tokens import Tokens as Tokens
    from fungible_kit.transactions.cache import transaction_cache as transaction_cache
    from fungible_kit.transactions.middleware import Transactions as Transactions
    from fungible_kit.transactions.scope import Leak as Leak
    from fungible_kit.transactions.scope import transaction as transaction

_NAMES: dict[str, tuple[str, ...]] = {
    "assets": ("asset", "asset_tags"),
    "revocation": ("NotAllRevoked", "Revoked", "arevoke_everything", "revoke_everything"),
    "scratch_space.async_space": ("AsyncScratch",),
    "scratch_space.errors": (
        "FetchError",
        "FetchRefused",
        "FetchStopped",
        "ScratchError",
        "ScratchFull",
        "ScratchIsMemory",
        "UnsafeArchive",
    ),
    "scratch_space.space": ("Scratch", "scratch"),
    "sessions": ("Cookie", "Session", "Sessions"),
    "tokens": ("Passwords", "SignedTokens", "Tokens"),
    "transactions.cache": ("transaction_cache",),
    "transactions.middleware": ("Transactions",),
    "transactions.scope": ("Leak", "transaction"),
}
"""Module of this package -> the public names that it defines."""

_HOMES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
