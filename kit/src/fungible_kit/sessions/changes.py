"""What one request has read and changed, name by name: the source of the patch that is sent at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fungible_kit.sessions.codec import Codec
from fungible_kit.sessions.errors import SessionTooLarge
from fungible_kit.sessions.record import MAX_NAME

_FIXED = (str, int, float, bool, type(None), bytes)
"""Exact types whose values cannot be changed in place."""


class Changes:
    """Encoded `fields` as they were read, and on top of them what was handed out, assigned and deleted.

    A value that can be changed in place is compared with what it was, so `session["cart"].append(x)` is seen.
    `known` False: the record has not been read, and whatever is assigned is a change.
    """

    __slots__ = ("_assigned", "_codec", "_deleted", "_live", "_marks", "_max_bytes", "_max_names", "fields", "known")

    def __init__(self, codec: Codec, max_bytes: int, max_names: int) -> None:
        self._codec = codec
        self._max_bytes = max_bytes
        self._max_names = max_names
        self._live: dict[str, Any] = {}
        self._marks: dict[str, object] = {}  # of values as they were read, and are in `fields`
        self._assigned: dict[str, bytes] = {}
        self._deleted: set[str] = set()
        self.fields: Mapping[str, bytes] = {}
        self.known = True

    def read(self, fields: Mapping[str, bytes]) -> None:
        """The record is known now; what was assigned and deleted before stays on top of it."""
        self.fields = fields
        self.known = True

    def get(self, name: str) -> Any:
        """The value; KeyError where there is none."""
        if name in self._live:
            return self._live[name]
        if name in self._deleted or name not in self.fields:
            raise KeyError(name)
        data = self.fields[name]
        value = self._live[name] = self._codec.decode(name, data)
        if type(value) not in _FIXED:
            self._marks[name] = self._codec.mark(name, value, data)
        return value

    def set(self, name: str, value: Any) -> None:
        """Raises `SessionTooLarge` and what the codec raises; then nothing has changed."""
        _check_name(name)
        data = self._codec.encode(name, value)
        if len(name) + len(data) > self._max_bytes:
            raise SessionTooLarge(
                f"session[{name!r}] takes {len(data)} bytes and a session holds {self._max_bytes}; "
                "keep the value elsewhere and its key in the session"
            )
        self._check_total(name, data)
        self._live[name] = value
        self._marks.pop(name, None)
        self._assigned[name] = data
        self._deleted.discard(name)

    def delete(self, name: str) -> None:
        self._live.pop(name, None)
        self._marks.pop(name, None)
        self._assigned.pop(name, None)
        self._deleted.add(name)

    def names(self) -> Iterator[str]:
        for name in self.fields:
            if name not in self._deleted:
                yield name
        for name in list(self._assigned):
            if name not in self.fields:
                yield name

    def __contains__(self, name: object) -> bool:
        return name in self._assigned or (name in self.fields and name not in self._deleted)

    def pending(self) -> tuple[dict[str, bytes], frozenset[str]]:
        """What differs from what was read: encoded values to set, names to delete."""
        sets: dict[str, bytes] = {}
        for name, value in self._live.items():
            data = self._assigned.get(name)
            fixed = type(value) in _FIXED
            if data is None and (fixed or self._is_as_read(name, value)):
                continue
            before = self.fields.get(name)
            if before is None or self._codec.changed(name, before, value):
                sets[name] = data if data is not None and fixed else self._codec.encode(name, value)
        deletes = self._deleted if not self.known else self._deleted.intersection(self.fields)
        return sets, frozenset(deletes)

    def settle(self, sets: Mapping[str, bytes], deletes: frozenset[str]) -> None:
        """These changes are in the store now."""
        self.fields = {name: data for name, data in self.fields.items() if name not in deletes} | dict(sets)
        for name in sets:
            self._assigned.pop(name, None)
            self._marks.pop(name, None)
        self._deleted -= deletes

    def put(self, name: str, data: bytes | None) -> None:
        """The store holds this under `name` now, whatever this request thought."""
        fields = dict(self.fields)
        self._live.pop(name, None)
        self._marks.pop(name, None)
        self._assigned.pop(name, None)
        self._deleted.discard(name)
        if data is None:
            fields.pop(name, None)
        else:
            fields[name] = data
        self.fields = fields

    def drop(self) -> None:
        """Back to what was read."""
        self._live.clear()
        self._marks.clear()
        self._assigned.clear()
        self._deleted.clear()

    def empty(self) -> None:
        """Nothing was read and nothing is changed."""
        self.drop()
        self.fields = {}
        self.known = True

    def _is_as_read(self, name: str, value: Any) -> bool:
        mark = self._marks.get(name)
        return mark is not None and self._codec.same(name, value, mark)

    def _check_total(self, name: str, data: bytes) -> None:
        held = {**self.fields, **self._assigned, name: data} if self.fields or self._assigned else {name: data}
        total = sum(len(other) + len(value) for other, value in held.items() if other not in self._deleted)
        if total > self._max_bytes:
            raise SessionTooLarge(
                f"with session[{name!r}] the session takes {total} bytes, and it holds {self._max_bytes}; "
                "keep large values elsewhere and their keys in the session"
            )
        if len(held) - len(self._deleted.intersection(held)) > self._max_names:
            raise SessionTooLarge(f"session[{name!r}] would be one name more than the {self._max_names} it holds")


def _check_name(name: str) -> None:
    if type(name) is not str:
        raise SessionTooLarge(f"session[{name!r}]: the name of a value must be a str")
    if not name or len(name) > MAX_NAME or name[0] == "\0":
        raise SessionTooLarge(
            f"session[{name[:20]!r}]: a name has 1 to {MAX_NAME} characters and does not begin with a zero byte"
        )
