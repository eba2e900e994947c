"""Ids of sessions: 256 random bits for the browser, their SHA-256 for the store and for logs."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets

KEY_PREFIX = "fs:"

_WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def new_id() -> str:
    """A fresh id: 32 random bytes as 43 characters of base64url (OWASP ASVS 5.0, 7.2.3 asks for 128 bits)."""
    return secrets.token_urlsafe(32)


def well_formed(id: str) -> bool:
    """Whether this could be an id of ours; nothing else is ever asked of a store."""
    return _WELL_FORMED.fullmatch(id) is not None


def key_of(id: str) -> str:
    """The store's key: the id itself is never kept, so that a dump of the store opens no session.

    A plain hash is enough for 256 random bits; Rack does the same since CVE-2019-16782.
    """
    return KEY_PREFIX + _hash(id)


def user_key(user: str) -> str:
    """The store's key of a user's index; hashed, for bounded length and no names in key listings."""
    return f"fu:{_hash(user)}"


def public_id(key: str) -> str:
    """Twelve hex digits of a store key, safe to log."""
    return base64.urlsafe_b64decode(key.removeprefix(KEY_PREFIX)[:8] + "=" * (-8 % 4)).hex()[:12]


def _hash(text: str) -> str:
    plain = binascii.b2a_base64(hashlib.sha256(text.encode()).digest(), newline=False)
    return plain.rstrip(b"=").translate(_URL_SAFE).decode()
