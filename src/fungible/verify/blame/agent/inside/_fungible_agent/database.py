"""The content of an SQLite database that is in memory alone, taken and put back by SQLite's own functions.

Python lets only the thread that opened a connection use it, and we are another; SQLite itself has no such rule
(https://sqlite.org/threadsafe.html: its mode is serialized unless the app chose otherwise).
"""

from __future__ import annotations

import sys
from typing import Any

from . import say

_MOST = 4 * 1024 * 1024
_FREE_AND_RESIZE = 3
"""SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE"""
_library: Any = None
_looked = False


def taken(connection: Any) -> bytes | None:
    """The content; None of a file, of a large database, and where the library cannot be reached."""
    library, handle = _reach(connection)
    if handle is None or library.sqlite3_db_filename(handle, b"main"):
        return None
    import ctypes

    size = ctypes.c_int64()
    found = library.sqlite3_serialize(handle, b"main", ctypes.byref(size), 0)
    if not found:
        return b"" if size.value == 0 else None
    try:
        return ctypes.string_at(found, size.value) if size.value <= _MOST else None
    finally:
        library.sqlite3_free(found)


def put_back(connection: Any, content: bytes) -> bool:
    """Give it the content; False where it is not possible, as during a transaction."""
    library, handle = _reach(connection)
    if handle is None:
        return False
    import ctypes

    size = len(content)
    memory = library.sqlite3_malloc64(max(size, 1))
    if not memory:
        return False
    ctypes.memmove(memory, content, size)
    # It frees the memory itself, also where it fails.
    return bool(library.sqlite3_deserialize(handle, b"main", memory, size, size, _FREE_AND_RESIZE) == 0)


def _reach(connection: Any) -> tuple[Any, Any]:
    """SQLite, and the handle of an open connection of the standard library's module; None where there is none."""
    module = sys.modules.get("_sqlite3")
    if module is None or sys.implementation.name != "cpython":
        return None, None
    if not any(base is module.Connection for base in say.mro(type(connection))):
        return None, None
    library = _loaded()
    if library is None:
        return None, None
    import ctypes

    # The first field of `pysqlite_Connection` (CPython's Modules/_sqlite/connection.h) since Python 2.5.
    handle = ctypes.c_void_p.from_address(id(connection) + object.__basicsize__).value
    return library, handle


def _loaded() -> Any:
    """The one SQLite library that is loaded already."""
    global _library, _looked
    if _looked:
        return _library
    _looked = True
    import ctypes

    with open("/proc/self/maps") as maps:
        paths = {line.split(None, 5)[5].strip() for line in maps if "libsqlite3" in line}
    if len(paths) != 1:
        return None
    library: Any = ctypes.CDLL(paths.pop())
    if not hasattr(library, "sqlite3_serialize") or not library.sqlite3_threadsafe():
        return None
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64
    for name, result, arguments in (
        ("sqlite3_db_filename", text, [pointer, text]),
        ("sqlite3_serialize", pointer, [pointer, text, ctypes.POINTER(number), ctypes.c_uint]),
        ("sqlite3_free", None, [pointer]),
        ("sqlite3_malloc64", pointer, [ctypes.c_uint64]),
        ("sqlite3_deserialize", ctypes.c_int, [pointer, text, pointer, number, number, ctypes.c_uint]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    _library = library
    return library
