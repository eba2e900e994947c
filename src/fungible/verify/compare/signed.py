"""What is readable in signed values: JSON Web Tokens (RFC 7519), itsdangerous and Django signatures.

All of them carry the second in which they were made, so that two of them are equal, or not, by luck: their
payload is compared, their time and signature are not. Nothing is verified here: that a signature is still
good shows when the app accepts it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib

from fungible.verify.compare.trees import Leaf, Map, Node, node_of

_TIMED = frozenset({"iat", "exp", "nbf", "jti", "auth_time"})
_SIGNED = re.compile(r"(\.?)(.+?)(?:\.([A-Za-z0-9_-]{6})\.|:([A-Za-z0-9]{6}):)([A-Za-z0-9_-]{27,86})", re.DOTALL)
_EPOCH_BYTES = re.compile(rb"(?<!\d)1[4-9]\d{8}(?!\d)")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_EARLIEST, _LATEST = 1_400_000_000, 2_300_000_000
_LARGEST = 1 << 18


def is_signed(text: str) -> bool:
    """Whether a value is signed together with the time of signing."""
    match = _SIGNED.fullmatch(text)
    if match is not None:
        if match[3]:
            seconds = int.from_bytes(_decode(match[3]) or b"", "big")
        else:
            seconds = 0
            for char in match[4]:
                seconds = seconds * 62 + _DIGITS.index(char)
        return _EARLIEST <= seconds <= _LATEST
    # Others (Pyramid's, for one) put everything into one base64 word.
    raw = _decode(text) if 24 <= len(text) <= 8192 else None
    return raw is not None and _EPOCH_BYTES.search(raw) is not None


def payload(text: str) -> Node | None:
    """What a signed value says, without its times; None where it cannot be read."""
    if text.startswith("eyJ") and ".eyJ" in text and text.count(".") == 2:
        head, body, _ = text.split(".")
        said, kind = _json(_decode(body)), _json(_decode(head))
        if isinstance(said, Map) and isinstance(kind, Map):
            return Map({"head": kind, "claims": Map({k: v for k, v in said.fields.items() if k not in _TIMED})})
        return None
    match = _SIGNED.fullmatch(text)
    if match is None:
        return None
    raw = _decode(match[2])
    if raw is not None and match[1]:
        try:
            raw = zlib.decompressobj().decompress(raw, _LARGEST)
        except zlib.error:
            raw = None
    said = _json(raw)
    return said if said is not None else (None if match[1] else Leaf("str", match[2]))


def _decode(text: str) -> bytes | None:
    try:
        padded = text.replace("+", "-").replace("/", "_").rstrip("=")
        return base64.b64decode(padded + "=" * (-len(padded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None


def _json(raw: bytes | None) -> Node | None:
    if raw is None:
        return None
    try:
        return node_of(json.loads(raw))
    except (ValueError, RecursionError):
        return None
