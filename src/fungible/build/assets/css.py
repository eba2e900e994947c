"""References in style sheets, found by the syntax of CSS (CSS Syntax Module Level 3): a comment is a comment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import tinycss2

_URL = re.compile(r"url\(\s*((?:[^)\\]|\\.)*?)\s*\)", re.IGNORECASE | re.DOTALL)
_IMAGES = frozenset({"url", "src", "image-set", "-webkit-image-set", "image"})
_MAP = re.compile(r"sourceMappingURL=([^\s*'\"]+)")


@dataclass(frozen=True)
class Reference:
    """What a file refers to: `url` as it is meant, in `text[start:end]`; `line` counts from 1."""

    url: str
    line: int
    start: int
    end: int
    quoted: bool = False


def css_references(text: str) -> tuple[Reference, ...]:
    """The URLs that a style sheet refers to, `@import` and its source map included, in their order.

    `text` has `\\n` between lines (see `normalised`).
    """
    if "url(" not in text.lower() and "@import" not in text.lower() and "image" not in text and "src(" not in text:
        found: list[Reference] = []
    else:
        starts = _line_starts(text)
        tokens = tinycss2.parse_component_value_list(text)
        found = list(_walk(tokens, text, starts, strings=False))
    for match in _MAP.finditer(text):
        if "/*" in text[max(0, match.start() - 6) : match.start()]:
            found.append(Reference(match[1], text.count("\n", 0, match.start()) + 1, match.start(1), match.end(1)))
    return tuple(sorted(found, key=lambda reference: reference.start))


def normalised(text: str) -> str:
    """`text` with the line ends that CSS knows as one character (CSS Syntax 3, 3.3)."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")


def rewrite(text: str, references: Iterable[Reference], name: Callable[[Reference], str | None]) -> str:
    """`text` with each reference replaced by what `name` gives for it, None for as it is."""
    parts: list[str] = []
    at = 0
    for reference in references:
        new = name(reference)
        if new is None:
            continue
        parts += [text[at : reference.start], new]
        at = reference.end
    return "".join([*parts, text[at:]])


def _walk(tokens: Iterable[Any], text: str, starts: list[int], *, strings: bool) -> Iterator[Reference]:
    imports = namespace = False
    for token in tokens:
        kind = token.type
        if kind in ("whitespace", "comment"):
            continue
        if kind == "at-keyword":
            imports, namespace = token.lower_value == "import", token.lower_value == "namespace"
            continue
        at = starts[token.source_line - 1] + token.source_column - 1
        if kind == "url" and not namespace:
            match = _URL.match(text, at)
            if match is not None:
                yield Reference(token.value, token.source_line, match.start(1), match.end(1))
        elif kind == "string" and (strings or imports):
            yield from _string(token, text, at)
        elif kind == "function" and not namespace:
            yield from _walk(token.arguments, text, starts, strings=token.lower_name in _IMAGES)
        elif kind in ("{} block", "() block", "[] block"):
            yield from _walk(token.content, text, starts, strings=False)
        if kind not in ("function", "string", "url") or imports:
            imports = False
        if kind == "literal" and token.value == ";":
            namespace = False


def _string(token: Any, text: str, at: int) -> Iterator[Reference]:
    quote = text[at : at + 1]
    if quote not in ("'", '"'):
        return
    end = at + 1
    while end < len(text) and text[end] != quote:
        end += 2 if text[end] == "\\" else 1
    yield Reference(token.value, token.source_line, at + 1, end, quoted=True)


def _line_starts(text: str) -> list[int]:
    starts = [0]
    at = text.find("\n")
    while at >= 0:
        starts.append(at + 1)
        at = text.find("\n", at + 1)
    return starts
