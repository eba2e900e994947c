"""Strings against what is known of them: constant parts with slots between, or the same words in another order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fungible.verify.compare.lexemes import tokens
from fungible.verify.compare.patterns import Slot

_MOST_ATTEMPTS = 4000


def fit(parts: Sequence[str | Slot], text: str) -> list[str] | None:
    """What stands in the slots, if the constant parts are there and every slot holds its type."""
    found: list[str] = []
    choices: list[tuple[int, int, int, int]] = []
    index = at = 0
    start = -1
    attempts = 0
    while True:
        failed = False
        if index == len(parts):
            if at == len(text):
                return found
            failed = True
        else:
            part = parts[index]
            if isinstance(part, str):
                if text.startswith(part, at):
                    index, at = index + 1, at + len(part)
                else:
                    failed = True
            else:
                attempts += 1
                if index + 1 == len(parts):
                    end = len(text) if start <= len(text) else -1
                else:
                    after = parts[index + 1]
                    low = max(start, at + part.type.low)
                    # Two slots never touch: what varies side by side is one slot.
                    end = text.find(after, low) if isinstance(after, str) else -1
                if end < 0 or attempts > _MOST_ATTEMPTS or end - at > part.type.high:
                    failed = True
                else:
                    if index + 1 < len(parts):
                        choices.append((index, at, end + 1, len(found)))
                    if part.type.admits(text[at:end]):
                        found.append(text[at:end])
                        index, at, start = index + 1, end, -1
                    else:
                        failed = True
        if failed:
            if not choices or attempts > _MOST_ATTEMPTS:
                return None
            index, at, start, kept = choices.pop()
            del found[kept:]


def permuted(expected: str, got: str) -> bool:
    """Whether two strings are the same words in another order."""
    if expected == got or len(expected) > 1 << 16 or abs(len(expected) - len(got)) > 8:
        return False
    one, two = (Counter(t.text for t in tokens(text) if t.kind != "space") for text in (expected, got))
    return one == two and sum(one.values()) > 1
