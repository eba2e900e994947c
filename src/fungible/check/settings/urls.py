"""URLs of databases, brokers and caches: whether what they name lies in a process or on its own disk."""

from __future__ import annotations

import re

from fungible.check.settings.values import UNKNOWN, Either, Environ, Mixed, Value, either

SQLITE_ENGINE = "django.db.backends.sqlite3"
_SQLITE = re.compile(r"(sqlite|sqlite3|spatialite|duckdb)(\+\w+)?:", re.IGNORECASE)


def database_of(value: Value) -> Value:
    """The database settings that dj-database-url and django-environ make of a URL."""
    if isinstance(value, Either):
        return either(*(database_of(each) for each in value.options))
    if isinstance(value, Environ):
        return Environ(UNKNOWN if value.default is UNKNOWN else database_of(value.default))
    if isinstance(value, Mixed):
        return {"ENGINE": SQLITE_ENGINE, "NAME": UNKNOWN} if _SQLITE.match(value.start) else UNKNOWN
    if not isinstance(value, str):
        return UNKNOWN
    if not _SQLITE.match(value):
        return {"ENGINE": value.partition(":")[0], "NAME": UNKNOWN}
    return {"ENGINE": SQLITE_ENGINE, "NAME": ":memory:" if is_memory(value) else value.partition("://")[2]}


def is_sqlite(value: Value) -> bool:
    """Whether this is the URL of a SQLite or DuckDB database whose place is known: in memory or on a disk."""
    return isinstance(value, str) and _SQLITE.match(value) is not None


def is_memory(value: Value) -> bool:
    """Whether this is the URL of a SQLite database in memory."""
    if not isinstance(value, str) or not _SQLITE.match(value):
        return False
    rest = value.partition(":")[2].partition("?")[0].strip("/")
    return rest in ("", ":memory:") or "mode=memory" in value


def scheme(value: Value) -> str | None:
    """The scheme of a URL, or None for what is no URL."""
    text = value.start if isinstance(value, Mixed) else value
    if not isinstance(text, str) or ":" not in text:
        return None
    return text.partition(":")[0].lower()
