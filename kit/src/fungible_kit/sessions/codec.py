"""Values as JSON, and nothing that would come back as something else.

Plain JSON values are plain JSON in the store. The few further types that web frameworks put into sessions are an
object with one name that begins with `@`: tuple, bytes, datetime, date, Decimal, UUID and Markup. There is no
pickle and no fallback decoder.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from fungible_kit.sessions.errors import NotStorable, SessionError

_DEPTH = 64
_TAG = b'{"@'
_SIMPLE = frozenset({str, int, bool, type(None)})
_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_read = json.JSONDecoder().decode


class Codec(Protocol):
    """Turns the value under `name` into bytes and back; a third party's may replace ours."""

    def encode(self, name: str, value: Any) -> bytes:
        """Raises `NotStorable` for what would not come back the same."""
        ...

    def decode(self, name: str, data: bytes) -> Any:
        """The value as it was given to `encode`, an own copy at every call."""
        ...

    def changed(self, name: str, before: bytes, value: Any) -> bool:
        """Whether `value` is another one than `before` holds. The same value may be other bytes."""
        ...

    def mark(self, name: str, value: Any, data: bytes) -> object:
        """Something of a value just decoded from `data` by which `same` tells quickly whether it is still that."""
        ...

    def same(self, name: str, value: Any, mark: object) -> bool:
        """Whether `value` is as it was when `mark` was made; where that is not certain, False: `changed` is asked."""
        ...


class JsonCodec:
    """The codec that sessions use unless told otherwise.

    What is written is the standard library's JSON. Where `msgspec` is installed it reads, and compares, several times
    as fast; the values are the same with and without it.
    """

    def encode(self, name: str, value: Any) -> bytes:
        kind = type(value)
        if kind is int:
            return b"%d" % value
        # Most values need no walk.
        plain = value if kind in _SIMPLE else _plain(value, name, 0)
        return _write(plain).encode("utf-8", "surrogatepass")

    def decode(self, name: str, data: bytes) -> Any:
        try:
            if _TAG not in data:
                fast = _msgspec()
                if fast is not None:
                    try:
                        return fast.read(data)
                    except (ValueError, RecursionError):
                        pass  # a lone surrogate, or no JSON
                return _read(data.decode("utf-8", "surrogatepass"))
            return _read_tagged(data.decode("utf-8", "surrogatepass"))
        except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError):
            raise SessionError(f"session[{name!r}] in the store is not written by this codec; delete it") from None

    def changed(self, name: str, before: bytes, value: Any) -> bool:
        data = self.encode(name, value)
        # Written by another framework, the same value may have other spaces or escapes.
        return data != before and data != self.encode(name, self.decode(name, before))

    def mark(self, name: str, value: Any, data: bytes) -> object:
        fast = _msgspec() if _TAG not in data else None
        if fast is not None:
            try:
                packed = fast.pack(value)
                return _Mark(packed, fast.unpack(packed))
            except (ValueError, TypeError, OverflowError, RecursionError):
                pass  # no room for the number, or a lone surrogate
        return _spelled(value)

    def same(self, name: str, value: Any, mark: object) -> bool:
        if not isinstance(mark, _Mark):
            return mark is not None and mark == _spelled(value)
        fast = _msgspec()
        assert fast is not None
        try:
            return bool(mark.value == value) and mark.packed == fast.pack(value)
        except Exception:  # an app's own class, or nested without end: `changed` will refuse it in words
            return False


class _Mark(NamedTuple):
    """A value of plain JSON: equality overlooks True and 1, its bytes overlook list and tuple; neither both."""

    packed: bytes
    value: Any


class _Msgspec(NamedTuple):
    read: Callable[[bytes], Any]
    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], Any]


@cache
def _msgspec() -> _Msgspec | None:
    try:
        from msgspec import json, msgpack
    except ImportError:
        return None
    return _Msgspec(json.Decoder().decode, msgpack.Encoder().encode, msgpack.Decoder().decode)


def _spelled(value: Any) -> str | None:
    """Its `repr`, which all storable types have in full: less than half the time that encoding takes."""
    try:
        return repr(value)
    except Exception:  # an app's own class, or nested without end: `changed` will refuse it in words
        return None


def _plain(value: Any, where: str, depth: int) -> Any:
    """`value` with tagged objects for what JSON has no word for."""
    kind = type(value)
    if kind in _SIMPLE:
        return value
    if depth > _DEPTH:
        raise NotStorable(f"session[{where!r}] is nested deeper than {_DEPTH} levels, or contains itself; flatten it")
    if kind is float:
        if not math.isfinite(value):
            raise NotStorable(f"session[{where!r}]: JSON has no {value!r}; store None or a string")
        return value
    if kind is list:
        return [item if type(item) in _SIMPLE else _plain(item, where, depth + 1) for item in value]
    if kind is dict:
        plain, tagged = {}, False
        for name, item in value.items():
            if type(name) is not str:
                raise NotStorable(
                    f"session[{where!r}]: the key {name!r} of a dict would come back as text; use a str as key"
                )
            tagged = tagged or name[:1] == "@"
            plain[name] = item if type(item) in _SIMPLE else _plain(item, where, depth + 1)
        return {"@dict": [[name, item] for name, item in plain.items()]} if tagged else plain
    if kind is tuple:
        return {"@tuple": [_plain(item, where, depth + 1) for item in value]}
    for tag, (known, write, _) in _TAGS.items():
        if kind is known:
            try:
                return {tag: write(value)}
            except NotStorable as error:
                raise NotStorable(f"session[{where!r}]: {error}") from None
    if isinstance(value, str) and kind.__module__.partition(".")[0] == "markupsafe":
        return {"@markup": str.__str__(value)}
    raise NotStorable(
        f"session[{where!r}]: a value of type {kind.__qualname__} would not come back as it is; store a plain one "
        "(str, int, float, bool, None, list, dict, tuple, bytes, datetime, date, Decimal, UUID)"
    )


def _markup(text: str) -> str:
    try:
        from markupsafe import Markup
    except ImportError:
        return text
    return Markup(text)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.removesuffix("#")).replace(fold=1 if text.endswith("#") else 0)


def _stamp(moment: datetime) -> str:
    if moment.tzinfo is not None and type(moment.tzinfo).__module__ != "datetime":
        # A named zone comes back as its offset, which is another value once summer ends.
        raise NotStorable(
            f"a datetime in the zone {moment.tzinfo} would come back with a fixed offset; "
            "store value.astimezone(datetime.UTC)"
        )
    return moment.isoformat() + ("#" if moment.fold else "")


_TAGS: dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    "@bytes": (bytes, lambda value: base64.b64encode(value).decode(), lambda text: base64.b64decode(text)),
    "@datetime": (datetime, _stamp, _moment),
    "@date": (date, date.isoformat, date.fromisoformat),
    "@decimal": (Decimal, str, Decimal),
    "@uuid": (UUID, str, UUID),
}
"""Tag -> the type, how it is written, how it is read."""


def _revived(found: dict[str, Any]) -> Any:
    if len(found) == 1:
        ((tag, content),) = found.items()
        if tag in _TAGS:
            return _TAGS[tag][2](content)
        if tag == "@tuple":
            return tuple(content)
        if tag == "@dict":
            return dict(content)
        if tag == "@markup":
            return _markup(content)
    return found


_read_tagged = json.JSONDecoder(object_hook=_revived).decode
