"""What can be told of a value that is read and not run.

A value is a str, int, float, bool, None, bytes, a list, a dict, or one of the classes below. A path made of
`__file__` or of the current folder is a str that starts with `.`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

Value = object
_MOST_OPTIONS = 16


class Mark(Enum):
    """`unknown`: it cannot be told. `absent`: nothing is bound to the name, so that a default counts."""

    UNKNOWN = "unknown"
    ABSENT = "absent"


UNKNOWN = Mark.UNKNOWN
ABSENT = Mark.ABSENT


@dataclass(frozen=True)
class Environ:
    """A value from the environment, and what it is where that has none (UNKNOWN: nothing was said)."""

    default: Value = UNKNOWN


@dataclass(frozen=True)
class Mixed:
    """A text of which only the beginning is known; the rest comes from elsewhere."""

    start: str


@dataclass(frozen=True)
class Either:
    """One of several values: what decides is not known here."""

    options: tuple[Value, ...]


@dataclass(frozen=True)
class Named:
    """Something imported that is no literal (`aiocache.Cache.MEMORY`), by its full name."""

    name: str


@dataclass(frozen=True)
class Made:
    """What a call of `name` gives, with the arguments that could be told."""

    name: str
    arguments: tuple[Value, ...] = ()
    keywords: tuple[tuple[str, Value], ...] = ()


class Answer(Enum):
    """`always`: whatever decides; `maybe`: unless the environment or a condition says otherwise; `no`: as far as is
    known."""

    ALWAYS = "always"
    MAYBE = "maybe"
    NO = "no"


def either(*options: Value) -> Value:
    """One of these; those that are the same count once."""
    found: list[Value] = []
    for option in options:
        for each in option.options if isinstance(option, Either) else (option,):
            if not any(_same(each, other) for other in found):
                found.append(each)
    return found[0] if len(found) == 1 else Either(tuple(found[:_MOST_OPTIONS]))


def options(value: Value) -> Iterator[tuple[Value, bool]]:
    """What a value may be, each with whether it is so for sure."""
    ahead = [(value, True)]
    while ahead:
        each, sure = ahead.pop(0)
        if isinstance(each, Either):
            ahead.extend((one, False) for one in each.options)
        elif isinstance(each, Environ):
            if each.default is not UNKNOWN:
                ahead.append((each.default, False))
        else:
            yield each, sure


def judge(value: Value, bad: Callable[[Value], bool]) -> Answer:
    """Whether a value is bad: always, maybe or not known to be."""
    found = [bad(each) for each, _ in options(value)]
    if not any(found):
        return Answer.NO
    return Answer.ALWAYS if all(found) and not _from_outside(value) else Answer.MAYBE


def item(value: Value, *keys: str) -> Value:
    """What stands in a dict under a key, then in that under the next; ABSENT where a known dict has no such key."""
    if not keys:
        return value
    if isinstance(value, Either):
        return either(*(item(each, *keys) for each in value.options))
    if isinstance(value, Environ):
        return Environ(UNKNOWN if value.default is UNKNOWN else item(value.default, *keys))
    if not isinstance(value, dict):
        return ABSENT if value is ABSENT else UNKNOWN
    return item(value.get(keys[0], UNKNOWN if SPREAD in value else ABSENT), *keys[1:])


SPREAD = "**"
"""The key of a dict into which something unknown was spread."""


def _from_outside(value: Value) -> bool:
    if isinstance(value, Either):
        return any(_from_outside(each) for each in value.options)
    return isinstance(value, Environ)


def _same(one: Value, other: Value) -> bool:
    return type(one) is type(other) and one == other
