"""What held the state, in the words of the report."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fungible.verify.blame.agent.naming import relative_place

_KEY = re.compile(r"\[.*\]|\{…\}|\.<(?:cached|held|local) .*>", re.DOTALL)
_ATTRIBUTE = re.compile(r"(?P<owner>.+)\.\w+(?:\[(?:[^\[\]'\"]|'[^']*'|\"[^\"]*\")*\]|\{…\})*", re.DOTALL)

HASH_SEED = "hash seed"
"""Where the state lies when the seed of `hash` sets two processes apart: nothing holds it."""
Line = tuple[str, int]
"""`(absolute file, line)`, as the app saw it."""


@dataclass(frozen=True)
class Culprit:
    """What held the state. Places are `file:line`; files are relative to the app's folder, or to the folder of
    installed packages for a library's. `confirmed` only where the counterfactual ran."""

    object: str | None = None
    file: str | None = None
    declared_at: str | None = None
    written_at: str | None = None
    called_from: str | None = None
    confirmed: bool = False
    where: str | None = None
    """`memory`, `file`, `identity`, `hash seed` or `start` (what a process does at boot, to a store): what the
    variants of the world say; for a process that is not the web's, whose memory."""

    @property
    def is_nameless(self) -> bool:
        """Whether no object, file or line is known."""
        return (self.object, self.file, self.written_at) == (None, None, None)

    def is_same(self, other: Culprit) -> bool:
        """Whether both are one: the very object or file, two members of one container (two baskets, two sessions)
        that the same line wrote, or two parts of one object (a list and its index) that a library keeps for the same
        line of the app. Only what is confirmed can be told to be the same."""
        if not (self.confirmed and other.confirmed):
            return False
        named = self.object is not None or self.file is not None
        if named and (self.object, self.file) == (other.object, other.file):
            return True
        if self._is_for_the_same_line(other):
            return True
        lines = (self.written_at, self.called_from, self.declared_at)
        if lines != (other.written_at, other.called_from, other.declared_at) or not any(lines):
            return False
        if self.object is not None and other.object is not None:
            return container_of(self.object) == container_of(other.object)
        one_sort = (self.object is None, self.file is None) == (other.object is None, other.file is None)
        return one_sort and self.where == other.where and self.written_at is not None

    def _is_for_the_same_line(self, other: Culprit) -> bool:
        """Whether both are parts of one object, written elsewhere on behalf of the same line of the app."""
        if self.object is None or other.object is None or self.called_from is None:
            return False
        elsewhere = self.called_from not in (self.written_at, other.written_at)
        owner = _owner_of(self.object)
        return (
            elsewhere
            and self.called_from == other.called_from
            and owner is not None
            and owner == _owner_of(other.object)
        )


def container_of(object: str) -> str:
    """`shop.views.CARTS` of `shop.views.CARTS['ann'].items`: an object's path up to the first key."""
    return _KEY.split(object, maxsplit=1)[0]


def _owner_of(object: str) -> str | None:
    """`shop.jobs.stores['a']` of `shop.jobs.stores['a'].index['x']`: what has the attribute that holds it."""
    found = _ATTRIBUTE.fullmatch(object)
    return None if found is None else found["owner"]


def culprit_of_object(
    text: str,
    root: str,
    declared: Line | None = None,
    written: Line | None = None,
    called: Line | None = None,
    confirmed: bool = False,
) -> Culprit:
    """The culprit for the object named `text`; `root` is the app's folder as the app saw it."""
    return Culprit(text, None, _place(declared, root), _place(written, root), _place(called, root), confirmed)


def culprit_of_file(
    path: str, root: str, written: Line | None = None, called: Line | None = None, confirmed: bool = False
) -> Culprit:
    """The culprit for a file that the app wrote."""
    file = relative_place(path, None, root)
    return Culprit(None, file, None, _place(written, root), _place(called, root), confirmed)


def _place(line: Line | None, root: str) -> str | None:
    return None if line is None else relative_place(*line, root)
