"""Reads a PostgreSQL database out as rows, and moves its sequences on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fungible.services.store import Dump, Row
from fungible.services.value import LONGEST_BYTES, LONGEST_TEXT, MOST_ROWS

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.sql import Composed

# Ordinary tables and partitions; not those that an extension brought along (deptype e).
_TABLES = """
SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                  AND d.deptype = 'e')
ORDER BY n.nspname <> 'public', n.nspname, c.relname
"""
# `at` is the place in the primary key, and `counted` whether the type has an order that a repetition keeps.
_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, NULL), coalesce(array_position(i.indkey::int2[], a.attnum), 0),
       a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'date'::regtype)
FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""


async def dump(connection: AsyncConnection[Any]) -> Dump:
    """`table users` (`table billing.users` outside `public`) -> its rows, columns as JSON has them.

    In the order of the primary key where it is of integers or dates; else as they lie in the table, which
    follows their writing: a random key would give another order in every world. bytea is
    `{"base64": ...}`, or `{"sha256": ..., "bytes": N}` when large. Sequences, views and large objects are
    left out.
    """
    content: dict[str, list[Row]] = {}
    await connection.execute("SET TIME ZONE 'UTC'")
    for oid, schema, table in await (await connection.execute(_TABLES)).fetchall():
        columns = await (await connection.execute(_COLUMNS, [oid])).fetchall()
        rows: list[Row] = []
        async with connection.cursor() as cursor:
            await cursor.execute(_selection(schema, table, columns))
            for (row,) in await cursor.fetchall():
                rows.append(json.loads(row))
        if len(rows) > MOST_ROWS:
            rows[MOST_ROWS:] = [{"rows_not_shown": True}]
        content[f"table {table}" if schema == "public" else f"table {schema}.{table}"] = rows
    return content


async def skew(connection: AsyncConnection[Any], offset: int) -> None:
    """Let every sequence count on from where it is plus `offset`, where its limits allow."""
    found = await connection.execute(
        "SELECT format('%I.%I', schemaname, sequencename), coalesce(last_value + increment_by, start_value), "
        "increment_by, min_value, max_value FROM pg_sequences"
    )
    for name, following, step, least, most in await found.fetchall():
        moved = following + (offset if step > 0 else -offset)
        if least <= moved <= most:
            await connection.execute("SELECT setval(%s::regclass, %s, false)", [name, moved])


def _selection(schema: str, table: str, columns: list[Any]) -> Composed:
    from psycopg import sql

    shown = [sql.SQL("{}, {}").format(sql.Literal(name), _expression(name, kind)) for name, kind, _, _ in columns]
    # Each function takes at most 100 arguments: wide tables are joined from pieces of 40 columns.
    pieces = [
        sql.SQL("jsonb_build_object({})").format(sql.SQL(", ").join(shown[start : start + 40]))
        for start in range(0, max(len(shown), 1), 40)
    ]
    key = sorted((place, name) for name, _, place, _ in columns if place)
    counted = bool(key) and all(kept for _, _, place, kept in columns if place)
    order = [sql.Identifier(name) for _, name in key] if counted else [sql.SQL("ctid")]
    return sql.SQL("SELECT ({})::text FROM ONLY {} t ORDER BY {} LIMIT {}").format(
        sql.SQL(" || ").join(pieces), sql.Identifier(schema, table), sql.SQL(", ").join(order), MOST_ROWS + 1
    )


def _expression(name: str, kind: str) -> Composed:
    from psycopg import sql

    column = sql.Identifier("t", name)
    if kind == "bytea":
        return sql.SQL(
            "CASE WHEN {0} IS NULL THEN NULL WHEN octet_length({0}) <= {1} "
            "THEN jsonb_build_object('base64', translate(encode({0}, 'base64'), E'\\n', '')) "
            "ELSE jsonb_build_object('sha256', encode(sha256({0}), 'hex'), 'bytes', octet_length({0})) END"
        ).format(column, LONGEST_BYTES)
    if kind in ("text", "character varying", "json", "xml"):
        text = sql.SQL("to_jsonb({})") if kind in ("text", "character varying") else sql.SQL("to_jsonb({}::text)")
        return sql.SQL(
            "CASE WHEN length({0}::text) <= {1} THEN {2} ELSE jsonb_build_object('sha256', "
            "encode(sha256(convert_to({0}::text, 'UTF8')), 'hex'), 'characters', length({0}::text)) END"
        ).format(column, LONGEST_TEXT, text.format(column))
    return sql.SQL("to_jsonb({})").format(column)
