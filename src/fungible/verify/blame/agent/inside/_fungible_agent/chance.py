"""Randomness that a process draws while it boots: which lines draw it, and the same for every process if wanted.

A value that is made by chance at boot (a signing key, an instance's id) sets two processes apart. When the draws of
one line are the same in both, and the difference is gone, that line made it; whatever the app derived from the value
since, in C too. Draws of the C side itself (OpenSSL, NumPy) are not seen.
"""

from __future__ import annotations

import hashlib
import os
import sys
from typing import Any

from . import places, source

_FUNCTIONS = (
    "random", "uniform", "randint", "randrange", "choice", "choices", "sample", "shuffle", "getrandbits", "randbytes",
)  # fmt: skip
_MOST = 200

_urandom = os.urandom
_booting = False
_seed = b""
_shared: set[str] | None = set()
"""The keys of the lines whose draws are the same everywhere; None: of all."""
_drawn: dict[str, dict[str, Any]] = {}
_counts: dict[str, int] = {}


def begin(seed: str, shared: list[str] | None) -> None:
    """From now to `end`, note who draws, and give the lines of `shared` (None: all) what `seed` gives everybody."""
    global _booting, _seed, _shared
    _booting, _seed, _shared = True, seed.encode(), None if shared is None else set(shared)
    os.urandom = urandom
    import random

    random._urandom = urandom  # type: ignore[attr-defined]  # SystemRandom, and by it `secrets`
    for name in _FUNCTIONS:
        if hasattr(random, name):
            setattr(random, name, _drawing(name, getattr(random, name), random.Random))


def end() -> list[dict[str, Any]]:
    """The process has booted: what is drawn from now on is its own. Returns the lines that drew, in their order."""
    global _booting
    _booting = False
    found = []
    for key, site in _drawn.items():
        name = source.made_by(*(site["called"] or site["written"]))
        found.append({"key": key, "written_at": site["written"], "called_from": site["called"], "name": name})
    return found


def urandom(size: int) -> bytes:
    """`os.urandom`."""
    seed = _draw() if _booting else None
    return _urandom(size) if seed is None else hashlib.shake_256(seed).digest(size)


def _drawing(name: str, own: Any, generator: Any) -> Any:
    def drawing(*arguments: Any, **named: Any) -> Any:
        seed = _draw() if _booting else None
        if seed is None:
            return own(*arguments, **named)
        return getattr(generator(seed), name)(*arguments, **named)

    drawing.__name__ = drawing.__qualname__ = name
    return drawing


def _draw() -> bytes | None:
    """Note a draw; the seed for it, if it is to be the same everywhere."""
    written, called, _ = places.of_frame(sys._getframe(2))
    if written is None:
        return None
    key = places.key_of(written, called)
    if key not in _drawn:
        if len(_drawn) >= _MOST:
            return None
        _drawn[key] = {"written": written, "called": called}
    if _shared is not None and key not in _shared:
        return None
    _counts[key] = _counts.get(key, 0) + 1
    return b"%b %b %d" % (_seed, key.encode(), _counts[key])
