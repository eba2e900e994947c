"""The configuration language of nginx: directives that end in `;` or have a block. Any text can be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_DEEPEST = 100
_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    |(?P<mark>[;{}])
    |"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'
    |(?P<word>(?:\\.|\$\{[^}\s]{0,200}\}|[^\s;{}\\"'])(?:\\.|\$\{[^}\s]{0,200}\}|[^\s;{}\\])*+)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Token:
    """A word or one of `;`, `{`, `}`; `quoted` words are never marks. `line` and `column` count from 1."""

    text: str
    line: int
    column: int
    quoted: bool = False


@dataclass(frozen=True)
class Directive:
    """`words[0]` is its name; `within` are the words of the blocks around it, outermost first."""

    words: tuple[str, ...]
    line: int
    column: int
    within: tuple[tuple[str, ...], ...]
    block: bool = False

    @property
    def name(self) -> str:
        """The first word."""
        return self.words[0]


def tokens(text: str) -> Iterator[Token]:
    """The words and marks of a text, without comments."""
    line, start = 1, 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind != "space":
            column = match.start() - start + 1
            quoted = kind in ("double", "single")
            yield Token(match[str(kind)] if quoted else match[0], line, column, quoted)
        if newlines := match[0].count("\n"):
            line += newlines
            start = match.start() + match[0].rindex("\n") + 1


def directives(text: str) -> Iterator[Directive]:
    """The directives in the order of their ends, those that open a block at its beginning."""
    around: list[tuple[str, ...]] = []
    words: list[Token] = []
    for token in tokens(text):
        if token.quoted or token.text not in (";", "{", "}"):
            words.append(token)
            continue
        if words and token.text != "}":
            first = words[0]
            said = tuple(each.text for each in words)
            yield Directive(said, first.line, first.column, tuple(around), token.text == "{")
        if token.text == "{":
            if len(around) >= _DEEPEST:
                return
            around.append(tuple(each.text for each in words) or ("",))
        elif token.text == "}" and around:
            around.pop()
        words = []
