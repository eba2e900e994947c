"""`python -m fungible_kit.sessions.conformance URL`: which cases a store passes."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable

from fungible_kit.sessions.conformance import ASYNC_CASES, CASES, Skipped, blocking
from fungible_kit.sessions.errors import SessionError
from fungible_kit.sessions.stores import open_store


def main(arguments: list[str]) -> int:
    """0: all passed. 1: some failed. 2: no store to ask."""
    if len(arguments) != 1:
        print("usage: python -m fungible_kit.sessions.conformance URL", file=sys.stderr)  # noqa: T201
        return 2
    try:
        faces = open_store(arguments[0], 2.0)
        faces.sync().read("fs:nothing")
    except SessionError as error:
        print(f"fungible: {error}", file=sys.stderr)  # noqa: T201
        return 2
    failed = 0
    for face, make in (("sync", faces.sync), ("async", blocking(faces.asynchronous))):
        for case in CASES:
            failed += _tell(f"{face:5} {case.title}", lambda case=case, make=make: case.run(make))  # type: ignore[misc]
    for one in ASYNC_CASES:
        failed += _tell(f"async {one.title}", lambda one=one: asyncio.run(one.run(faces.asynchronous)))  # type: ignore[misc]
    return 1 if failed else 0


def _tell(title: str, run: Callable[[], object]) -> bool:
    try:
        run()
    except Skipped as why:
        print(f"skip   {title}: {why}")  # noqa: T201
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        print(f"FAIL   {title}: {error or where.line}")  # noqa: T201
        return True
    else:
        print(f"pass   {title}")  # noqa: T201
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
