"""One SQLite file: recognised, copied while in use, read out as tables, its sequences moved on."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from fungible.app.problem import Exit, Problem
from fungible.services.store import Row
from fungible.services.value import MOST_ROWS, json_value

_MAGIC = b"SQLite format 3\x00"  # https://www.sqlite.org/fileformat.html, section 1.3
_SIDECARS = ("-wal", "-shm", "-journal")
_LARGEST_ID = 2**63 - 1


def is_database(path: Path) -> bool:
    """Whether a file begins as a SQLite database does."""
    try:
        with path.open("rb") as file:
            return file.read(16) == _MAGIC
    except OSError:
        return False


def is_sidecar(path: Path) -> bool:
    """Whether a file is the journal, the write-ahead log or the shared memory of a database beside it."""
    for ending in _SIDECARS:
        if path.name.endswith(ending):
            return is_database(path.with_name(path.name.removesuffix(ending)))
    return False


def has_journal(path: Path) -> bool:
    """Whether a database has a journal or a write-ahead log, so that its bytes alone are not its content."""
    return is_database(path) and any(path.with_name(path.name + ending).exists() for ending in ("-wal", "-journal"))


def copy(source: Path, target: Path) -> bool:
    """Write what `source` holds, its journal or log included, to the new file `target`.

    False where SQLite does not know the file as a database. Raises `Problem` if it stays locked for 5 s.
    """
    try:
        with _opened(source) as database, contextlib.closing(sqlite3.connect(target)) as written:
            written.execute("PRAGMA synchronous = OFF")
            database.backup(written)
    except sqlite3.DatabaseError as error:
        for ending in ("", *_SIDECARS):
            target.with_name(target.name + ending).unlink(missing_ok=True)
        if "locked" in str(error):
            raise Problem(f"{source}: the database stays locked; end what uses it", Exit.NOT_ALLOWED) from None
        return False
    return True


def tables(path: Path) -> dict[str, list[Row]]:
    """Table name -> its rows, as JSON-ready values.

    In the order of their rowid (of their creation, or the integer primary key); tables WITHOUT ROWID by
    primary key. Left out are SQLite's own tables and the shadow tables of virtual ones, whose content
    depends on how often the index was merged. A virtual table whose module is not known here has one row
    with the field `unreadable`.

    Raises `Problem` for a file that is damaged or stays locked.
    """
    try:
        with _opened(path, of_worlds=True) as database:
            return {name: list(_rows(database, name, kind)) for name, kind in _names(database)}
    except sqlite3.DatabaseError as error:
        raise Problem(f"{path}: cannot be read as a SQLite database: {error}", Exit.NOT_ALLOWED) from None


def skew(path: Path, offset: int) -> None:
    """Let every AUTOINCREMENT table of `path` count on from its highest id plus `offset`.

    A table without AUTOINCREMENT takes the highest rowid there is plus one (sqlite.org/autoinc.html): it
    keeps no sequence that could be moved, and is left alone.
    """
    try:
        with _opened(path, of_worlds=True) as database:
            counted = [
                str(name)
                for name, statement in database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
                if "autoincrement" in str(statement).lower()
            ]
            if not counted:
                return
            with database:
                at = dict(database.execute("SELECT name, seq FROM sqlite_sequence"))
                for name in counted:
                    if name not in at:
                        database.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, offset))
                    elif int(at[name] or 0) <= _LARGEST_ID - offset:
                        database.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = ?", (offset, name))
    except sqlite3.DatabaseError as error:
        raise Problem(f"{path}: its sequences cannot be moved: {error}", Exit.NOT_ALLOWED) from None


@contextlib.contextmanager
def _opened(path: Path, *, of_worlds: bool = False) -> Iterator[sqlite3.Connection]:
    # mode=rw: a journal left by a killed process is rolled back, and no file is made by looking at it.
    database = sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=5, cached_statements=0)
    try:
        # A text column may hold bytes that are not UTF-8; `json_value` turns the surrogates back into them.
        database.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
        if of_worlds:  # put back before the next one: neither a commit nor the log's end need wait for the disk
            database.execute("PRAGMA synchronous = OFF")
        yield database
    finally:
        database.close()


def _names(database: sqlite3.Connection) -> list[tuple[str, str]]:
    """Every table with `rowid`, `without rowid` or `virtual`, by name."""
    listed = database.execute("PRAGMA main.table_list").fetchall()
    if not listed:  # before SQLite 3.37 there is no such pragma
        return _names_by_statement(database)
    kinds = {("table", 0): "rowid", ("table", 1): "without rowid", ("virtual", 0): "virtual"}
    return sorted(
        (str(name), kinds[kind, without_rowid])
        for _, name, kind, _, without_rowid, *_ in listed
        if (kind, without_rowid) in kinds and not str(name).startswith("sqlite_")
    )


def _names_by_statement(database: sqlite3.Connection) -> list[tuple[str, str]]:
    statements = {
        str(name): " ".join(str(sql).lower().split())
        for name, sql in database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        if not str(name).startswith("sqlite_")
    }
    virtual = tuple(name for name, sql in statements.items() if sql.startswith("create virtual"))
    return sorted(
        (name, "virtual" if name in virtual else "without rowid" if "without rowid" in sql else "rowid")
        for name, sql in statements.items()
        if not any(name.startswith(f"{parent}_") for parent in virtual)
    )


def _rows(database: sqlite3.Connection, name: str, kind: str) -> Iterator[Row]:
    quoted = '"' + name.replace('"', '""') + '"'
    try:
        columns = [
            (str(row[1]), int(row[5]))
            for row in database.execute(f"PRAGMA main.table_xinfo({quoted})")
            if row[6] != 1  # hidden columns of virtual tables
        ]
        named = ", ".join('"' + column.replace('"', '""') + '"' for column, _ in columns)
        order = _order(columns, kind)
        selected = database.execute(f"SELECT {named} FROM main.{quoted}{order}")
    except sqlite3.DatabaseError as error:
        if kind != "virtual":
            raise
        yield {"unreadable": str(error)}
        return
    names = [column for column, _ in columns]
    for count, row in enumerate(selected):
        if count == MOST_ROWS:
            total = database.execute(f"SELECT count(*) FROM main.{quoted}").fetchone()[0]
            yield {"rows_not_shown": total - MOST_ROWS}
            return
        yield {column: json_value(value) for column, value in zip(names, row, strict=True)}


def _order(columns: list[tuple[str, int]], kind: str) -> str:
    if kind == "without rowid":
        key = [name for name, position in sorted(columns, key=lambda column: column[1]) if position]
        return " ORDER BY " + ", ".join('"' + name.replace('"', '""') + '"' for name in key)
    # A column may hide one of the names of the rowid (sqlite.org/lang_createtable.html#rowid).
    hidden = {name.lower() for name, _ in columns}
    free = next((alias for alias in ("rowid", "oid", "_rowid_") if alias not in hidden), None)
    return f" ORDER BY {free}" if free else ""


def copy_bytes(source: Path, target: Path) -> None:
    """Copy a database that must not be opened: its file, and its log or journal, as bytes.

    Repeated until nothing changed meanwhile. Raises `Problem` where it is no database, cannot be read, or
    changes all the time.
    """
    if not source.is_file():
        raise Problem(f"{source} is not there, or is no file", Exit.NOT_ALLOWED)
    if source.stat().st_size and not is_database(source):
        raise Problem(f"{source} is no SQLite database", Exit.NOT_ALLOWED)
    for _ in range(5):
        before = _state(source)
        try:
            for ending, status in before.items():
                copied = target.with_name(target.name + ending)
                copied.unlink(missing_ok=True)
                if status is not None:
                    shutil.copyfile(source.with_name(source.name + ending), copied)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Problem(f"{source}: cannot be copied: {error.strerror}", Exit.NOT_ALLOWED) from None
        if _state(source) == before:
            return
        time.sleep(0.2)
    raise Problem(
        f"{source}: it is being written all the time; stop what writes it, then try again", Exit.NOT_ALLOWED
    )


def put_bytes(source: Path, target: Path) -> None:
    """Make `target`, its log and journal included, what `copy_bytes` made of it in `source`."""
    try:
        for ending in _SIDECARS:
            target.with_name(target.name + ending).unlink(missing_ok=True)
        for ending in ("-wal", "-journal", ""):  # the database last: it alone says that there is one
            kept = source.with_name(source.name + ending)
            if kept.exists():
                draft = target.with_name(f"{target.name}.fungible-{os.getpid()}")
                shutil.copyfile(kept, draft)
                if target.exists():
                    shutil.copymode(target, draft)
                draft.replace(target.with_name(target.name + ending))
    except OSError as error:
        raise Problem(f"{target}: cannot be put back: {error.strerror}", Exit.NOT_ALLOWED) from None


def _state(source: Path) -> dict[str, tuple[int, int, int] | None]:
    found: dict[str, tuple[int, int, int] | None] = {}
    for ending in ("", "-wal", "-journal"):
        try:
            status = source.with_name(source.name + ending).stat()
            found[ending] = (status.st_ino, status.st_size, status.st_mtime_ns)
        except FileNotFoundError:
            found[ending] = None
    return found
