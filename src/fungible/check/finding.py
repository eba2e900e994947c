"""What a rule is, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import total_ordering


@total_ordering
class Level(StrEnum):
    """How sure a finding is.

    `certain`: what stands there holds state in a process, whatever else the app does. `likely`: it does unless
    something that cannot be read here prevents it. `possible`: worth a look.
    """

    POSSIBLE = "possible"
    LIKELY = "likely"
    CERTAIN = "certain"

    def __lt__(self, other: object) -> bool:
        order = list(Level)
        return order.index(self) < order.index(Level(str(other)))

    def __le__(self, other: object) -> bool:
        return self == other or self < other

    def __gt__(self, other: object) -> bool:
        return not self <= other

    def __ge__(self, other: object) -> bool:
        return not self < other


@dataclass(frozen=True)
class Rule:
    """A mistake that can be read.

    `id` is `FU` and three digits and never changes its meaning. `title` names the mistake in a few words; `why` says
    what goes wrong with two processes; `mend` says what to do, in one or two sentences. `topic` is the page in
    docs/mend that tells more (one of `fungible.app.mend.CLASSES`), None where there is none. `wrong` and `right` are
    a small example of each, in the language of the file that the rule reads.
    """

    id: str
    title: str
    why: str
    mend: str
    topic: str | None
    wrong: str
    right: str


@dataclass(frozen=True)
class Finding:
    """A place where a rule is broken.

    `path` is relative to the folder that was checked, with `/`. `line` and `column` count from 1. `message` is one
    sentence that names what is there (the variable, the setting, the directive). `symbol` is what stays the same when
    lines move: the dotted name of the variable or function, the setting's key; with rule and path it tells findings
    apart.
    """

    rule: str
    level: Level
    path: str
    line: int
    message: str
    symbol: str
    column: int = 1
