"""Which backing services this machine can embed, for `fungible doctor`."""

from __future__ import annotations

import importlib.util
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from fungible.services import binaries, postgres_database


@dataclass(frozen=True)
class Available:
    """One kind: whether it can be embedded, its version, where its program is or why it is not there.

    `how` says how to get what is missing; it is empty where nothing is.
    """

    kind: str
    present: bool
    version: str
    where: str
    how: str = ""


def inventory() -> list[Available]:
    """Every kind of service, in the order of the documentation."""
    return [
        _server("valkey", binaries.valkey_server()),
        Available("sqlite", True, sqlite3.sqlite_version, "the Python standard library"),
        Available("folder", True, "", "the state folder of the app"),
        _postgres(),
        _server("memcached", binaries.memcached_server()),
    ]


def _server(kind: str, program: Path | None) -> Available:
    if program is None:
        return Available(kind, False, "", "no server found", binaries.PACKAGES[kind])
    version = _dotted(binaries.version_of([str(program), "--version"]))
    if not version:
        return Available(kind, False, "", f"{program} cannot be run", binaries.PACKAGES[kind])
    return Available(kind, True, version, str(program))


def _postgres() -> Available:
    folder = binaries.postgres_folder()
    if folder is None:
        return Available("postgres", False, "", "no server found", binaries.PACKAGES["postgres"])
    version = _dotted(binaries.postgres_version(folder))
    if importlib.util.find_spec("psycopg") is None:
        return Available("postgres", False, version, f"no client beside {folder}", postgres_database.HOW)
    return Available("postgres", True, version, str(folder))


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
