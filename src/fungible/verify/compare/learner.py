"""One pass over every place of the warm runs: the strongest pattern that holds in all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fungible.verify.compare.align import Canonical, Part, entries, in_common, parts_of, same_order
from fungible.verify.compare.clock import Clock, Window, counts_down
from fungible.verify.compare.lexemes import CLOCKS, Type, tokens, type_in_name, type_of
from fungible.verify.compare.names import Names, Sighting, abstraction
from fungible.verify.compare.orders import Order
from fungible.verify.compare.patterns import (
    Bag,
    Entries,
    Fields,
    Fixed,
    Items,
    Loose,
    Many,
    Pattern,
    Slot,
    Text,
    Varied,
    has_order,
    is_loose,
    shape,
)
from fungible.verify.compare.signed import payload
from fungible.verify.compare.trees import Leaf, Map, Node, Seq, children, inside, tag


@dataclass(frozen=True)
class Chance:
    """Places that are noise at most steps of their endpoint, with the values seen there, and all places above."""

    places: Mapping[str, Sequence[Node]] = field(default_factory=dict)
    above: frozenset[str] = frozenset()

    @classmethod
    def of(cls, met: Mapping[str, Mapping[int, Sequence[Node]]], total: Mapping[str, int]) -> Chance:
        found = {
            key: [node for nodes in steps.values() for node in nodes]
            for key, steps in met.items()
            if len(steps) >= 2 and len(steps) * 2 >= total[_endpoint_of(key)]
        }
        above: set[str] = set()
        for key in found:
            start = len(_endpoint_of(key)) + 1
            above.update(key[:end] for end in range(start, len(key) + 1) if end == len(key) or key[end] in ".[/ ")
        return cls(found, frozenset(above))


def _endpoint_of(key: str) -> str:
    """The endpoint in a key of endpoint and place: a job, or method and path, which hold no further space."""
    return "job" if key.startswith("job ") else " ".join(key.split(" ", 2)[:2])


class Learner:
    """One pass over all places: the patterns under the names known so far, and what the next pass can learn."""

    def __init__(
        self,
        runs: int,
        windows: Sequence[Window],
        names: Names,
        orders: Mapping[str, Order],
        chance: Chance,
        volatile: dict[int, tuple[Node, bool]],
    ) -> None:
        self.runs = runs
        self.clock = Clock(windows)
        self.names = names
        self.orders = orders
        self.abstract = abstraction(names)
        self.forms = Canonical(self.abstract)
        self.known = volatile
        self.chance = chance
        self.met: dict[str, dict[int, list[Node]]] = {}
        self.total: Counter[str] = Counter()
        self.moved = False
        """Whether items had to be put in order, or might have to be once names are known."""
        self.sightings: list[Sighting] = []
        self.values: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
        self.step = 0
        self.area = "answer"
        self.endpoint = ""

    def store(self, dumps: Sequence[Node], store: str) -> Pattern:
        return self.node(dumps, store)

    def node(self, nodes: Sequence[Node], path: str) -> Pattern:
        first = nodes[0]
        if all(node == first for node in nodes) and not self.volatile_below(first, path):
            return self.lucky(first, path) if f"{self.endpoint} {path}" in self.chance.above else Fixed(first)
        pattern = self.varying(nodes, path)
        if self.area == "answer" and is_loose(pattern):
            self.met.setdefault(f"{self.endpoint} {path}", {})[self.step] = list(nodes)
        if self.area == "answer" and (is_loose(pattern) or isinstance(pattern, Items)) and not has_order(pattern):
            return self.lucky(first, path) if f"{self.endpoint} {path}" in self.chance.places else pattern
        return pattern

    def lucky(self, node: Node, path: str) -> Pattern:
        """The same place of the same endpoint is noise elsewhere: what all runs share here, they share by chance."""
        values = self.chance.places.get(f"{self.endpoint} {path}")
        if values is not None:
            shapes = frozenset({shape(node), *map(shape, values)})
            if isinstance(node, Leaf) and all(isinstance(value, Leaf) for value in values):
                texts = [node.text, *(value.text for value in values if isinstance(value, Leaf))]
                kind = type_of(texts)
                return Loose(shapes, kind, node) if all(texts) else Varied(shapes, node)
            sizes = [len(scope(value)) for value in (node, *values)]
            return Many(shape(node), min(sizes), max(sizes), node) if len(shapes) == 1 else Varied(shapes, node)
        if isinstance(node, Seq):
            items = tuple(self.node([item] * self.runs, where) for where, item in children(node, path))
            return Items(items, node.what, unordered=node.what == "rows")
        if isinstance(node, Map):
            fields = {k: self.node([v] * self.runs, inside(path, node.what, k)) for k, v in node.fields.items()}
            return Fields(fields, node.what, label=tag(node))
        return Fixed(node)

    def varying(self, nodes: Sequence[Node], path: str) -> Pattern:
        first = nodes[0]
        leaf = [node for node in nodes if isinstance(node, Leaf)]
        if len(leaf) == len(nodes):
            return self.leaf(leaf, path)
        if len({shape(node) for node in nodes}) > 1:
            return Varied(frozenset(map(shape, nodes)), first)
        rows = [node for node in nodes if isinstance(node, Seq)]
        if len(rows) == len(nodes):
            return self.sequence(rows, path)
        return self.mapping([node for node in nodes if isinstance(node, Map)], path)

    def sequence(self, rows: Sequence[Seq], path: str) -> Pattern:
        what = rows[0].what
        lengths = [len(row.items) for row in rows]
        if len(set(lengths)) > 1:
            shared = in_common([row.items for row in rows], self.forms, unordered=what == "rows")
            self.moved = True
            anchors = (
                self.node(column, f"{inside(path, what, index, tag(column[0]))}+")
                for index, column in enumerate(shared)
            )
            return Many(what, min(lengths), max(lengths), rows[0], tuple(anchors), what == "rows")
        aligned, unordered = same_order([row.items for row in rows], self.forms, anyway=what == "rows")
        self.moved |= unordered
        items = tuple(
            self.node(column, inside(path, what, index, tag(column[0])))
            for index, column in enumerate(zip(*aligned, strict=True))
        )
        return Items(items, what, unordered)

    def mapping(self, maps: Sequence[Map], path: str) -> Pattern:
        first = maps[0]
        keys = set.union(*(set(item.fields) for item in maps))
        shared = set.intersection(*(set(item.fields) for item in maps))
        if keys != shared:
            renamed = self.renamed_keys(maps, path)
            if renamed is not None:
                return renamed
            if len(shared) * 2 < len(keys) and len(keys) > 8:
                lengths = [len(item.fields) for item in maps]
                return Many(first.what, min(lengths), max(lengths), first)
        fields: dict[str, Pattern] = {}
        order = [*first.fields, *sorted(keys - set(first.fields))]
        for key in order:
            here = [item.fields[key] for item in maps if key in item.fields]
            if key in shared:
                fields[key] = self.node(here, inside(path, first.what, key))
            else:
                fields[key] = Varied(frozenset(map(shape, here)), here[0])
        return Fields(fields, first.what, frozenset(keys - shared), tag(first))

    def renamed_keys(self, maps: Sequence[Map], path: str) -> Pattern | None:
        if len({len(item.fields) for item in maps}) > 1:
            return None
        for level in (0, 1, 2, 3):
            forms = [[self.forms.text(key, run, level) for key in item.fields] for run, item in enumerate(maps)]
            if all(Counter(form) == Counter(forms[0]) for form in forms[1:]):
                self.moved = True
                aligned, _ = same_order([entries(item.fields) for item in maps], self.forms, anyway=True)
                items = (self.node(column, f"{path}.*") for column in zip(*aligned, strict=True))
                return Entries(tuple(items), maps[0].what)
        return None

    def leaf(self, nodes: Sequence[Leaf], path: str) -> Pattern:
        kinds = frozenset(node.kind for node in nodes)
        texts = [node.text for node in nodes]
        sample = nodes[0]
        numeric = kinds <= {"int", "float"}
        if "digest" in kinds or (len(kinds) > 1 and not numeric):
            if kinds == {"digest"}:
                return Loose(kinds, Type("text", 1, 1 << 16), sample)
            return Varied(kinds, sample)
        if numeric:
            return Text(kinds, (self.slot(tuple(texts), f"{path}", False),), sample)
        level = self.shuffled(texts)
        if level is not None:
            self.moved = True
            return Bag(tuple(sorted(self.words(texts[0], 0, level))), sample)
        parts = parts_of(texts, lambda token: self.clock.volatile(token, path))
        moved = common_words("".join(part for part in parts or () if isinstance(part, str)), texts)
        if moved is not None:
            self.moved = True
            return Bag(tuple(sorted(moved.elements())), sample, open=True)
        if parts is None or sum(isinstance(part, tuple) for part in parts) > 400:
            return Loose(kinds, type_of(texts), sample)
        return Text(kinds, self.slots(parts, path), sample)

    def slots(self, parts: Sequence[Part], path: str) -> tuple[str | Slot, ...]:
        vectors = [part for part in parts if isinstance(part, tuple)]
        spaced = any(isinstance(part, str) and " " in part for part in parts)
        timed = len(vectors) > 1 and not spaced and any(type_of(vector).name in CLOCKS for vector in vectors)
        result: list[str | Slot] = []
        for part in parts:
            if isinstance(part, str):
                result.append(part)
            else:
                result.append(self.slot(part, f"{path}#{len(result)}" if len(parts) > 1 else path, timed))
        return tuple(result)

    def slot(self, values: tuple[str, ...], path: str, timed: bool) -> Slot:
        """One varying part. `timed`: a clock stands beside it, so that it may be a signature over the second."""
        kind = (
            type_in_name(values) if self.area == "dump" and path.split("#")[0].endswith(".*.key") else type_of(values)
        )
        if counts_down(path.split("#")[0]):
            kind = type_of([*values, "1"]) if kind.name == "int" else kind
            return Slot(kind, values[0])
        within = None
        if kind.name in ("jwt", "signed"):
            said = [payload(value) for value in values]
            nodes = [node for node in said if node is not None]
            if len(nodes) == len(values):
                within = self.node(nodes, f"{path}~")
            return Slot(kind, values[0], within=within)
        name = None
        if not timed and kind.name not in CLOCKS:
            tag = path.split("#")[0] == "header etag"
            area = "tag" if tag else "cookie" if path.startswith("cookie ") else self.area
            self.sightings.append(Sighting(values, area, self.step))
            name = self.names.of.get(values)
        order = None
        if name is None and kind.name in ("int", "number", "epoch", "clock") and self.area == "answer":
            key = f"{self.endpoint} {path}"
            self.values.setdefault(key, []).append((self.step, values))
            order = key if key in self.orders else None
        return Slot(kind, values[0], name, name is None or self.names.names[name].equal, order, within)

    def words(self, text: str, run: int, level: int) -> list[str]:
        return [self.abstract(run, token, level) for token in tokens(text) if token.kind not in ("space",)]

    def shuffled(self, texts: Sequence[str]) -> int | None:
        """The level at which these are the same words in varying order, if they are."""
        if any(len(text) > 20_000 for text in texts) or not any(mark in texts[0] for mark in " ,;|/-_&"):
            return None
        for level in (0, 1):
            words = [self.words(text, run, level) for run, text in enumerate(texts)]
            if all(row == words[0] for row in words):
                return None
            if all(Counter(row) == Counter(words[0]) for row in words[1:]):
                return level
        return None

    def volatile_below(self, node: Node, path: str) -> bool:
        """Whether something below follows the clock although all runs agree on it."""
        key = id(node)
        if key not in self.known:
            # The node is kept too, so that its id stays its own.
            self.known[key] = node, self.clock.below(node, path)
        return self.known[key][1]


def common_words(constant: str, texts: Sequence[str]) -> Counter[str] | None:
    """The words that all strings share, if some stand outside their constant part: they changed places; else None.

    Words of digits, or of a letter or two, are shared by chance too: it takes two of them, and none is asked for.
    """
    shared = _words(texts[0])
    for text in texts[1:]:
        shared &= _words(text)
    telling = Counter({word: n for word, n in shared.items() if len(word) >= 3 and word.isalpha()})
    outside = shared - _words(constant)
    return telling if len(outside) > 1 or outside.keys() & telling.keys() else None


def _words(text: str) -> Counter[str]:
    return Counter(token.text for token in tokens(text) if token.kind == "word")


def scope(node: Node) -> Sequence[object]:
    """The children of a node."""
    if isinstance(node, Leaf):
        return ()
    return node.items if isinstance(node, Seq) else tuple(node.fields)
