"""Configurations of one directive a line (HAProxy, Apache, Caddy): words with quotes, `\\` and comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_WORD = re.compile(
    r"""(?P<space>\s+)|(?P<comment>\#.*)|(?P<word>(?:"(?:[^"\\]|\\.)*"|'[^']*'|\\.|[^\s"'\\])+)|(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_LONGEST = 10_000


@dataclass(frozen=True)
class Line:
    """The words of a line, without quotes around them. `line` and `column` are of the first word and count from 1."""

    words: tuple[str, ...]
    line: int
    column: int


def lines(text: str, *, joined: bool = False) -> Iterator[Line]:
    """The lines that say something; `joined`: a `\\` at the end goes on in the next one. Long ones are cut."""
    held, first = "", 0
    for number, line in enumerate(text.split("\n"), start=1):
        first = first or number
        held += line[:_LONGEST]
        if joined and held.endswith("\\") and len(held) < _LONGEST:
            held = held[:-1] + " "
            continue
        if (said := _said(held, first)) is not None:
            yield said
        held, first = "", 0
    if held and (said := _said(held, first)) is not None:
        yield said


def _said(text: str, number: int) -> Line | None:
    words, column = [], 0
    for match in _WORD.finditer(text):
        if match.lastgroup == "comment":
            break
        if match.lastgroup == "space":
            continue
        column = column or match.start() + 1
        word = match[0]
        quoted = len(word) > 1 and word[0] == word[-1] and word[0] in "\"'"
        words.append(word[1:-1] if quoted else word)
    return Line(tuple(words), number, column) if words else None
