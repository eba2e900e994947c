"""YAML and JSON as nodes with their places.

Built from the parser's events, so that no value is constructed, no alias is copied and no nesting meets the stack.
Templates of Helm and Jinja are no YAML: their lines and marks are blanked first, and what they would have printed is
`TEMPLATE`. A document that cannot be read is passed over; the others of its file are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

TEMPLATE = "TEMPLATE"
"""What stands where a template would have printed something."""

_DEEPEST = 100
_MOST = 200_000
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SEPARATOR = re.compile(r"^---(?=\s|$).*$", re.MULTILINE)
_PRINTED = r"(?:\{\{(?:(?!\{\{|\}\}).)*+\}\}|\{%(?:(?!\{%|%\}).)*+%\})"
_MARK = re.compile(_PRINTED, re.DOTALL)
_MARK_LINE = re.compile(rf"^[ \t]*+(?:{_PRINTED}[ \t]*+)++$", re.MULTILINE)


@dataclass(frozen=True)
class Node:
    """A scalar (`text`), a list (`items`) or a mapping (`pairs`). `line` and `column` count from 1.

    `block` is a scalar that stands as it is under a `|`: its first line is the next one.
    """

    line: int
    column: int
    text: str | None = None
    items: tuple[Node, ...] = ()
    pairs: tuple[tuple[Node, Node], ...] = ()
    block: bool = False

    def get(self, *keys: str) -> Node | None:
        """The value under these keys, one in the other; None where one is missing."""
        node: Node | None = self
        for key in keys:
            node = next((value for name, value in node.pairs if name.text == key), None) if node else None
        return node

    def key(self, name: str) -> Node | None:
        """The key itself: the place of an entry."""
        return next((key for key, _ in self.pairs if key.text == name), None)

    def string(self, *keys: str) -> str:
        """The scalar under these keys, empty where there is none."""
        node = self.get(*keys)
        return node.text if node is not None and node.text is not None else ""

    def list(self, *keys: str) -> tuple[Node, ...]:
        """The list under these keys, empty where there is none."""
        node = self.get(*keys)
        return node.items if node is not None else ()

    def mappings(self) -> Iterator[tuple[tuple[str, ...], Node]]:
        """All mappings in this node, each once, with the keys that lead to it."""
        seen: set[int] = set()
        ahead: list[tuple[tuple[str, ...], Node]] = [((), self)]
        while ahead:
            way, node = ahead.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if node.pairs:
                yield way, node
            inner = [((*way, key.text or ""), value) for key, value in node.pairs] + [
                (way, each) for each in node.items
            ]
            ahead.extend(reversed(inner))


@dataclass
class _Open:
    """A list or mapping that is being read."""

    line: int
    column: int
    mapping: bool
    anchor: str | None
    parts: list[Node] = field(default_factory=list)

    def closed(self) -> Node:
        if self.mapping:
            return Node(self.line, self.column, pairs=tuple(zip(self.parts[::2], self.parts[1::2], strict=False)))
        return Node(self.line, self.column, items=tuple(self.parts))


def documents(text: str, *, json: bool = False) -> Iterator[Node]:
    """The documents of a file. Never raises: what is no YAML, too deep or too large is left out."""
    if json:
        # YAML has no tabs between values, and JSON has none within strings.
        yield from _read(text.replace("\t", " "), 0)
        return
    if "{{" in text or "{%" in text:
        text = _blanked(text)
    start = 0
    for match in (*_SEPARATOR.finditer(text), None):
        end = match.start() if match else len(text)
        part = text[start:end]
        if part.strip():
            yield from _read(part, text.count("\n", 0, start))
        start = match.end() if match else end


def _blanked(text: str) -> str:
    """The same lines, with template marks taken out or made a word."""
    text = _MARK_LINE.sub("", text)
    return _MARK.sub(lambda match: TEMPLATE + "\n" * match[0].count("\n"), text)


def _read(text: str, above: int) -> Iterator[Node]:
    try:
        root = _composed(text, above)
    except (yaml.YAMLError, ValueError, RecursionError):
        return
    if root is not None:
        yield root


def _composed(text: str, above: int) -> Node | None:
    """The first document of a text that stands below `above` lines."""
    stack: list[_Open] = []
    anchors: dict[str, Node] = {}
    for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        if count > _MOST or len(stack) > _DEEPEST:
            raise ValueError("too large")
        mark = event.start_mark
        line, column = (mark.line + 1 + above, mark.column + 1) if mark else (above + 1, 1)
        node: Node | None = None
        if isinstance(event, yaml.ScalarEvent):
            node = Node(line, column, event.value, block=event.style == "|")
            if event.anchor:
                anchors[event.anchor] = node
        elif isinstance(event, yaml.AliasEvent):
            node = anchors.get(event.anchor or "") or Node(line, column)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            stack.append(_Open(line, column, isinstance(event, yaml.MappingStartEvent), event.anchor))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            closed = stack.pop()
            node = _merged(closed.closed())
            if closed.anchor:
                anchors[closed.anchor] = node
        elif isinstance(event, yaml.DocumentEndEvent):
            return None
        if node is None:
            continue
        if not stack:
            return node
        stack[-1].parts.append(node)
    return None


def _merged(node: Node) -> Node:
    """A mapping with what `<<` brings in, its own entries first."""
    brought = [value for key, value in node.pairs if key.text == "<<"]
    if not brought:
        return node
    own = tuple(pair for pair in node.pairs if pair[0].text != "<<")
    for each in brought:
        own += tuple(pair for inner in (each, *each.items) for pair in inner.pairs)
    if len(own) > 1000:
        raise ValueError("too large")
    return Node(node.line, node.column, pairs=own)
