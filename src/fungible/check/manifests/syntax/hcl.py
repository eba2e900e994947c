"""HashiCorp's configuration language, as far as blocks and attributes go. Any text can be read.

An expression is kept as its text; an object is read as a block, so that `stickiness = { enabled = true }` and
`stickiness { enabled = true }` are the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_DEEPEST = 60
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|\#[^\n]*|//[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<newline>\n)
    |(?P<heredoc><<-?[ \t]*(?P<end>\w+)[^\n]*\n.*?(?:^[ \t]*(?P=end)[ \t]*$|\Z))
    |"(?P<string>(?:[^"\\\n$]|\\.|\$\{[^}\n]{0,500}\}|\$)*+)"
    |(?P<word>[\w.-]+)
    |(?P<mark>[{}\[\](),=:])
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Attribute:
    """`value` is a literal's text without quotes, else the expression."""

    name: str
    value: str
    line: int
    column: int


@dataclass(frozen=True)
class Block:
    """`labels[0]` is the type (`resource`), what follows its labels."""

    labels: tuple[str, ...]
    line: int
    column: int
    attributes: tuple[Attribute, ...]
    blocks: tuple[Block, ...]

    def attribute(self, name: str) -> Attribute | None:
        """Its own attribute of this name."""
        return next((each for each in self.attributes if each.name == name), None)

    def value(self, name: str) -> str:
        """The value of an attribute, empty where there is none."""
        found = self.attribute(name)
        return found.value if found else ""

    def named(self, name: str) -> Iterator[Block]:
        """Its own blocks of this type, `dynamic` ones by what they make."""
        for each in self.blocks:
            if each.labels[0] == name:
                yield each
            elif each.labels == ("dynamic", name):
                yield from (inner for inner in each.blocks if inner.labels[0] == "content")

    def everywhere(self) -> Iterator[Block]:
        """This block and all in it."""
        ahead = [self]
        while ahead:
            block = ahead.pop()
            yield block
            ahead.extend(reversed(block.blocks))


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int
    column: int


@dataclass
class _Open:
    """A block that is being read."""

    labels: tuple[str, ...]
    line: int
    column: int
    attributes: list[Attribute]
    blocks: list[Block]

    def closed(self) -> Block:
        return Block(self.labels, self.line, self.column, tuple(self.attributes), tuple(self.blocks))


def _tokens(text: str) -> Iterator[_Token]:
    line, start = 1, 0
    for match in _TOKEN.finditer(text):
        kind = str(match.lastgroup) if match["heredoc"] is None else "heredoc"
        if kind != "space":
            yield _Token(kind, match["string"] if kind == "string" else match[0], line, match.start() - start + 1)
        if newlines := match[0].count("\n"):
            line += newlines
            start = match.start() + match[0].rindex("\n") + 1


def blocks(text: str) -> tuple[Block, ...]:
    """The blocks at top level."""
    root = _Open(("",), 1, 1, [], [])
    stack = [root]
    words: list[_Token] = []
    named: _Token | None = None
    for token in _tokens(text):
        mark = token.text if token.kind == "mark" else ""
        if mark == "{" and len(stack) < _DEEPEST:
            first = named or (words[0] if words else token)
            labels = (named.text,) if named else tuple(each.text for each in words) or ("",)
            stack.append(_Open(labels, first.line, first.column, [], []))
            named, words = None, []
        elif mark == "}":
            _ended(stack[-1], named, words)
            if len(stack) > 1:
                closed = stack.pop().closed()
                stack[-1].blocks.append(closed)
            named, words = None, []
        elif mark in ("=", ":") and named is None and len(words) == 1:
            named, words = words[0], []
        elif (mark == "," or token.kind == "newline") and (named is None or words):
            _ended(stack[-1], named, words)
            named, words = None, []
        elif token.kind != "newline":
            words.append(token)
    while len(stack) > 1:
        closed = stack.pop().closed()
        stack[-1].blocks.append(closed)
    return tuple(root.blocks)


def _ended(block: _Open, named: _Token | None, words: list[_Token]) -> None:
    if named is not None and words:
        value = "".join(each.text for each in words)
        block.attributes.append(Attribute(named.text, value, named.line, named.column))
