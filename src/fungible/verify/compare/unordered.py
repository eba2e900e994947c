"""Items whose order does not count, or that are more or fewer than there should be: which one is which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from fungible.verify.compare.align import Canonical
from fungible.verify.compare.binding import Binding
from fungible.verify.compare.lexemes import Token
from fungible.verify.compare.names import abstract
from fungible.verify.compare.patterns import Fixed, Items, Pattern, label, sample
from fungible.verify.compare.shown import Finding, Shown, cut
from fungible.verify.compare.trees import Node, Seq, inside, plain, signature

_MOST_PAIRS = 160_000


class Checking(Protocol):
    """Who checks one item; with `quick` only whether something differs is asked."""

    binding: Binding
    shown: Shown
    quick: bool

    def at(self, pattern: Pattern, node: Node | None, path: str) -> list[Finding]:
        """What is wrong at and below a place."""

    def satisfies(self, pattern: Pattern, node: Node, path: str) -> bool:
        """Whether a node satisfies a pattern. Words are learned only if it does."""


class Unordered:
    """Compares sequences item by item, whatever their order."""

    def __init__(self, check: Checking) -> None:
        self._check = check

    def compare(
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
                found = self._matching(pattern, left, free, path, anything)
                if found is None:
                    still.append(pattern)
                else:
                    free.remove(found)
            waiting = still
        if extra:
            return [Finding(path, named, self._check.shown.of(pattern), None) for pattern in waiting]
        if self._check.quick and (waiting or free):
            return [Finding(path, named, len(patterns), len(nodes))]
        return self._unmatched(waiting, [left[index] for index in free], path, what, named)

    def _matching(
        self, pattern: Pattern, nodes: Sequence[Node], free: Sequence[int], path: str, anything: bool
    ) -> int | None:
        """The item that satisfies a pattern. Among several that would give its names different words, the first is
        taken only when `anything` goes, and no word is learned from it."""
        if len(free) * len(nodes) > _MOST_PAIRS:
            free = free[:8]
        mark = len(self._check.binding.trail)
        chosen: int | None = None
        for index in free:
            good = self._check.satisfies(pattern, nodes[index], path)
            learned = len(self._check.binding.trail) > mark
            if good and not learned:
                return index
            self._check.binding.back(mark)
            if good and chosen is not None and not anything:
                return None
            if good and chosen is None:
                chosen = index
                if anything:
                    return chosen
        if chosen is not None:
            self._check.at(pattern, nodes[chosen], path)
        return chosen

    def _unmatched(
        self, patterns: Sequence[Pattern], nodes: Sequence[Node], path: str, what: str, named: str
    ) -> list[Finding]:
        result: list[Finding] = []
        if len(patterns) == len(nodes):
            for index, (pattern, node) in enumerate(zip(patterns, nodes, strict=True)):
                where = f"{path}[]" if what in ("rows", "entries") else inside(path, what, index, label(pattern))
                mark = len(self._check.binding.trail)
                result.extend(self._check.at(pattern, node, where))
                self._check.binding.back(mark)
            return result
        result.extend(Finding(path, named, self._check.shown.of(pattern), None) for pattern in patterns)
        result.extend(Finding(path, named, None, cut(plain(node))) for node in nodes)
        return result

    def reordered(self, pattern: Items, node: Seq) -> bool:
        """Whether these could be the same items in another order; cheap, and without words being learned."""
        forms = Canonical(self._abstract)
        samples = [sample(item) for item in pattern.items]
        for level in (0, 2):
            wanted = [forms.of(item, 0, level) for item in samples]
            there = [forms.of(item, 1, level) for item in node.items]
            if wanted == there:
                return False
            if Counter(wanted) == Counter(there):
                return True
        return False

    def _abstract(self, run: int, token: Token, level: int) -> str:
        """The canonical form of a token of the first warm run (0) or of this world (1)."""
        if token.kind in ("space", "mark"):
            return token.text
        name = self._check.binding.names.at(0, token.text) if run == 0 else self._check.binding.called(token.text)
        return f"‹{name}›" if name is not None else abstract(token, level)

    def resized(self, pattern: Items, node: Seq, path: str) -> list[Finding]:
        wanted, there = len(pattern.items), len(node.items)
        mark = len(self._check.binding.trail)
        parted = self.compare(pattern.items, node.items, path, pattern.what, "equal")
        self._check.binding.back(mark)
        missing = [finding.expected for finding in parted if finding.got is None]
        extra = [finding.got for finding in parted if finding.expected is None]
        return [
            Finding(
                path,
                "equal",
                cut({"length": wanted, "missing": missing[:3]} if missing else {"length": wanted}),
                cut({"length": there, "extra": extra[:3]} if extra else {"length": there}),
            )
        ]
