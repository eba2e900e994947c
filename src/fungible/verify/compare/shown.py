"""What is told of a place that is not what it should be: both sides, in this world's words, cut where long."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fungible.verify.compare.binding import Binding
from fungible.verify.compare.patterns import Bag, Fields, Fixed, Loose, Many, Pattern, Slot, Text, Varied
from fungible.verify.compare.trees import Leaf, plain

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


class Shown:
    """Puts patterns into the words of the world that `binding` knows."""

    def __init__(self, binding: Binding) -> None:
        self._binding = binding

    def of(self, pattern: Pattern) -> Any:
        """What the pattern asks for, in this world's words where they are known."""
        if isinstance(pattern, Fixed):
            return cut(plain(pattern.node))
        if isinstance(pattern, Text):
            return plain(Leaf(pattern.sample.kind, self.rendered(pattern)))
        if isinstance(pattern, Bag | Loose | Varied | Many):
            return cut(plain(pattern.sample))
        if isinstance(pattern, Fields):
            return cut({key: self.of(item) for key, item in pattern.fields.items()})
        return cut([self.of(item) for item in pattern.items[:50]])

    def rendered(self, pattern: Text, about: Slot | None = None, wrong: str | None = None) -> str:
        text = ""
        for part in pattern.parts:
            if isinstance(part, str):
                text += part
                continue
            known = self._binding.known(part.name) if part.name is not None else None
            if part is about and part.name is not None:
                first = self._binding.first.get(part.name)
                known = "(another one)" if wrong == "shared" and first is None else first[0] if first else known
            text += known if known is not None else part.sample
        return text


def cut(value: Any) -> Any:
    """A value for a report, cut where it is long."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "…"
    text = json.dumps(value, default=str)
    return value if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
