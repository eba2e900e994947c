"""The table of tokens in SQL: operations to statements, and rows to values. Pure; SQLite and PostgreSQL share it.

One row a secret. Any program may read the table, whatever its language: `docs/tokens.md` has the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fungible_kit.services.sql import Statement
from fungible_kit.tokens.record import Row
from fungible_kit.tokens.store import (
    MOST,
    Create,
    Find,
    Insert,
    OfUser,
    Operation,
    Purge,
    Replace,
    RevokeLogin,
    RevokeUser,
    Touch,
    check_name,
)

_COLUMNS = (
    "digest, id, user_id, kind, scopes, label, created, issued, expires, renew_until, last_used, replaced, revoked"
)
_NAMES = _COLUMNS.split(", ")
_LIVE = "revoked IS NULL AND expires > ?"


@dataclass(frozen=True)
class Table:
    """A table by its name. `binary` is the SQL type of bytes, `one_step` says that a statement may hold others.

    `schema` is that of PostgreSQL in which the table is, None: the first of the user's search path.
    """

    name: str
    binary: str
    one_step: bool
    schema: str | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.schema is not None:
            check_name(self.schema, "schema")

    @property
    def place(self) -> str:
        """The name by which statements know it."""
        return self.name if self.schema is None else f"{self.schema}.{self.name}"

    @property
    def create(self) -> tuple[str, ...]:
        """The statements that make the table, in a schema that is there."""
        name, place = self.name, self.place
        return (
            f"CREATE TABLE IF NOT EXISTS {place} (\n"
            f"  digest {self.binary} PRIMARY KEY,\n"
            "  id TEXT NOT NULL,\n"
            "  user_id TEXT NOT NULL,\n"
            "  kind TEXT NOT NULL,\n"
            "  scopes TEXT NOT NULL,\n"
            "  label TEXT NOT NULL,\n"
            "  created BIGINT NOT NULL,\n"
            "  issued BIGINT NOT NULL,\n"
            "  expires BIGINT NOT NULL,\n"
            "  renew_until BIGINT,\n"
            "  last_used BIGINT NOT NULL,\n"
            "  replaced BIGINT,\n"
            "  revoked BIGINT\n"
            ")",
            f"CREATE INDEX IF NOT EXISTS {name}_id ON {place} (id)",
            f"CREATE INDEX IF NOT EXISTS {name}_user_id ON {place} (user_id)",
            f"CREATE INDEX IF NOT EXISTS {name}_expires ON {place} (expires)",
        )

    def statements(self, operation: Operation) -> tuple[Statement, ...]:
        """What carries an operation out: one statement, or several for one transaction; the last has the result."""
        match operation:
            case Find(digest):
                return (Statement(f"SELECT {_COLUMNS} FROM {self.place} WHERE digest = ?", (digest,)),)
            case Insert(row):
                values = f"VALUES ({', '.join('?' for _ in _NAMES)}) ON CONFLICT DO NOTHING"
                return (Statement(f"INSERT INTO {self.place} ({_COLUMNS}) {values}", _flat(row)),)
            case Replace():
                return self._replace(operation)
            case Touch(digest, now, before):
                update = f"UPDATE {self.place} SET last_used = ? WHERE digest = ? AND last_used <= ?"
                return (Statement(update, (now, digest, before)),)
            case RevokeLogin(id, now):
                update = f"UPDATE {self.place} SET revoked = ? WHERE id = ? AND revoked IS NULL"
                return (Statement(update, (now, id)),)
            case RevokeUser(user_id, now, keep):
                update = f"UPDATE {self.place} SET revoked = ? WHERE user_id = ? AND id <> ? AND revoked IS NULL"
                return (Statement(update, (now, user_id, keep or "")),)
            case OfUser(user_id, now):
                where = f"user_id = ? AND replaced IS NULL AND {_LIVE} ORDER BY issued DESC LIMIT {MOST}"
                return (Statement(f"SELECT {_COLUMNS} FROM {self.place} WHERE {where}", (user_id, now)),)
            case Purge(now):
                return (Statement(f"DELETE FROM {self.place} WHERE expires < ?", (now,)),)
            case Create():
                return tuple(Statement(text) for text in self.create)

    def result(self, operation: Operation, rows: Sequence[Sequence[Any]], count: int) -> Any:
        """What an operation gives, of the last statement's rows and the number of rows that it wrote."""
        match operation:
            case Find():
                return _row(rows[0]) if rows else None
            case OfUser():
                return [_row(values) for values in rows]
            case Replace():
                return bool(rows[0][0]) if self.one_step else count > 0
            case RevokeLogin() | RevokeUser() | Purge():
                return count
            case _:
                return None

    @property
    def _typed(self) -> str:
        """A parameter for each column: outside VALUES, PostgreSQL takes one for text unless told."""
        types = [self.binary, *["TEXT"] * 5, *["BIGINT"] * 7]
        return ", ".join(f"CAST(? AS {kind}) AS {name}" for name, kind in zip(_NAMES, types, strict=True))

    def _replace(self, operation: Replace) -> tuple[Statement, ...]:
        old, new = operation.old, operation.new
        update = (
            f"UPDATE {self.place} SET replaced = COALESCE(replaced, ?) "
            f"WHERE digest = ? AND {_LIVE} AND (replaced IS NULL OR replaced > ?)"
        )
        update_values = (operation.now, old, operation.now, operation.since)
        insert = f"INSERT INTO {self.place} ({_COLUMNS}) SELECT {_COLUMNS} FROM (SELECT {self._typed}) AS new"
        if not self.one_step:
            # SQLite has no UPDATE inside WITH; changes() is the number of rows of the statement before.
            # A repetition writes the row that is there, and so counts as well.
            again = "ON CONFLICT (digest) DO UPDATE SET digest = excluded.digest"
            return Statement(update, update_values), Statement(f"{insert} WHERE changes() > 0 {again}", _flat(new))
        one = (
            f"WITH used AS ({update} RETURNING 1), "
            f"added AS ({insert} WHERE EXISTS (SELECT 1 FROM used) ON CONFLICT DO NOTHING) SELECT count(*) FROM used"
        )
        return (Statement(one, (*update_values, *_flat(new))),)


def _flat(row: Row) -> tuple[Any, ...]:
    return (
        row.digest,
        row.id,
        row.user_id,
        row.kind,
        " ".join(row.scopes),
        row.label,
        row.created,
        row.issued,
        row.expires,
        row.renew_until,
        row.last_used,
        row.replaced,
        row.revoked,
    )


def _row(values: Sequence[Any]) -> Row:
    digest, id, user_id, kind, scopes, label, *times = values
    return Row(bytes(digest), id, user_id, kind, tuple(scopes.split()), label, *times)
