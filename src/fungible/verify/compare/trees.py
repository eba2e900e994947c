"""An answer or a store as a tree of values: what every comparison works on, whatever the media type was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value. `kind` is one of str, int, float, bool, null, tag, digest."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Seq:
    """Values in a row. `what`: list (JSON), lines (text), nodes (children of an element) or rows (of a store)."""

    items: tuple[Node, ...]
    what: str = "list"


@dataclass(frozen=True, slots=True)
class Map:
    """Values by name; the order of names never counts. `what` is one of object, element, headers."""

    fields: Mapping[str, Node]
    what: str = "object"


Node = Leaf | Seq | Map

NULL = Leaf("null", "null")


def number(text: str) -> Leaf:
    """A JSON number as it was written."""
    return Leaf("float" if any(c in text for c in ".eE") else "int", text)


def node_of(value: object) -> Node:
    """A JSON-ready Python value as a tree; anything else by its `str`."""
    if isinstance(value, Leaf | Seq | Map):
        return value
    if value is None:
        return NULL
    if isinstance(value, bool):
        return Leaf("bool", "true" if value else "false")
    if isinstance(value, int):
        return Leaf("int", str(value))
    if isinstance(value, float):
        return Leaf("float", repr(value))
    if isinstance(value, str):
        return Leaf("str", value)
    if isinstance(value, Mapping):
        return Map({str(key): node_of(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return Seq(tuple(node_of(item) for item in value))
    if isinstance(value, bytes | bytearray | memoryview):
        return Leaf("digest", f"{len(bytes(value))} bytes {hashlib.sha256(bytes(value)).hexdigest()[:32]}")
    return Leaf("str", str(value))


def plain(node: Node | None) -> Any:
    """The tree as a JSON-ready value, to be shown."""
    if node is None:
        return None
    if isinstance(node, Leaf):
        if node.kind == "null":
            return None
        if node.kind == "bool":
            return node.text == "true"
        if node.kind in ("int", "float"):
            try:
                return int(node.text) if node.kind == "int" and len(node.text) < 400 else float(node.text)
            except ValueError:
                return node.text
        return node.text.replace("\ue000", "<M>").replace("\ue001", "<host>")
    if isinstance(node, Seq):
        return [plain(item) for item in node.items]
    return {key: plain(item) for key, item in node.fields.items()}


def signature(node: Node) -> str:
    """A string that two trees share exactly when they are equal."""
    if isinstance(node, Leaf):
        return f"{node.kind}:{node.text!r}"
    if isinstance(node, Seq):
        return f"{node.what}[{','.join(signature(item) for item in node.items)}]"
    inside = ",".join(f"{key!r}:{signature(node.fields[key])}" for key in sorted(node.fields))
    return f"{node.what}{{{inside}}}"


def scalars(node: Node) -> Iterator[Leaf]:
    """Every leaf below a node."""
    stack = [node]
    while stack:
        top = stack.pop()
        if isinstance(top, Leaf):
            yield top
        elif isinstance(top, Seq):
            stack.extend(reversed(top.items))
        else:
            stack.extend(top.fields.values())


def tag(node: Node) -> str:
    """The tag of an element; empty for anything else."""
    found = node.fields.get("tag") if isinstance(node, Map) and node.what == "element" else None
    return found.text if isinstance(found, Leaf) else ""


def children(node: Node, place: str) -> Iterator[tuple[str, Node]]:
    """What stands directly below a node, each with its place."""
    if isinstance(node, Map):
        for key, item in node.fields.items():
            yield inside(place, node.what, key), item
    elif isinstance(node, Seq):
        for index, item in enumerate(node.items):
            yield inside(place, node.what, index, tag(item)), item


def inside(place: str, owner: str, key: str | int, label: str = "") -> str:
    """The place of a child: `body.items[2].id` in data, `body/html[0]/p[1]/@class` in a document."""
    if isinstance(key, int):
        return f"{place}/{label or 'text'}[{key}]" if owner == "nodes" else f"{place}[{key}]"
    if owner == "element":
        return place if key == "children" else f"{place}/{key}"
    if owner == "headers":
        return f"{place} {key}" if place else key
    return f"{place}.{key}" if place else key
