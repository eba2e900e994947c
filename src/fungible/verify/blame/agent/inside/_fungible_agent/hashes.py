"""What `hash` gives for text, which another hash seed changes: which lines ask, and the same for all if wanted.

A number that `hash` made and that outlives the process (a key in a store, an ETag) is another one elsewhere. What the
C side hashes for itself, as sets and dicts do, is not seen.
"""

from __future__ import annotations

import builtins
import hashlib
import sys
from typing import Any

from . import places

_MOST = 200
_hash = builtins.hash
_shared: set[str] | None = set()
"""The keys of the lines that get the same everywhere; None: all."""
_lines: dict[str, dict[str, Any]] = {}


def begin(shared: list[str] | None) -> None:
    """From now on, note who asks, and give the lines of `shared` (None: all) what no seed changes."""
    global _shared
    _shared = None if shared is None else set(shared)
    builtins.hash = asked
    asked.__name__ = asked.__qualname__ = "hash"


def told() -> list[dict[str, Any]]:
    """The lines that asked up to now, in their order."""
    return [
        {"key": key, "written_at": site["written"], "called_from": site["called"], "name": None}
        for key, site in _lines.items()
    ]


def asked(value: Any) -> int:
    """`builtins.hash`."""
    if not _is_seeded(value, 4):
        return _hash(value)
    written, called, _ = places.of_frame(sys._getframe(1))
    if written is None:
        return _hash(value)
    key = places.key_of(written, called)
    if key not in _lines and len(_lines) < _MOST:
        _lines[key] = {"written": written, "called": called}
    return _hash(value) if _shared is not None and key not in _shared else _unseeded(value)


def _is_seeded(value: Any, depth: int) -> bool:
    kind = type(value)
    if kind is str or kind is bytes:
        return True
    return kind in (tuple, frozenset) and depth > 0 and any(_is_seeded(each, depth - 1) for each in value)


def _unseeded(value: Any) -> int:
    kind = type(value)
    if kind is str or kind is bytes:
        text = value.encode("utf-8", "surrogatepass") if kind is str else value
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True)
    if kind is tuple or kind is frozenset:
        return _hash(kind(_unseeded(each) for each in value))
    return _hash(value)
