"""How messages quote what a user wrote: bounded, on one line, with the nearest known word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

_LONGEST = 60
_URL_PASSWORD = re.compile(r"(://[^\s/?#@:]*:)[^\s/?#]+(?=@)")


def shown(value: object) -> str:
    """`value` as a message shows it: text in double quotes, escaped, cut, without the passwords of
    URLs; tables and lists by kind."""
    if isinstance(value, str):
        kept = _URL_PASSWORD.sub(r"\1***", value[: 8 * _LONGEST])[:_LONGEST]
        text = "".join(c if c.isprintable() and c != '"' else _escaped(c) for c in kept)
        return f'"{text}{"…" if len(value) > _LONGEST else ""}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int) and abs(value) >= 10**18:
        return "a number that is too large"
    if isinstance(value, int | float):
        return repr(value)
    return f"a {type(value).__name__}"


def plain(value: object) -> str:
    """`value` for a place of its own in a message, such as a path: escaped as `shown` does, without quotes
    and whole."""
    return "".join(c if c.isprintable() else _escaped(c) for c in str(value))


def counted(number: int, one: str) -> str:
    """`1 page`, `2 pages`."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def few(names: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 2 more`, each as `plain` has it."""
    first = ", ".join(plain(name) for name in names[:most])
    return f"{first} and {len(names) - most} more" if len(names) > most else first


def nearest(word: str, known: Iterable[str]) -> str:
    """` Did you mean "…"?` with the nearest of `known` (leading space included), or nothing."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    # Ratio matching is quadratic: a word longer than any key is no misspelling of one.
    found = difflib.get_close_matches(word[:100].casefold(), by_folded, n=1, cutoff=0.6)
    return f" Did you mean {shown(by_folded[found[0]])}?" if found else ""


def listed(words: Iterable[str]) -> str:
    """`"a", "b" or "c"`."""
    quoted = [shown(word) for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}" if quoted else "nothing"


def _escaped(character: str) -> str:
    return '\\"' if character == '"' else character.encode("unicode_escape").decode("ascii")
