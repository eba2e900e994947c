"""What a token looks like: `acme_login_<43 base62 digits of 256 random bits><6 base62 digits of a CRC32>`. Pure.

The prefix tells a secret scanner whose it is, the checksum tells a typing error or junk from a token without asking
a store (the format is that of GitHub's tokens of 2021). Stored is the SHA-256 of the whole text: 256 random bits
need no salt and no slow hash, nobody can try them all.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Sequence

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_BYTES = 32
_RANDOM_DIGITS = 43  # 62**43 > 2**256
_CHECK_DIGITS = 6  # 62**6 > 2**32
_WORD = re.compile(r"[a-z][a-z0-9]{0,19}")


def mint(prefix: str, kind: str, random: bytes) -> str:
    """The secret made of 32 random bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a secret is made of {RANDOM_BYTES} random bytes, not of {len(random)}")
    body = f"{prefix}_{kind}_{base62(int.from_bytes(random), _RANDOM_DIGITS)}"
    return body + _checksum(body)


def kind_of(secret: str, prefix: str, kinds: Sequence[str]) -> str | None:
    """The kind that a well-formed secret names, None for anything else. Asks nobody."""
    start, _, rest = secret.partition("_")
    kind, _, digits = rest.partition("_")
    if start != prefix or kind not in kinds or len(digits) != _RANDOM_DIGITS + _CHECK_DIGITS or not secret.isascii():
        return None
    body, check = secret[:-_CHECK_DIGITS], secret[-_CHECK_DIGITS:]
    return kind if digits.isalnum() and check == _checksum(body) else None


def digest(secret: str) -> bytes:
    """The 32 bytes under which a secret is stored and looked up.

    A look-up by digest is no comparison of secrets: what its time tells is about the hash of a guess.
    """
    return hashlib.sha256(secret.encode()).digest()


def pattern(prefix: str, kinds: Sequence[str] = ()) -> str:
    """The regular expression by which secret scanners find these tokens; any kind, where none is named."""
    words = "|".join(kinds)
    kind = f"(?:{words})" if kinds else _WORD.pattern
    return rf"\b{prefix}_{kind}_[0-9A-Za-z]{{{_RANDOM_DIGITS + _CHECK_DIGITS}}}\b"


def check_word(what: str, word: str) -> str:
    """`word`, if it can be a prefix or a kind; raises ValueError."""
    if not isinstance(word, str) or not _WORD.fullmatch(word):
        raise ValueError(f"{what} {word!r}: 1 to 20 lower-case letters and digits, a letter first")
    return word


def base62(number: int, width: int) -> str:
    """A number in base 62, zeros before it."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(DIGITS[digit])
    return "".join(reversed(digits))


def _checksum(body: str) -> str:
    return base62(zlib.crc32(body.encode()), _CHECK_DIGITS)
