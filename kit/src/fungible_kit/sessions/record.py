"""A session as the store holds it, changes to it, and how the one becomes the other. Pure.

Stores that cannot change single fields (Memcached, SQLite) keep a record as one value of bytes and use `applied`;
Valkey does the same in a script. The conformance kit holds both to one behaviour.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final

MAX_BYTES = 65536
MAX_NAMES = 256
MAX_NAME = 128


@dataclass(frozen=True, slots=True)
class Record:
    """Times are unix seconds. `fields` are encoded values. `token` is the store's own, for its next write."""

    fields: Mapping[str, bytes]
    created: int
    absolute: int
    touched: int
    idle_at: int
    user: str | None = None
    rotated: int = 0
    version: int = 1
    moved_to: str | None = None  # set: the id was rotated a moment ago, and this is the new key
    token: Any = field(default=None, compare=False, repr=False)

    @property
    def expire_at(self) -> int:
        return min(self.idle_at, self.absolute)

    def written(self, patch: Patch, done: Applied) -> Record:
        """What is known of it after a patch was applied; `fields` stay as they were read."""
        return Record(  # `replace` takes four times as long
            self.fields, self.created, self.absolute, patch.touched, patch.idle_at, self.user, self.rotated,
            done.version, self.moved_to, done.token,
        )  # fmt: skip

    @property
    def size(self) -> int:
        return sum(len(name.encode()) + len(value) for name, value in self.fields.items())


@dataclass(frozen=True, slots=True)
class Patch:
    """What one request changes. An empty one only moves the idle limit on.

    `expect` holds values as this request read them (None: not there); where one differs, nothing is written.
    `by` adds whole numbers to fields that are whole numbers or missing.
    `user` signs in under the same id; only for frameworks that have changed the id by then.
    """

    touched: int
    idle_at: int
    set: Mapping[str, bytes] = field(default_factory=dict)
    delete: frozenset[str] = frozenset()
    by: Mapping[str, int] = field(default_factory=dict)
    user: str | None = None  # who has signed in; None: as it was
    expect: Mapping[str, bytes | None] = field(default_factory=dict)
    max_bytes: int = MAX_BYTES
    max_names: int = MAX_NAMES


@dataclass(frozen=True, slots=True)
class Move:
    """A rotation: the record goes to a new key with `patch` applied, and the old key ends.

    `restart` begins a life of its own (login); None keeps what was. `grace` is for how many seconds the old key
    still leads to the new one: 0 at a login.
    """

    patch: Patch
    user: str | None
    rotated: int
    restart: tuple[int, int] | None = None
    """(created, absolute)"""
    grace: int = 0


@dataclass(frozen=True, slots=True)
class Applied:
    """Written. `numbers` are the sums that `by` made."""

    version: int
    numbers: Mapping[str, int] = field(default_factory=dict)
    token: Any = field(default=None, compare=False, repr=False)


class Refused(Enum):
    """Nothing was written."""

    GONE = "gone"  # no such session: it ended, was logged out or rotated
    TOO_LARGE = "too large"
    NOT_A_NUMBER = "not a number"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Nothing was written: these names are not as `expect` says."""

    names: frozenset[str]


Outcome = Applied | Refused | Conflict

GONE: Final = Refused.GONE


@dataclass(frozen=True, slots=True)
class Listed:
    """One of a user's sessions, as `Sessions.of` shows it. Times are unix seconds."""

    key: str
    public_id: str
    created: int
    touched: int
    expires: int


def applied(record: Record, patch: Patch) -> tuple[Record, Applied] | Refused | Conflict:
    """The record after a patch, or why it was not applied."""
    differs = frozenset(name for name, value in patch.expect.items() if record.fields.get(name) != value)
    if differs:
        return Conflict(differs)
    fields = dict(record.fields)
    for name in patch.delete:
        fields.pop(name, None)
    fields.update(patch.set)
    numbers: dict[str, int] = {}
    for name, by in patch.by.items():
        try:
            numbers[name] = int(fields.get(name, b"0")) + by
        except ValueError:
            return Refused.NOT_A_NUMBER
        fields[name] = b"%d" % numbers[name]
    user = patch.user if patch.user is not None else record.user
    after = replace(record, fields=fields, user=user, token=None, version=record.version + 1)
    after = replace(after, touched=patch.touched, idle_at=patch.idle_at)
    if (patch.set or patch.by) and (len(fields) > patch.max_names or after.size > patch.max_bytes):
        return Refused.TOO_LARGE
    return after, Applied(after.version, numbers)


def without(record: Record, name: str) -> tuple[Record, Applied] | Refused | Conflict:
    """The record after one of its values was taken, or that there is none of that name."""
    if name not in record.fields:
        return Refused.GONE
    return applied(record, Patch(record.touched, record.idle_at, delete=frozenset({name})))


def moved(record: Record, move: Move) -> Record | Refused | Conflict:
    """The record under its new key."""
    outcome = applied(record, move.patch)
    if not isinstance(outcome, tuple):
        return outcome
    created, absolute = move.restart or (record.created, record.absolute)
    return replace(outcome[0], created=created, absolute=absolute, user=move.user, rotated=move.rotated)


def pointer(record: Record, new: str, touched: int, grace: int) -> Record:
    """What the old key holds during the grace after a rotation: only where to go."""
    until = min(touched + grace, record.expire_at)
    return replace(record, fields={}, user=None, idle_at=until, moved_to=new, version=record.version + 1)


def packed(record: Record) -> bytes:
    """One value of bytes: a line of JSON with everything but the values, then the values as they are."""
    head = {
        "v": record.version,
        "c": record.created,
        "a": record.absolute,
        "t": record.touched,
        "i": record.idle_at,
        "r": record.rotated,
        "u": record.user,
        "m": record.moved_to,
        "f": [[name, len(value)] for name, value in record.fields.items()],
    }
    return b"\n".join([json.dumps(head, separators=(",", ":")).encode(), b"".join(record.fields.values())])


def unpacked(data: bytes, token: Any = None) -> Record:
    """The record of `packed`; raises ValueError where it is none."""
    line, separator, values = data.partition(b"\n")
    try:
        head = json.loads(line)
        fields: dict[str, bytes] = {}
        at = 0
        for name, length in head["f"]:
            fields[name] = values[at : at + length]
            at += length
        if not separator or at != len(values):
            raise ValueError
        return Record(
            fields, head["c"], head["a"], head["t"], head["i"], head["u"], head["r"], head["v"], head["m"], token
        )
    except (KeyError, TypeError, ValueError):
        raise ValueError("this value is not a session of ours") from None
