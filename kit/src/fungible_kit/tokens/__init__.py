"""Tokens of an app, kept where every process finds them; signed ones between services; passwords."""

from __future__ import annotations

from fungible_kit.tokens.answers import Answer
from fungible_kit.tokens.errors import (
    Expired,
    Invalid,
    Missing,
    MissingScope,
    Reused,
    Revoked,
    StoreUnavailable,
    TokenError,
)
from fungible_kit.tokens.passwords import Busy, Checked, Passwords
from fungible_kit.tokens.record import Grant, Issued, Login
from fungible_kit.tokens.signed import SignedGrant, SignedTokens, new_keys
from fungible_kit.tokens.store import Store
from fungible_kit.tokens.tokens import Tokens

__all__ = [
    "Answer",
    "Busy",
    "Checked",
    "Expired",
    "Grant",
    "Invalid",
    "Issued",
    "Login",
    "Missing",
    "MissingScope",
    "Passwords",
    "Reused",
    "Revoked",
    "SignedGrant",
    "SignedTokens",
    "Store",
    "StoreUnavailable",
    "TokenError",
    "Tokens",
    "new_keys",
]
