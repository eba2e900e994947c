"""What the names of the warm worlds are called in the world under comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fungible.verify.compare.fit import fit
from fungible.verify.compare.names import Names
from fungible.verify.compare.patterns import Fields, Items, Pattern, Slot, Text
from fungible.verify.compare.trees import Leaf, Map, Node, Seq


class Binding:
    """What each name is called in the world under comparison. One-to-one within a space, undone by `back`.

    A name that may be the process's own identity has a value per slot; all others have one in the whole run.
    """

    def __init__(self, names: Names) -> None:
        self.names = names
        self.value: dict[tuple[int, int | None], str] = {}
        self.owner: dict[tuple[str, str], int] = {}
        self.word: dict[str, int] = {}
        self.first: dict[int, tuple[str, int | None]] = {}
        self.grown: dict[str, tuple[float, int | None]] = {}
        self.slot: int | None = None
        self.trail: list[tuple[dict[Any, Any], Any, Any]] = []

    def put(self, where: dict[Any, Any], key: Any, value: Any) -> None:
        """Set an entry so that `back` can undo it."""
        self.trail.append((where, key, where.get(key)))
        where[key] = value

    def back(self, mark: int) -> None:
        """Undo everything since the trail had this length."""
        while len(self.trail) > mark:
            where, key, value = self.trail.pop()
            if value is None:
                where.pop(key, None)
            else:
                where[key] = value

    def since(self, mark: int) -> list[tuple[dict[Any, Any], Any, Any]]:
        """Every entry set since the trail had this length, for `again`."""
        return [(where, key, where[key]) for where, key, _ in self.trail[mark:] if key in where]

    def again(self, entries: Sequence[tuple[dict[Any, Any], Any, Any]]) -> None:
        """Set entries that `back` undid."""
        for where, key, value in entries:
            self.put(where, key, value)

    def known(self, name: int) -> str | None:
        """The word for a name, if it was seen in this world."""
        own = self.value.get((name, self.slot))
        if own is not None:
            return own
        return self.first[name][0] if name in self.first else None

    def called(self, word: str) -> int | None:
        """The name of a word in this world."""
        return self.word.get(word)

    def bind(self, index: int, word: str) -> str | None:
        """Call a name by a word. None if that is consistent, else what is wrong: changed, shared or identity."""
        name = self.names.names[index]
        other = self.owner.get((name.space, word))
        if other is not None and other != index:
            return "shared"
        here = self.value.get((index, self.slot if name.ambient else None))
        if here == word:
            return None
        if here is None:
            before = self.first.get(index)
            self.put(self.value, (index, self.slot if name.ambient else None), word)
            self.own(name.space, word, index)
            if before is None:
                self.put(self.first, index, (word, self.slot))
                return None
            return None if before[0] == word else "identity"
        if not name.equal:
            self.put(self.value, (index, None), word)
            self.own(name.space, word, index)
            return None
        return "changed"

    def own(self, space: str, word: str, index: int) -> None:
        self.put(self.owner, (space, word), index)
        if word not in self.word:
            self.put(self.word, word, index)

    def quietly(self, index: int, word: str) -> None:
        """Call a name by a word unless that contradicts what is known."""
        name = self.names.names[index]
        if self.value.get((index, None)) is None and (name.space, word) not in self.owner:
            self.bind(index, word)


def learn_words(pattern: Pattern, node: Node, binding: Binding) -> None:
    """Take the words for names from a place without judging it."""
    if isinstance(pattern, Text) and isinstance(node, Leaf):
        found = fit(pattern.parts, node.text)
        slots = [part for part in pattern.parts if isinstance(part, Slot)]
        for slot, text in zip(slots, found or (), strict=False):
            if slot.name is not None:
                binding.quietly(slot.name, text)
    elif isinstance(pattern, Fields) and isinstance(node, Map):
        for key, item in pattern.fields.items():
            if key in node.fields:
                learn_words(item, node.fields[key], binding)
    elif isinstance(pattern, Items) and isinstance(node, Seq) and not pattern.unordered:
        for item, value in zip(pattern.items, node.items, strict=False):
            learn_words(item, value, binding)
