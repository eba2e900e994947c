"""`python -m fungible_kit.tokens`: what is done with tokens outside a request."""

from __future__ import annotations

import argparse
import os
import sys
import time

from fungible_kit.services.availability import sentence
from fungible_kit.tokens import StoreUnavailable, new_keys
from fungible_kit.tokens.secret import check_word, pattern
from fungible_kit.tokens.sql import Table
from fungible_kit.tokens.store import WHAT, Create, Purge
from fungible_kit.tokens.tokens import open_store


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: done; 1: the store did not answer; 2: bad input."""
    parser = argparse.ArgumentParser(prog="python -m fungible_kit.tokens", description="Tokens, outside a request.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, says in (("create", "make the table, if there is none"), ("purge", "delete what has expired")):
        made = verbs.add_parser(verb, help=says)
        made.add_argument("url", nargs="?", default=os.environ.get("DATABASE_URL"), help="default: $DATABASE_URL")
        made.add_argument("--name", default="fungible_tokens")
        made.add_argument("--schema", help="of PostgreSQL")
    schema = verbs.add_parser("schema", help="print the SQL that makes the table, for migrations of your own")
    schema.add_argument("database", choices=("postgres", "sqlite"))
    schema.add_argument("--name", default="fungible_tokens")
    schema.add_argument("--schema", help="of PostgreSQL")
    scanners = verbs.add_parser("pattern", help="print the regular expression for secret scanners")
    scanners.add_argument("prefix")
    scanners.add_argument("kinds", nargs="*")
    keys = verbs.add_parser("keys", help="print a new signing key: the private JWK set, then the public one")
    keys.add_argument("algorithm", nargs="?", default="Ed25519")
    given = parser.parse_args(arguments)
    try:
        lines = _do(given)
    except (ValueError, ImportError) as error:
        print(f"fungible_kit.tokens: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except StoreUnavailable as error:
        print(f"fungible_kit.tokens: {sentence(given.url, WHAT, error)}", file=sys.stderr)  # noqa: T201
        return 1
    print("\n".join(lines))  # noqa: T201
    return 0


def _do(given: argparse.Namespace) -> tuple[str, ...]:
    if given.verb == "schema":
        if given.schema is not None and given.database != "postgres":
            raise ValueError("--schema: only PostgreSQL has schemas")
        binary = "BYTEA" if given.database == "postgres" else "BLOB"
        return tuple(f"{text};" for text in Table(given.name, binary, one_step=False, schema=given.schema).create)
    if given.verb == "pattern":
        kinds = [check_word("kind", kind) for kind in given.kinds]
        return (pattern(check_word("prefix", given.prefix), kinds),)
    if given.verb == "keys":
        return new_keys(given.algorithm)
    if not given.url:
        raise ValueError("no URL: give one, or set DATABASE_URL")
    store = open_store(given.url, given.name, schema=given.schema)
    try:
        if given.verb == "purge":
            return (f"{store.execute(Purge(int(time.time())))} deleted",)
        store.execute(Create())
        return (f"table {given.name}: there",)
    finally:
        store.close()


if __name__ == "__main__":
    sys.exit(main())
