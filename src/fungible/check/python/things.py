"""What an expression may stand for: a class of the program, an object of one, a function."""

from __future__ import annotations

import ast
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from fungible.check.python.function import Function
from fungible.check.python.module import Class, Module


@dataclass(frozen=True)
class Thing:
    """What an expression may stand for: a class of the program, an instance of one, or a function.

    `of` is the class or function, `module` where it is defined; `is_instance` tells an instance from its class.
    `within` is the function that makes an instance, None for the module's own statements and where that is not told;
    `depth` how many containers it is in; `declared`, whether only an annotation, an `isinstance` or a name that is
    looked up by text says so.
    """

    module: Module
    of: Class | Function
    is_instance: bool = False
    within: Function | None = None
    depth: int = 0
    declared: bool = False

    @property
    def full(self) -> str:
        """The full name of the class or function."""
        return f"{self.module.name}.{self.of.name}"


_DEEPEST = 40
_NEAR = 15
"""Questions so many steps above one that went too deep are answered again when they are asked on their own."""
_MOST = 12
"""Things that one expression may stand for; with more, it can be anything."""
NOTHING: frozenset[Thing] = frozenset()


@dataclass
class Answers:
    """Answers to questions that lead to further ones, and may lead back to themselves; each is asked once.

    What is asked within itself adds nothing. What was answered in such a circle, or shortly before the questions
    went too deep, holds only for the outermost question that is under way, as another may find more.
    """

    known: dict[Hashable, frozenset[Thing]] = field(default_factory=dict)
    meanwhile: dict[Hashable, tuple[frozenset[Thing], int]] = field(default_factory=dict)
    asked: dict[Hashable, int] = field(default_factory=dict)
    furthest: int = _DEEPEST

    def once(self, key: Hashable, ask: Callable[..., Iterable[Thing]], *arguments: object) -> frozenset[Thing]:
        """The answer to the question of this key: what `ask` gives for `arguments`; nothing if it is too much."""
        if (found := self.known.get(key)) is not None:
            return found
        if key in self.asked:
            self.furthest = min(self.furthest, self.asked[key])
            return NOTHING
        if key in self.meanwhile:
            found, reach = self.meanwhile[key]
            self.furthest = min(self.furthest, reach)
            return found
        place = len(self.asked)
        if place >= _DEEPEST:
            self.furthest = min(self.furthest, place - _NEAR)
            return NOTHING
        before, self.furthest = self.furthest, _DEEPEST
        self.asked[key] = place
        try:
            found = frozenset(ask(*arguments))
        finally:
            del self.asked[key]
        found = found if len(found) <= _MOST else NOTHING
        if place == 0:
            self.meanwhile.clear()
        if place == 0 or self.furthest >= place:
            self.known[key] = found
            self.furthest = before
        else:
            self.meanwhile[key] = (found, self.furthest)
            self.furthest = min(before, self.furthest)
        return found


def lower(things: Iterable[Thing]) -> Iterator[Thing]:
    """What is in containers of these."""
    return (replace(each, depth=each.depth - 1) for each in things if each.depth)


def is_stub(function: Class | Function) -> bool:
    """Whether a method only says that it is there: a docstring, `pass`, `...`, `raise NotImplementedError`."""
    if not isinstance(function, Function) or isinstance(function.node, ast.Lambda):
        return False
    body = [
        each
        for each in function.node.body
        if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
        and not isinstance(each, ast.Pass)
    ]
    return not body or (len(body) == 1 and isinstance(body[0], ast.Raise))
