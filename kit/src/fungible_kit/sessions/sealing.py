"""Values that the store, its dumps and its operators cannot read: AES-256-GCM under keys of the app's own."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from fungible_kit.sessions.codec import Codec, JsonCodec
from fungible_kit.sessions.errors import Misconfigured, SessionError

_SEALED = b"\x01"  # no JSON begins with it
_NONCE = 12  # bytes: 96 bits, NIST SP 800-38D section 8.2.2, random for each encryption


class Sealed:
    """A codec that encrypts the values under `names` and leaves the others to `inner`.

    `keys`: key id -> 32 bytes, the first one seals, all of them open; to rotate, put a new one in front and drop the
    old one after the absolute limit. The name is bound to the value; the session is not, because a rotated session
    keeps its values. A value that should be sealed and is not is refused, never read.

    Needs the package `cryptography` (`pip install 'fungible-kit[seal]'`).
    """

    def __init__(self, keys: Mapping[str, bytes], names: Collection[str], inner: Codec | None = None) -> None:
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError:
            raise Misconfigured("sealed session values need: pip install 'fungible-kit[seal]'") from None
        if not keys:
            raise Misconfigured("Sealed(keys={}) has no key; give one of 32 random bytes: os.urandom(32)")
        for id, key in keys.items():
            if len(key) != 32 or not id.isalnum() or not id.isascii() or len(id) > 32:
                raise Misconfigured(f"the key {id[:8]!r} must have a short name of letters and digits, and 32 bytes")
        self._keys = {id: AESGCM(key) for id, key in keys.items()}
        self._first = next(iter(keys))
        self._names = frozenset(names)
        self._inner: Codec = inner or JsonCodec()
        self._invalid = InvalidTag

    def encode(self, name: str, value: Any) -> bytes:
        data = self._inner.encode(name, value)
        if name not in self._names:
            return data
        nonce = os.urandom(_NONCE)
        sealed = self._keys[self._first].encrypt(nonce, data, name.encode())
        return _SEALED + self._first.encode() + b"." + nonce + sealed

    def decode(self, name: str, data: bytes) -> Any:
        return self._inner.decode(name, self._opened(name, data))

    def changed(self, name: str, before: bytes, value: Any) -> bool:
        return self._inner.changed(name, self._opened(name, before), value)

    def mark(self, name: str, value: Any, data: bytes) -> object:
        return self._inner.mark(name, value, self._opened(name, data))

    def same(self, name: str, value: Any, mark: object) -> bool:
        return self._inner.same(name, value, mark)

    def _opened(self, name: str, data: bytes) -> bytes:
        if name not in self._names:
            return data
        id, separator, rest = data[1:].partition(b".")
        key = self._keys.get(id.decode("ascii", "replace"))
        if data[:1] != _SEALED or not separator or key is None:
            raise SessionError(f"session[{name!r}] is not sealed by any key given; it is not read")
        try:
            return key.decrypt(rest[:_NONCE], rest[_NONCE:], name.encode())
        except self._invalid:
            raise SessionError(f"session[{name!r}] was changed since it was sealed; it is not read") from None
