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
from typing import Any, Protocol
from uuid import UUID

from fungible_kit.sessions.errors import NotStorable, SessionError

_DEPTH = 64
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

    def mark(self, name: str, value: Any) -> object:
        """What is quick to make and equal only where the value is the same; None where there is no such thing, and
        `changed` is to be asked.
        """
        ...


class JsonCodec:
    """The codec that sessions use unless told otherwise."""

    def encode(self, name: str, value: Any) -> bytes:
        kind = type(value)
        # Most values need no walk.
        plain = value if kind in _SIMPLE else _plain(value, name, 0)
        return _write(plain).encode("utf-8", "surrogatepass")

    def decode(self, name: str, data: bytes) -> Any:
        try:
            text = data.decode("utf-8", "surrogatepass")
            return _read_tagged(text) if '{"@' in text else _read(text)
        except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError):
            raise SessionError(f"session[{name!r}] in the store is not written by this codec; delete it") from None

    def changed(self, name: str, before: bytes, value: Any) -> bool:
        data = self.encode(name, value)
        # Written by another framework, the same value may have other spaces or escapes.
        return data != before and data != self.encode(name, self.decode(name, before))

    def mark(self, name: str, value: Any) -> object:
        """Its `repr`, which all storable types have in full: a fifth of the time that encoding takes."""
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
