"""A body as a tree, by its media type: JSON by path, HTML and XML by element, text by line, the rest by digest.

Work is bounded: beyond the limits below a body, or what is left of it, is compared by digest.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from html.parser import HTMLParser

from fungible.verify.compare.trees import Leaf, Map, Node, Seq, node_of, number

LARGEST_STRUCTURE = 1 << 20
LARGEST_LINE = 1 << 15
MOST_LINES = 4000
MOST_NODES = 40_000
DEEPEST = 120
_PIECE = 8192
_LONGEST_REMEMBERED = 1 << 14
_MOST_UNCLOSED = 200
MASK = "<M>"
HIDDEN = "\ue000"
"""What stands where a mask matched, once all masks were applied: no parser takes it for syntax."""

_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
_PAIR = re.compile(r'"((?:[^"\\]|\\.)*)"\s*:', re.DOTALL)
_MARKUP = re.compile(rb"\s*(?:<\?xml|<!doctype|<html|<[a-z][\w:-]*[\s>/])", re.IGNORECASE)


def body_of(body: bytes, content_type: str = "", encoding: str = "", masks: Sequence[re.Pattern[str]] = ()) -> Node:
    """The tree of a body. `masks` are replaced before it is read; a type that lies is found out and ignored."""
    body = _inflated(body, encoding.strip().lower())
    if not body:
        return Leaf("str", "")
    kind = content_type.split(";")[0].strip().lower()
    text = _text(body, kind, content_type)
    if text is None:
        return _digest(body)
    if len(text) <= LARGEST_STRUCTURE:
        first = text.lstrip()[:1]
        if "json" in kind or first in ("{", "["):
            tree = _read(_json, _masked(text, masks, data=True))
            if tree is not None:
                return tree
        if kind.endswith(("html", "xml")) or (not kind and _MARKUP.match(body)):
            tree = _read(_document, _masked(text, masks))
            if tree is not None:
                return tree
        text = _masked(text, masks)
    return _lines(text)


def _read(parse: Callable[[str], Node | None], text: str) -> Node | None:
    """What a parser makes of a text. Worlds mostly answer alike: what was read lately is not read again."""
    return _remembered(parse, text) if len(text) <= _LONGEST_REMEMBERED else parse(text)


@lru_cache(256)
def _remembered(parse: Callable[[str], Node | None], text: str) -> Node | None:
    return parse(text)


def masked(text: str, masks: Sequence[re.Pattern[str]]) -> str:
    """A string with everything that the masks match hidden; masks run in order and see what earlier ones left."""
    return _masked(text, masks)


def _masked(text: str, masks: Sequence[re.Pattern[str]], data: bool = False) -> str:
    def hide(match: re.Match[str]) -> str:
        found = match.group()
        if data:
            # Masks are written for text; in JSON what they leave has to stay JSON.
            pair = _PAIR.match(found)
            if pair and found[pair.end() :].strip():
                return f'{pair.group()} "{MASK}"'
            if pair is None and found[:1] == '"' and found[-1:] == '"' and len(found) > 1:
                return f'"{MASK}"'
            return MASK
        return MASK + '"' if found.count('"') % 2 else MASK

    for mask in masks:
        text = mask.sub(hide, text)
    if data:
        # A number that was hidden outside a string needs quotes.
        text = re.sub(rf"(?<=[:,\[\s]){MASK}(?=\s*[,\]}}])", f'"{MASK}"', text) if _json(text) is None else text
    return text.replace(MASK, HIDDEN)


def _inflated(body: bytes, encoding: str) -> bytes:
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return body
    try:
        return zlib.decompressobj(47 if encoding != "deflate" else 15).decompress(body, 16 << 20)
    except zlib.error:
        return body


def _text(body: bytes, kind: str, content_type: str) -> str | None:
    named = re.search(r"charset=[\"']?([\w-]+)", content_type, re.IGNORECASE)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        if not (kind.startswith("text/") or named):
            return None
        try:
            text = body.decode(named.group(1) if named else "latin-1")
        except (LookupError, UnicodeDecodeError):
            return None
    return None if "\0" in text else text


def _digest(body: bytes) -> Leaf:
    return Leaf("digest", f"{len(body)} bytes {hashlib.sha256(body).hexdigest()[:32]}")


def _lines(text: str) -> Node:
    lines = text.split("\n", MOST_LINES)
    rest = lines.pop() if len(lines) > MOST_LINES else None
    leaves: list[Node] = [
        Leaf("str", line) if len(line) <= LARGEST_LINE else _digest(line.encode("utf-8", "replace"))
        for line in (line.rstrip("\r") for line in lines)
    ]
    if rest is not None:
        leaves.append(_digest(rest.encode("utf-8", "replace")))
    return Seq(tuple(leaves), "lines") if len(leaves) > 1 else leaves[0]


def _json(text: str) -> Node | None:
    try:
        read = json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
    except (ValueError, RecursionError):
        return None
    count = 0

    def build(value: object, depth: int) -> Node:
        nonlocal count
        count += 1
        if count > MOST_NODES or depth > DEEPEST:
            raise _TooLargeError
        if isinstance(value, _Number):
            return number(value.text)
        if isinstance(value, dict):
            return Map({key: build(item, depth + 1) for key, item in value.items()})
        if isinstance(value, list):
            return Seq(tuple(build(item, depth + 1) for item in value))
        return node_of(value)

    try:
        return build(read, 0)
    except _TooLargeError:
        return _digest(json.dumps(read, sort_keys=True, default=lambda n: n.text).encode())


class _TooLargeError(Exception):
    pass


class _Number:
    """A number as it was written: 1.0 and 1 are not the same answer, and digits are not lost."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class _Tree(HTMLParser):
    """Builds elements; end tags that close nothing are dropped, elements left open end with their parent."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root: list[Node | _Open] = []
        self.open: list[_Open] = []
        self.count = 0
        self.data: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.end_data()
        element = _Open(tag, attrs)
        self.add(element)
        if tag not in _VOID and len(self.open) < DEEPEST:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.end_data()
        self.add(_Open(tag, attrs))

    def handle_endtag(self, tag: str) -> None:
        self.end_data()
        for index in range(len(self.open) - 1, -1, -1):
            if self.open[index].tag == tag:
                del self.open[index:]
                return

    def handle_data(self, data: str) -> None:
        """A text may come in pieces, cut where a piece of the document was: it is one text all the same."""
        self.data.append(data)

    def end_data(self) -> None:
        """Nothing more belongs to the text that was heard last."""
        data = "".join(self.data)
        self.data.clear()
        lines = [" ".join(line.split()) for line in data.split("\n")]
        for line in lines:
            if line:
                self.add(Leaf("str", line) if len(line) <= LARGEST_LINE else _digest(line.encode("utf-8", "replace")))

    def handle_comment(self, data: str) -> None:
        self.end_data()
        self.handle_data(f"<!--{data}-->")
        self.end_data()

    def handle_decl(self, decl: str) -> None:
        self.end_data()
        self.add(Leaf("str", f"<!{decl}>"))

    def add(self, item: Node | _Open) -> None:
        self.count += 1
        if self.count > MOST_NODES:
            raise _TooLargeError
        (self.open[-1].children if self.open else self.root).append(item)


class _Open:
    __slots__ = ("attrs", "children", "tag")

    def __init__(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tag = tag
        self.attrs = attrs
        self.children: list[Node | _Open] = []

    def closed(self) -> Map:
        fields: dict[str, Node] = {"tag": Leaf("tag", self.tag)}
        for name, value in self.attrs:
            # The order of class names means nothing (HTML, section 3.2.6), and hash order shows there first.
            text = " ".join(sorted((value or "").split())) if name == "class" else value or ""
            fields[f"@{name}"] = Leaf("str", text)
        fields["children"] = Seq(_closed(self.children), "nodes")
        return Map(fields, "element")


def _closed(items: Sequence[Node | _Open]) -> tuple[Node, ...]:
    return tuple(item.closed() if isinstance(item, _Open) else item for item in items)


def _document(text: str) -> Node | None:
    parser = _Tree()
    try:
        for start in range(0, len(text), _PIECE):
            parser.feed(text[start : start + _PIECE])
            # A tag that never ends costs the parser quadratic time; such a text is no document.
            waiting = "" if parser.cdata_elem or parser.rawdata.startswith("<!--") else parser.rawdata
            if waiting.count("<") > _MOST_UNCLOSED:
                return None
        parser.close()
        parser.end_data()
    except _TooLargeError:
        return None
    except (AssertionError, ValueError):
        return None
    return Seq(_closed(parser.root), "nodes")
