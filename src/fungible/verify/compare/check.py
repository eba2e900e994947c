"""Whether another world's tree satisfies a pattern, and what its words are called there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from fungible.verify.compare.align import entries
from fungible.verify.compare.binding import Binding
from fungible.verify.compare.fit import fit, permuted
from fungible.verify.compare.lexemes import tokens, type_of
from fungible.verify.compare.names import abstract, form
from fungible.verify.compare.orders import Order, magnitude
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
    shape,
)
from fungible.verify.compare.shown import Finding, Shown, cut
from fungible.verify.compare.signed import payload
from fungible.verify.compare.trees import Leaf, Map, Node, Seq, inside, plain
from fungible.verify.compare.unordered import Unordered


def check(
    pattern: Pattern, node: Node | None, path: str, binding: Binding, orders: Mapping[str, Order]
) -> list[Finding]:
    """Everything at and below a place that is not what the warm worlds have in common, in the order of the places."""
    return _Check(binding, orders).at(pattern, node, path)


class _Check:
    def __init__(self, binding: Binding, orders: Mapping[str, Order]) -> None:
        self.binding = binding
        self.orders = orders
        self.shown = Shown(binding)
        self.unordered = Unordered(self)
        self.quick = False
        """Only whether something differs is asked: stop at the first finding, do not look for its best account."""

    def at(self, pattern: Pattern, node: Node | None, path: str) -> list[Finding]:
        if node is None:
            return [Finding(path, relation(pattern), self.shown.of(pattern), None)]
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
                return [self.differs(path, "renamed", self.shown.of(pattern), node)]
            return self.unordered.compare(pattern.items, entries(node.fields), path, "entries", "renamed")
        if isinstance(pattern, Many):
            return self.many(pattern, node, path)
        if isinstance(pattern, Varied):
            alike = shape(node) in pattern.shapes or {shape(node), *pattern.shapes} <= {"int", "float"}
            return [] if alike else [self.differs(path, "typed", plain(pattern.sample), node)]
        return self.scalar(pattern, node, path) if not isinstance(pattern, Fixed) else []

    def scalar(self, pattern: Text | Bag | Loose, node: Node, path: str) -> list[Finding]:
        if not isinstance(node, Leaf) or not _alike(node.kind, pattern):
            return [self.differs(path, relation(pattern), self.shown.of(pattern), node)]
        if isinstance(pattern, Loose):
            good = pattern.type.admits(node.text) and bool(node.text.strip()) == bool(pattern.sample.text.strip())
            return [] if good else [self.differs(path, "typed", pattern.sample.text, node)]
        if isinstance(pattern, Bag):
            if self.same_words(pattern, node.text):
                return []
            return [self.differs(path, "multiset", pattern.sample.text, node)]
        found = fit(pattern.parts, node.text)
        if found is None:
            return [self.differs(path, relation(pattern), self.shown.of(pattern), node)]
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
                        plain(Leaf(node.kind, self.shown.rendered(pattern, slot, wrong))),
                        plain(node),
                        identity=wrong == "identity",
                    )
                ]
        if slot.within is not None:
            said = payload(text)
            if said is None:
                return [self.differs(path, "typed", self.shown.of(pattern), node)]
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
            return [self.differs(path, "equal", self.shown.of(pattern), node)]
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
                return [self.differs(where, "equal", self.shown.of(pattern), node)]
        come_and_go = {form(key) for key in pattern.optional}
        for key, value in node.fields.items():
            if key not in pattern.fields and not (come_and_go and form(key) in come_and_go):
                result.append(Finding(inside(path, pattern.what, key), "equal", None, cut(plain(value))))
        return result

    def items(self, pattern: Items, node: Node, path: str) -> list[Finding]:
        if not isinstance(node, Seq) or node.what != pattern.what:
            return [self.differs(path, relation(pattern), self.shown.of(pattern), node)]
        if pattern.unordered:
            return self.unordered.compare(pattern.items, node.items, path, pattern.what, "multiset")
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
            return [*self.unordered.resized(pattern, node, path), *result[:1]]
        if len(result) > 1 and not all(finding.order_only for finding in result):
            learned = self.binding.since(mark)
            self.binding.back(mark)
            if self.unordered.reordered(pattern, node) and not self.unordered.compare(
                pattern.items, node.items, path, pattern.what, ""
            ):
                return [Finding(path, "equal", self.shown.of(pattern), cut(plain(node)), order_only=True)]
            self.binding.back(mark)
            self.binding.again(learned)
        return result

    def many(self, pattern: Many, node: Node, path: str) -> list[Finding]:
        size = len(node.items) if isinstance(node, Seq) else len(node.fields) if isinstance(node, Map) else -1
        low = 0 if pattern.low == 0 else max(1, pattern.low // 2)
        if shape(node) != pattern.what or not low <= size <= pattern.high * 2 + 4:
            return [self.differs(path, "typed", {"length": [pattern.low, pattern.high]}, node)]
        if not isinstance(node, Seq) or not pattern.anchors:
            return []
        if pattern.unordered:
            left = self.unordered.compare(pattern.anchors, node.items, path, pattern.what, "multiset", extra=True)
            return [finding for finding in left if finding.got is None]
        at = 0
        for item in pattern.anchors:
            found = next((i for i in range(at, len(node.items)) if self.satisfies(item, node.items[i], path)), None)
            if found is None:
                return [Finding(path, "equal", self.shown.of(item), None)]
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

    def differs(self, path: str, named: str, expected: Any, node: Node) -> Finding:
        got = plain(node)
        shuffled = isinstance(expected, str) and isinstance(got, str) and permuted(expected, got)
        return Finding(path, named, cut(expected), cut(got), order_only=shuffled)

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
