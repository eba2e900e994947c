"""What the warm worlds have in common at a place: a tree of patterns, from equal down to typed, never a hole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fungible.verify.compare.lexemes import Type
from fungible.verify.compare.trees import Leaf, Map, Node, Seq, inside, scalars, tag


@dataclass(frozen=True, slots=True)
class Slot:
    """A part of a string that differed between warm runs.

    `name` is its token in the run-wide renaming, or None where only the `type` is known. `equal` says whether a
    name must keep its value through the run (an entity tag only has to stay distinct). `order` is the group in
    which its values grew from step to step; `within` what a signed value says.
    """

    type: Type
    sample: str
    name: int | None = None
    equal: bool = True
    order: str | None = None
    within: Pattern | None = None


@dataclass(frozen=True, slots=True)
class Fixed:
    """Equal in every warm run: this value or this whole subtree."""

    node: Node


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar of constant parts and slots."""

    kinds: frozenset[str]
    parts: tuple[str | Slot, ...]
    sample: Leaf


@dataclass(frozen=True, slots=True)
class Bag:
    """A string whose words came in varying order: the same words, however ordered; more of them where `open`."""

    words: tuple[str, ...]
    sample: Leaf
    open: bool = False


@dataclass(frozen=True, slots=True)
class Loose:
    """A scalar of which only JSON type, form and length class are known."""

    kinds: frozenset[str]
    type: Type
    sample: Leaf


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping; `optional` names were absent in some warm run. `label` is the tag of an element."""

    fields: Mapping[str, Pattern]
    what: str
    optional: frozenset[str] = frozenset()
    label: str = ""


@dataclass(frozen=True, slots=True)
class Items:
    """A sequence; `unordered` where the order varied (or, in a store, means nothing)."""

    items: tuple[Pattern, ...]
    what: str
    unordered: bool = False


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping whose keys are renamed: its entries as (key, value), in any order."""

    items: tuple[Pattern, ...]
    what: str


@dataclass(frozen=True, slots=True)
class Many:
    """A sequence or mapping whose length varied: its JSON type and length class, and what all runs had in it.

    `anchors` are the items found in every run, in one order (`unordered`: in any).
    """

    what: str
    low: int
    high: int
    sample: Node
    anchors: tuple[Pattern, ...] = ()
    unordered: bool = False


@dataclass(frozen=True, slots=True)
class Varied:
    """A place whose JSON type itself varied: the types seen."""

    shapes: frozenset[str]
    sample: Node


Pattern = Fixed | Text | Bag | Loose | Fields | Items | Entries | Many | Varied


@dataclass(frozen=True, slots=True)
class Place:
    """A leaf of a pattern: where it stands, what is known of it and its value in the first warm run."""

    path: str
    pattern: Pattern
    sample: Leaf | None = field(default=None)


def shape(node: Node) -> str:
    """The JSON type of a node."""
    return node.kind if isinstance(node, Leaf) else node.what


def expand(pattern: Fixed) -> Pattern:
    """One level of an equal subtree."""
    node = pattern.node
    if isinstance(node, Map):
        return Fields({key: Fixed(item) for key, item in node.fields.items()}, node.what, label=tag(node))
    if isinstance(node, Seq):
        return Items(tuple(Fixed(item) for item in node.items), node.what, unordered=node.what == "rows")
    return pattern


def label(pattern: Pattern) -> str:
    """The tag of a pattern that is an element."""
    if isinstance(pattern, Fixed):
        return tag(pattern.node)
    return pattern.label if isinstance(pattern, Fields) else ""


def places(pattern: Pattern, path: str = "") -> Iterator[Place]:
    """Every leaf of a pattern with its place. Tags count as structure, not as leaves."""
    if isinstance(pattern, Fixed):
        if isinstance(pattern.node, Leaf):
            if pattern.node.kind != "tag":
                yield Place(path, pattern, pattern.node)
            return
        if isinstance(pattern.node, Seq) and not pattern.node.items:
            yield Place(path, pattern)
            return
        pattern = expand(pattern)
    if isinstance(pattern, Fields):
        for key, item in pattern.fields.items():
            yield from places(item, inside(path, pattern.what, key))
    elif isinstance(pattern, Items | Entries):
        for index, item in enumerate(pattern.items):
            yield from places(item, inside(path, pattern.what, index, label(item)))
    elif isinstance(pattern, Many | Varied):
        if isinstance(pattern, Many):
            for index, item in enumerate(pattern.anchors):
                yield from places(item, f"{inside(path, pattern.what, index, label(item))}+")
        yield Place(path, pattern, pattern.sample if isinstance(pattern.sample, Leaf) else None)
    elif isinstance(pattern, Text | Bag | Loose):
        yield Place(path, pattern, pattern.sample)


def weight(pattern: Pattern) -> int:
    """How many values a loose leaf stands for: those of a sequence of varying length that no anchor holds."""
    if isinstance(pattern, Many | Varied):
        anchored = sum(1 for item in pattern.anchors for _ in places(item)) if isinstance(pattern, Many) else 0
        return max(1, sum(leaf.kind != "tag" for leaf in scalars(pattern.sample)) - anchored)
    return 1


def sample(pattern: Pattern) -> Node:
    """What the first warm run had here."""
    if isinstance(pattern, Fixed):
        return pattern.node
    if isinstance(pattern, Fields):
        return Map({key: sample(item) for key, item in pattern.fields.items()}, pattern.what)
    if isinstance(pattern, Items):
        return Seq(tuple(sample(item) for item in pattern.items), pattern.what)
    if isinstance(pattern, Entries):
        return Map({f"entry {index}": sample(item) for index, item in enumerate(pattern.items)}, pattern.what)
    return pattern.sample


def is_loose(pattern: Pattern) -> bool:
    """Whether a leaf's value could change without being seen: nothing constant and no name in it."""
    if isinstance(pattern, Loose | Many | Varied):
        return True
    if isinstance(pattern, Bag):
        return pattern.open and not pattern.words
    if isinstance(pattern, Text):
        if any(
            isinstance(part, Slot) and (part.name is not None or part.within is not None) for part in pattern.parts
        ):
            return False
        return not any(isinstance(part, str) and any(char.isalnum() for char in part) for part in pattern.parts)
    return False


def has_order(pattern: Pattern) -> bool:
    """Whether the values of a leaf have to grow from step to step."""
    return isinstance(pattern, Text) and any(isinstance(part, Slot) and part.order for part in pattern.parts)


def relation(pattern: Pattern) -> str:
    """The name of the relation that holds at a leaf."""
    if isinstance(pattern, Fixed):
        return "equal"
    if isinstance(pattern, Bag):
        return "multiset"
    if isinstance(pattern, Text):
        slots = [part for part in pattern.parts if isinstance(part, Slot)]
        if all(slot.name is not None for slot in slots):
            return "renamed"
        return "ordered" if all(slot.name is not None or slot.order for slot in slots) else "typed"
    if isinstance(pattern, Items):
        return "multiset" if pattern.unordered else "equal"
    return "typed" if isinstance(pattern, Loose | Many | Varied) else "equal"
