"""Kinds of values that a setting can have: what is expected in words, and the reading of it."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fungible.app.lines import MAX_STRING, byte_length
from fungible.app.quantity import format_duration, format_size, parse_duration, parse_size
from fungible.app.wording import listed, nearest, shown

_MOST_ITEMS = 1000


class UnfitError(ValueError):
    """A value that does not fit, with a hint for the user as its text."""


class UnfitItemError(ValueError):
    """The first item of a list that does not fit its kind, and its index."""

    def __init__(self, kind: Kind, item: object, index: int) -> None:
        super().__init__()
        self.kind = kind
        self.item = item
        self.index = index


@dataclass(frozen=True)
class Kind:
    """A kind of value: `name` for tables, `words` after "must be", `read` from plain data (TOML or text).

    `read` raises ValueError for what does not fit, `UnfitError` where there is a hint to add to the message.
    `text` writes a value as it would stand in a settings file.
    """

    name: str
    words: str
    read: Callable[[object], Any]
    text: Callable[[Any], str] = lambda value: _toml(value)


def duration(low: float = 0.0, high: float = 24 * 86400.0) -> Kind:
    """Seconds, from `low` to `high`. HAProxy counts milliseconds in 31 bits, hence 24 days."""
    from_words = f"from {format_duration(low)} " if low else ""

    def read(value: object) -> float:
        seconds = parse_duration(value)
        if not low <= seconds <= high:
            raise ValueError
        return seconds

    words = f'a duration such as "500ms", "60s" or "5m", {from_words}up to {format_duration(high)}'
    return Kind("duration", words, read, lambda value: f'"{format_duration(value)}"')


def size(low: int = 0) -> Kind:
    """Bytes, at least `low`."""

    def read(value: object) -> int:
        found = parse_size(value)
        if not low <= found < 1 << 60:
            raise ValueError
        return found

    words = f'a size such as "512MiB" or "1GiB", at least {format_size(low)}'
    return Kind("size", words, read, lambda value: f'"{format_size(value)}"')


def whole(low: int, high: int) -> Kind:
    """A whole number from `low` to `high`."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return Kind("whole number", f"a whole number from {low} to {high}", read)


def number(low: float, high: float) -> Kind:
    """A number from `low` to `high`."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError
        return float(value)

    return Kind("number", f"a number from {low:g} to {high:g}", read)


def choice(*words: str, instead: Mapping[str, str] | None = None) -> Kind:
    """One of a few words; `instead` names the one to use for words that some know it by."""

    def read(value: object) -> str:
        if isinstance(value, str) and value in words:
            return value
        if isinstance(value, str) and instead is not None and value in instead:
            raise UnfitError(f"Use {shown(instead[value])}.")
        raise UnfitError(nearest(value, words).strip() if isinstance(value, str) else "")

    return Kind(" | ".join(words), f"one of {listed(words)}", read)


def text(name: str, words: str, pattern: str) -> Kind:
    """Text that matches `pattern` as a whole."""
    compiled = re.compile(pattern, re.ASCII)

    def read(value: object) -> str:
        found = _bounded(value)
        if not compiled.fullmatch(found):
            raise ValueError
        return found

    return Kind(name, words, read)


def some(of: Kind, plural: str) -> Kind:
    """One of `of`, or a list of them; read as a tuple."""

    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            return (of.read(value),)
        if len(value) > _MOST_ITEMS:
            raise ValueError
        return tuple(_read_item(of, item, index) for index, item in enumerate(value))

    return Kind(f"list of {plural}", f"{of.words}, or a list of them", read)


def _read_item(kind: Kind, item: object, index: int) -> Any:
    try:
        return kind.read(item)
    except ValueError:
        raise UnfitItemError(kind, item, index) from None


def _read_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _read_signal(value: object) -> str:
    """A signal's name without SIG. KILL and STOP cannot ask a process to stop: nothing can catch them."""
    known = {entry.name.removeprefix("SIG") for entry in signal.Signals} - {"KILL", "STOP"}
    if not isinstance(value, str):
        raise ValueError
    name = value.upper().removeprefix("SIG")
    if name not in known:
        raise UnfitError(
            "KILL and STOP cannot be caught." if name in ("KILL", "STOP") else nearest(name, known).strip()
        )
    return name


def _read_port(value: object) -> int:
    """From the command line it comes as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65535:
        raise ValueError
    return value


def _read_inner_path(value: object) -> str:
    found = _bounded(value)
    if not found.strip() or found.startswith(("/", "~")) or ".." in found.split("/"):
        raise ValueError
    return found


def _bounded(value: object) -> str:
    if not isinstance(value, str) or "\0" in value or byte_length(value) > MAX_STRING:
        raise ValueError
    return value


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return str(value)


FLAG = Kind("true or false", "true or false", _read_flag)
SIGNAL = Kind("signal", 'the name of a signal such as "TERM", "INT" or "QUIT"', _read_signal)
PORT = Kind("port", "a port from 0 (a free one) to 65535", _read_port)
HOST = text("host", "a host name or an address of this machine", r"[!-~]{1,253}")
COMMAND = text("command", "a command", r"(?s)(?=.*\S).*")
COMMANDS = some(COMMAND, "commands")
PATH = text("path", "a path", r"(?s)(?=.*\S)[^\n]*")
PATHS = some(PATH, "paths")
INNER_PATHS = some(
    Kind("path", "a path inside the app's folder", _read_inner_path),
    "paths inside the app's folder",
)
ADDRESSES = some(
    text(
        "address",
        'an address such as "127.0.0.1:1025", "api.example.org:443", "[::1]:25" or "api.example.org:*"',
        r"(\*|[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\*|[0-9]{1,5})",
    ),
    "addresses",
)
URL_PATH = text("path of a URL", 'a path such as "/healthz" that starts with a slash', r"/[!-~]*")
URL_FOLDER = text(
    "URL",
    'a path or URL that ends with a slash, such as "/assets/"',
    r"/([!-~]*/)?|https?://[!-.0-~][!-~]*/",
)
CALLABLE = text(
    "callable",
    '"wsgi:module:name" or "asgi:module:name", with "()" after the name of a factory',
    r"(wsgi|asgi):[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(\))?",
)
