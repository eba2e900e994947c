"""`python -m fungible_kit.sessions`: what is done with sessions outside a request."""

from __future__ import annotations

import argparse
import os
import sys

from fungible_kit.sessions.errors import SessionError, StoreUnavailable
from fungible_kit.sessions.sessions import URL_VARIABLE, Sessions


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: done, whatever `check` has to say; 1: the store cannot be used; 2: bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m fungible_kit.sessions", description="Sessions, outside a request."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, says in (
        ("create", "make the table of PostgreSQL, if there is none; other stores need nothing"),
        ("purge", "delete what has ended, from PostgreSQL and SQLite; other stores do it themselves"),
        ("check", "say what an operator should know about the store as it is set up"),
    ):
        made = verbs.add_parser(verb, help=says)
        made.add_argument("url", nargs="?", help=f"default: ${URL_VARIABLE}", default=os.environ.get(URL_VARIABLE))
    given = parser.parse_args(arguments)
    try:
        sessions = Sessions(given.url, deadline="10s")
        try:
            lines = _do(given.verb, sessions)
        finally:
            sessions.close()
    except StoreUnavailable as error:
        print(f"fungible_kit.sessions: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except (SessionError, ValueError, ImportError) as error:
        print(f"fungible_kit.sessions: {error}", file=sys.stderr)  # noqa: T201
        return 2
    print("\n".join(lines))  # noqa: T201
    return 0


def _do(verb: str, sessions: Sessions) -> list[str]:
    if verb == "create":
        sessions.create()
        return ["there"]
    if verb == "purge":
        return [f"{sessions.purge()} deleted"]
    return sessions.check() or ["nothing to say"]


if __name__ == "__main__":
    sys.exit(main())
