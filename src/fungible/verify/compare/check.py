"""Whether another world's tree satisfies a pattern, and what its words are called there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fungible.verify.compare.align import Canonical, entries
from fungible.verify.compare.binding import Binding
from fungible.verify.compare.fit import fit, permuted
from fungible.verify.compare.learner import Order, magnitude
from fungible.verify.compare.lexemes import Token, tokens, type_of
from fungible.verify.compare.names import abstract
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
    expand,
    label,
    relation,
    sample,
    shape,
)
from fungible.verify.compare.signed import payload
from fungible.verify.compare.trees import Leaf, Map, Node, Seq, inside, plain, signature

_MOST_PAIRS = 160_000
_LONGEST_SHOWN = 2000


@dataclass(frozen=True, slots=True)
class Finding:
    """One place that is not what the relation asks."""

    path: str
    relation: str
    expected: Any
    got: Any
    identity: bool = False
    order_only: bool = False


def check(
    pattern: Pattern, node: Node | None, path: str, binding: Binding, orders: Mapping[str, Order]
) -> list[Finding]:
    """Everything at and below a place that is not what the warm worlds have in common, in the order of the places."""
    return _Check(binding, orders).at(pattern, node, path)


class _Check:
    def __init__(self, binding: Binding, orders: Mapping[str, Order]) -> None:
        self.binding = binding
        self.orders = orders
        self.quick = False
        """Only whether something differs is asked: stop at the first finding, do not look for its best account."""

    def at(self, pattern: Pattern, node: Node | None, path: str) -> list[Finding]:
        if node is None:
            return [Finding(path, relation(pattern), self.shown(pattern), None)]
        if isinstance(pattern, Fixed):
            if node == pattern.node:
                return []
            if isinstance(pattern.node, Leaf) or shape(node) != shape(pattern.node):
                return [self.differs(path, "equal", plain(pattern.node), node)]
            pattern = expand(pattern)
        if isinstance(pattern, Fields):
            return self.fields(pattern, node, path)
        if isinstance(pattern, Items):
            return self.items(pattern, node, path)
        if isinstance(pattern, Entries):
            if not isinstance(node, Map) or node.what != pattern.what:
                return [self.differs(path, "renamed", self.shown(pattern), node)]
            return self.unordered(pattern.items, entries(node.fields), path, "entries", "renamed")
        if isinstance(pattern, Many):
            return self.many(pattern, node, path)
        if isinstance(pattern, Varied):
            alike = shape(node) in pattern.shapes or {shape(node), *pattern.shapes} <= {"int", "float"}
            return [] if alike else [self.differs(path, "typed", plain(pattern.sample), node)]
        return self.scalar(pattern, node, path) if not isinstance(pattern, Fixed) else []

    def scalar(self, pattern: Text | Bag | Loose, node: Node, path: str) -> list[Finding]:
        if not isinstance(node, Leaf) or not _alike(node.kind, pattern):
            return [self.differs(path, relation(pattern), self.shown(pattern), node)]
        if isinstance(pattern, Loose):
            good = pattern.type.admits(node.text) and bool(node.text.strip()) == bool(pattern.sample.text.strip())
            return [] if good else [self.differs(path, "typed", pattern.sample.text, node)]
        if isinstance(pattern, Bag):
            if self.same_words(pattern, node.text):
                return []
            return [self.differs(path, "multiset", pattern.sample.text, node)]
        found = fit(pattern.parts, node.text)
        if found is None:
            return [self.differs(path, relation(pattern), self.shown(pattern), node)]
        slots = [part for part in pattern.parts if isinstance(part, Slot)]
        result: list[Finding] = []
        for slot, text in zip(slots, found, strict=True):
            result.extend(self.slot(slot, text, path, pattern, node))
        return result

    def slot(self, slot: Slot, text: str, path: str, pattern: Text, node: Leaf) -> list[Finding]:
        if slot.name is not None:
            wrong = self.binding.bind(slot.name, text)
            if wrong is not None:
                return [
                    Finding(
                        path,
                        "identity" if wrong == "identity" else "renamed",
                        plain(Leaf(node.kind, self.rendered(pattern, slot, wrong))),
                        plain(node),
                        identity=wrong == "identity",
                    )
                ]
        if slot.within is not None:
            said = payload(text)
            if said is None:
                return [self.differs(path, "typed", self.shown(pattern), node)]
            return self.at(slot.within, said, f"{path}~")
        order = self.orders.get(slot.order) if slot.order is not None else None
        if order is not None and slot.order is not None:
            size = magnitude(text)
            before = self.binding.grown.get(slot.order)
            if size is None:
                return []
            self.binding.put(self.binding.grown, slot.order, (size, self.binding.slot))
            if before is not None and (size < before[0] or (order.strict and size == before[0])):
                elsewhere = not order.counter and before[1] != self.binding.slot
                return [Finding(path, "ordered", f"more than {before[0]:g}", plain(node), identity=elsewhere)]
        return []

    def fields(self, pattern: Fields, node: Node, path: str) -> list[Finding]:
        if not isinstance(node, Map) or node.what != pattern.what:
            return [self.differs(path, "equal", self.shown(pattern), node)]
        result: list[Finding] = []
        for key, item in pattern.fields.items():
            value = node.fields.get(key)
            if value is None and key in pattern.optional:
                continue
            where = inside(path, pattern.what, key)
            result.extend(self.at(item, value, where))
            if result and self.quick:
                return result
            if key == "tag" and result:
                # Another element altogether: its attributes and children would only repeat that.
                return [self.differs(where, "equal", self.shown(pattern), node)]
        for key, value in node.fields.items():
            if key not in pattern.fields:
                result.append(Finding(inside(path, pattern.what, key), "equal", None, _cut(plain(value))))
        return result

    def items(self, pattern: Items, node: Node, path: str) -> list[Finding]:
        if not isinstance(node, Seq) or node.what != pattern.what:
            return [self.differs(path, relation(pattern), self.shown(pattern), node)]
        if pattern.unordered:
            return self.unordered(pattern.items, node.items, path, pattern.what, "multiset")
        if self.quick and len(node.items) != len(pattern.items):
            return [self.differs(path, "equal", len(pattern.items), node)]
        mark = len(self.binding.trail)
        result: list[Finding] = []
        for index, (item, value) in enumerate(zip(pattern.items, node.items, strict=False)):
            result.extend(self.at(item, value, inside(path, pattern.what, index, label(item))))
            if result and (self.quick or len(node.items) != len(pattern.items)):
                break
        if self.quick:
            return result
        if len(node.items) != len(pattern.items):
            return [*self.resized(pattern, node, path), *result[:1]]
        if len(result) > 1 and not all(finding.order_only for finding in result):
            learned = self.binding.since(mark)
            self.binding.back(mark)
            if self.reordered(pattern, node) and not self.unordered(
                pattern.items, node.items, path, pattern.what, ""
            ):
                return [Finding(path, "equal", self.shown(pattern), _cut(plain(node)), order_only=True)]
            self.binding.back(mark)
            self.binding.again(learned)
        return result

    def reordered(self, pattern: Items, node: Seq) -> bool:
        """Whether these could be the same items in another order; cheap, and without words being learned."""
        forms = Canonical(self.abstract)
        samples = [sample(item) for item in pattern.items]
        for level in (0, 2):
            wanted = [forms.of(item, 0, level) for item in samples]
            there = [forms.of(item, 1, level) for item in node.items]
            if wanted == there:
                return False
            if Counter(wanted) == Counter(there):
                return True
        return False

    def abstract(self, run: int, token: Token, level: int) -> str:
        """The canonical form of a token of the first warm run (0) or of this world (1)."""
        if token.kind in ("space", "mark"):
            return token.text
        name = self.binding.names.at(0, token.text) if run == 0 else self.binding.called(token.text)
        return f"‹{name}›" if name is not None else abstract(token, level)

    def resized(self, pattern: Items, node: Seq, path: str) -> list[Finding]:
        wanted, there = len(pattern.items), len(node.items)
        mark = len(self.binding.trail)
        parted = self.unordered(pattern.items, node.items, path, pattern.what, "equal")
        self.binding.back(mark)
        missing = [finding.expected for finding in parted if finding.got is None]
        extra = [finding.got for finding in parted if finding.expected is None]
        return [
            Finding(
                path,
                "equal",
                _cut({"length": wanted, "missing": missing[:3]} if missing else {"length": wanted}),
                _cut({"length": there, "extra": extra[:3]} if extra else {"length": there}),
            )
        ]

    def many(self, pattern: Many, node: Node, path: str) -> list[Finding]:
        size = len(node.items) if isinstance(node, Seq) else len(node.fields) if isinstance(node, Map) else -1
        low = 0 if pattern.low == 0 else max(1, pattern.low // 2)
        if shape(node) != pattern.what or not low <= size <= pattern.high * 2 + 4:
            return [self.differs(path, "typed", {"length": [pattern.low, pattern.high]}, node)]
        if not isinstance(node, Seq) or not pattern.anchors:
            return []
        if pattern.unordered:
            left = self.unordered(pattern.anchors, node.items, path, pattern.what, "multiset", extra=True)
            return [finding for finding in left if finding.got is None]
        at = 0
        for item in pattern.anchors:
            found = next((i for i in range(at, len(node.items)) if self.satisfies(item, node.items[i], path)), None)
            if found is None:
                return [Finding(path, "equal", self.shown(item), None)]
            at = found + 1
        return []

    def satisfies(self, pattern: Pattern, node: Node, path: str) -> bool:
        """Whether a node satisfies a pattern. Words are learned only if it does."""
        mark, before = len(self.binding.trail), self.quick
        self.quick = True
        good = not self.at(pattern, node, path)
        self.quick = before
        if not good:
            self.binding.back(mark)
        return good

    def unordered(
        self,
        patterns: Sequence[Pattern],
        nodes: Sequence[Node],
        path: str,
        what: str,
        named: str,
        extra: bool = False,
    ) -> list[Finding]:
        """Match items in any order; what is left on either side is a finding (`extra`: only of the patterns)."""
        left = list(nodes)
        waiting: list[Pattern] = []
        exact: dict[str, list[int]] = {}
        if any(isinstance(pattern, Fixed) for pattern in patterns):
            for index in range(len(left) - 1, -1, -1):
                exact.setdefault(signature(left[index]), []).append(index)
        used: set[int] = set()
        for pattern in patterns:
            where = exact.get(signature(pattern.node)) if isinstance(pattern, Fixed) else None
            if where:
                used.add(where.pop())
            else:
                waiting.append(pattern)
        free = [index for index in range(len(left)) if index not in used]
        for anything in (False, True):
            still: list[Pattern] = []
            for pattern in waiting:
                found = self.matching(pattern, left, free, path, anything)
                if found is None:
                    still.append(pattern)
                else:
                    free.remove(found)
            waiting = still
        if extra:
            return [Finding(path, named, self.shown(pattern), None) for pattern in waiting]
        if self.quick and (waiting or free):
            return [Finding(path, named, len(patterns), len(nodes))]
        return self.unmatched(waiting, [left[index] for index in free], path, what, named)

    def matching(
        self, pattern: Pattern, nodes: Sequence[Node], free: Sequence[int], path: str, anything: bool
    ) -> int | None:
        """The item that satisfies a pattern. Among several that would give its names different words, the first is
        taken only when `anything` goes, and no word is learned from it."""
        if len(free) * len(nodes) > _MOST_PAIRS:
            free = free[:8]
        mark = len(self.binding.trail)
        chosen: int | None = None
        for index in free:
            good = self.satisfies(pattern, nodes[index], path)
            learned = len(self.binding.trail) > mark
            if good and not learned:
                return index
            self.binding.back(mark)
            if good and chosen is not None and not anything:
                return None
            if good and chosen is None:
                chosen = index
                if anything:
                    return chosen
        if chosen is not None:
            self.at(pattern, nodes[chosen], path)
        return chosen

    def unmatched(
        self, patterns: Sequence[Pattern], nodes: Sequence[Node], path: str, what: str, named: str
    ) -> list[Finding]:
        result: list[Finding] = []
        if len(patterns) == len(nodes):
            for index, (pattern, node) in enumerate(zip(patterns, nodes, strict=True)):
                where = f"{path}[]" if what in ("rows", "entries") else inside(path, what, index, label(pattern))
                mark = len(self.binding.trail)
                result.extend(self.at(pattern, node, where))
                self.binding.back(mark)
            return result
        result.extend(Finding(path, named, self.shown(pattern), None) for pattern in patterns)
        result.extend(Finding(path, named, None, _cut(plain(node))) for node in nodes)
        return result

    def differs(self, path: str, named: str, expected: Any, node: Node) -> Finding:
        got = plain(node)
        shuffled = isinstance(expected, str) and isinstance(got, str) and permuted(expected, got)
        return Finding(path, named, _cut(expected), _cut(got), order_only=shuffled)

    def shown(self, pattern: Pattern) -> Any:
        """What the pattern asks for, in this world's words where they are known."""
        if isinstance(pattern, Fixed):
            return _cut(plain(pattern.node))
        if isinstance(pattern, Text):
            return plain(Leaf(pattern.sample.kind, self.rendered(pattern)))
        if isinstance(pattern, Bag | Loose | Varied | Many):
            return _cut(plain(pattern.sample))
        if isinstance(pattern, Fields):
            return _cut({key: self.shown(item) for key, item in pattern.fields.items()})
        return _cut([self.shown(item) for item in pattern.items[:50]])

    def rendered(self, pattern: Text, about: Slot | None = None, wrong: str | None = None) -> str:
        text = ""
        for part in pattern.parts:
            if isinstance(part, str):
                text += part
                continue
            known = self.binding.known(part.name) if part.name is not None else None
            if part is about and part.name is not None:
                first = self.binding.first.get(part.name)
                known = "(another one)" if wrong == "shared" and first is None else first[0] if first else known
            text += known if known is not None else part.sample
        return text

    def same_words(self, pattern: Bag, text: str) -> bool:
        """Whether a string has the words of a bag; a name seen first here takes the one word it can be."""
        there = Counter(token.text for token in tokens(text) if token.kind != "space")
        unknown: list[int] = []
        forms: Counter[str] = Counter()
        for word in pattern.words:
            name = int(word[1:-1]) if word.startswith("‹") and word[1:-1].isdigit() else None
            wanted: str | None = word if name is None else self.binding.known(name)
            if wanted is None and name is not None:
                unknown.append(name)
            elif wanted is not None and there[wanted] > 0:
                there[wanted] -= 1
            else:
                forms[word] += 1
        left = list(there.elements())
        for word in list(left) if forms else ():
            form = abstract(tokens(word)[0], 1)
            if forms[form] > 0:
                forms[form] -= 1
                left.remove(word)
        if any(forms.values()):
            return False
        for name in unknown:
            kind = type_of(self.binding.names.names[name].values)
            fitting = [word for word in left if kind.admits(word)]
            if not fitting:
                return False
            if len(fitting) == 1:
                self.binding.quietly(name, fitting[0])
            left.remove(fitting[0])
        return bool(text.strip()) if pattern.open else not left


def _alike(kind: str, pattern: Text | Bag | Loose) -> bool:
    if isinstance(pattern, Bag):
        return kind == pattern.sample.kind
    # A number that varies may be whole by chance; one that was always whole stays so.
    return kind in pattern.kinds or (kind == "int" and "float" in pattern.kinds)


def _cut(value: Any) -> Any:
    """A value for a report, cut where it is long."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "…"
    text = json.dumps(value, default=str)
    return value if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
