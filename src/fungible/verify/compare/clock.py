"""What follows the clock although all warm runs agree on it: dates within a run, ages, headers that count down."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fungible.verify.compare.lexemes import Token, instant, may_be_volatile, tokens
from fungible.verify.compare.signed import is_signed, payload
from fungible.verify.compare.trees import Leaf, Map, Node, scalars

Window = tuple[float, float]
"""First and last second of a run, since 1970."""

_NEAR = 14 * 3600 + 60
_FAR = 400 * 86400
_TIME = re.compile(r"\d{1,2}:(\d\d):(\d\d)(?:\.\d+)?(?: ?[aApP]\.?[mM]\.?)?")
_MOVED = frozenset({"retry-after", "x-ratelimit-reset", "x-rate-limit-reset", "ratelimit-reset"})


def counts_down(path: str) -> bool:
    """Whether a place is a header that counts down: its presence is compared, its number is not."""
    return path.removeprefix("header ") in _MOVED


class Clock:
    """Knows when the warm runs ran."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self._windows = windows

    def follows(self, leaf: Leaf) -> bool:
        """Whether a value follows the clock."""
        if leaf.kind in ("int", "float"):
            return self._near(leaf.text)
        return (
            leaf.kind == "str"
            and may_be_volatile(leaf.text)
            and any(self.volatile(token, "") for token in tokens(leaf.text))
        )

    def below(self, node: Node, path: str) -> bool:
        """Whether something below follows the clock although all runs agree on it."""
        return self._has_countdown(node, path) or any(self.follows(leaf) for leaf in scalars(node))

    def _has_countdown(self, node: Node, path: str) -> bool:
        if isinstance(node, Leaf):
            return counts_down(path) and node.text.isdigit()
        headers = node.fields.get("header") if path == "" and isinstance(node, Map) else node
        return isinstance(headers, Map) and headers.what == "headers" and any(n in headers.fields for n in _MOVED)

    def volatile(self, token: Token, path: str) -> bool:
        """Whether a token follows the clock although all runs agree on it."""
        if counts_down(path):
            return token.text.isdigit() or token.kind == "clock"
        if token.kind == "age":
            return "min" not in token.text or "ago" in token.text
        if token.kind == "jwt":
            return payload(token.text) is not None
        if token.kind == "signed":
            return is_signed(token.text)
        return token.kind in ("clock", "word", "number") and self._near(token.text)

    def _near_time(self, text: str) -> bool:
        """Whether a time of day, to the second, lies within one of the runs, in some time zone."""
        time = _TIME.fullmatch(text)
        if time is None:
            return False
        seconds = int(time[1]) * 60 + int(time[2])
        return any((seconds - start + 5) % 900 <= end - start + 10 for start, end in self._windows)

    def _near(self, text: str) -> bool:
        """Whether a date lies within one of the runs, in some time zone or some days off (an expiry)."""
        if not self._windows or len(text) < 8:
            return False
        when = instant(text)
        if when is None:
            return self._near_time(text)
        if when[1] > 60:
            return False
        slack = 5 + when[1]
        for start, end in self._windows:
            off = when[0] - (start + end) / 2
            shift = round(off / 900) * 900 if abs(off) <= _NEAR else round(off / 86400) * 86400
            if abs(off) <= _FAR and start - slack <= when[0] - shift <= end + slack:
                return True
        return False
