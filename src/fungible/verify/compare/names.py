"""The run-wide renaming: which words stand for the same thing in different runs of one workload.

A word of one run and a word of another are the same name where they stood at the same place. The renaming is
one-to-one in every run, so that two things which come out with one identifier are seen although identifiers
differ from run to run. Words that follow the clock never take part: two of them are equal by luck.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fungible.verify.compare.lexemes import CLOCKS, Token, is_hexadecimal, tokens, type_of

_SMALLEST = 32
"""Integers below this are counts; they are names only as part of a sequence that moved with the run."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What stood at one place in each run. `area` is sent, answer, cookie, dump or tag (an entity tag)."""

    values: tuple[str, ...]
    area: str
    step: int


@dataclass(frozen=True, slots=True)
class Name:
    """A word in each warm run.

    Within a `space` no two names share a word. `equal` is false where only that is asked (entity tags).
    `ambient`: seen in the answers of several steps, never sent by the client and never stored, so that it may
    be the serving process's own identity. `once`: seen at a single place, so that nothing has to agree with it.
    """

    values: tuple[str, ...]
    space: str
    equal: bool = True
    ambient: bool = False
    once: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """All names of a workload, and per run the name of a word."""

    names: tuple[Name, ...] = ()
    of: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    words: tuple[Mapping[str, int], ...] = ()

    def at(self, run: int, word: str) -> int | None:
        """The name of a word of a warm run."""
        return self.words[run].get(word) if run < len(self.words) else None


def learn_names(sightings: Iterable[Sighting], runs: int) -> Names:
    """The largest set of names, best supported first, that is one-to-one in every run."""
    seen: dict[tuple[str, ...], set[tuple[str, int]]] = {}
    times: Counter[tuple[str, ...]] = Counter()
    for sighting in sightings:
        seen.setdefault(sighting.values, set()).add((sighting.area, sighting.step))
        times[sighting.values] += 1
    numbers = [values for values in seen if len(set(values)) == len(values) and all(map(str.isdigit, values))]
    sequences: dict[str, int] = {}
    for values in numbers:
        sequences[_space(values)] = sequences.get(_space(values), 0) + 1
    accepted: list[Name] = []
    taken: set[tuple[str, int, str]] = set()
    for values, where in sorted(seen.items(), key=lambda item: (-_support(item[1]), item[0])):
        space = _admitted(values, where, sequences)
        if space is None:
            continue
        areas = {area for area, _ in where}
        keys = {(space, run, value) for run, value in enumerate(values)}
        if keys & taken:
            continue
        taken |= keys
        ambient = areas == {"answer"} and len({step for _, step in where}) > 1
        accepted.append(Name(values, space, "tag" not in areas, ambient, times[values] == 1))
    words: list[dict[str, int]] = [{} for _ in range(runs)]
    for index, name in enumerate(accepted):
        for run, value in enumerate(name.values):
            words[run].setdefault(value, index)
    return Names(tuple(accepted), {name.values: index for index, name in enumerate(accepted)}, tuple(words))


def _support(where: set[tuple[str, int]]) -> int:
    return len(where) + 3 * sum(area == "sent" for area, _ in where)


def _space(values: Sequence[str]) -> str:
    first = int(values[0])
    return "int " + " ".join(str(int(value) - first) for value in values[1:])


def _admitted(values: tuple[str, ...], where: set[tuple[str, int]], sequences: Mapping[str, int]) -> str | None:
    """The space of a word that identifies something; None where it does not look so."""
    if len(values) < 2 or len(set(values)) != len(values):
        return None
    kind = type_of(values)
    if kind.name in CLOCKS or kind.name in ("number", "text"):
        return None
    if any(area == "tag" for area, _ in where):
        return "tag"
    several = len({step for _, step in where}) > 1 or len({area for area, _ in where}) > 1
    if kind.name == "int":
        if not all(map(str.isdigit, values)):
            return None
        if any(len(value) > 30 for value in values):
            return "token" if several else None
        space = _space(values)
        if sequences.get(space, 0) > 1 or (several and min(int(value) for value in values) >= _SMALLEST):
            return space
        return None
    if kind.name == "uuid" or (kind.name == "hex" and kind.low >= 8) or all(_random(value) for value in values):
        return "token"
    return "token" if several and min(map(len, values)) >= 4 else None


def _random(word: str) -> bool:
    return len(word) >= 8 and (
        any(char.isdigit() for char in word) or (word.lower() != word and word.upper() != word)
    )


def abstraction(names: Names) -> _Abstraction:
    """The canonical form of tokens under a renaming, for laying items side by side."""
    return _Abstraction(names)


class _Abstraction:
    __slots__ = ("names",)

    def __init__(self, names: Names) -> None:
        self.names = names

    def __call__(self, run: int, token: Token, level: int) -> str:
        name = self.names.at(run, token.text) if token.kind in ("word", "uuid", "number", "dotted") else None
        return f"‹{name}›" if name is not None else abstract(token, level)


def abstract(token: Token, level: int) -> str:
    """The canonical form of a token that is no name: itself, then (level 1) its kind, then (level 2) any number, then
    (level 3) anything in hexadecimal: a folder may be named by the first two digits of a digest."""
    if level == 0 or token.kind in ("space", "mark"):
        return token.text
    if level == 3 and is_hexadecimal(token.text):
        return "‹hex›"
    if token.kind in ("jwt", "signed", "uuid", "clock", "age"):
        return f"‹{token.kind}›"
    if token.kind == "word" and _random(token.text) and not token.text.isdigit():
        return "‹token›"
    if level >= 2 and token.text[0].isdigit():
        return "‹number›"
    return token.text


def form(text: str) -> str:
    """The coarsest form of a text: what has the same may be named by the same rule."""
    return "".join(abstract(token, 3) for token in tokens(text))
