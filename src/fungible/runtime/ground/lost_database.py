"""What to say when a process writes an SQLite database inside the app's folder, where nothing is kept. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath

from fungible.services.external import kind_of, sqlite_path

NAME = "DATABASE_URL"
_TAKEN = "SQLAlchemy and dj-database-url take this URL, sqlite3.connect the path after `sqlite:///`"


def lost_database(
    path: str, process: str, *, environment: Mapping[str, str], embedded: Mapping[str, str], would_be: Path
) -> str:
    """One sentence for the database at `path` (below the app's folder) that `process` writes.

    `environment` is what processes get, `embedded` the URLs in it that name services of ours; `would_be` is the file
    of the service that is advised.
    """
    lost = f"{path}: {process} writes an SQLite database inside the app's folder, thrown away with the process"
    ours = next((name for name, url in embedded.items() if kind_of(url) == "sqlite"), None)
    if ours is not None:
        return f"{lost}; let the app open what {ours} names instead: {embedded[ours]} ({_TAKEN})"
    add = f'add {NAME} = "sqlite" under [tool.fungible.services] of pyproject.toml ([services] of a fungible.toml)'
    use = f"let the app open what {NAME} then names: sqlite:///{would_be}, which is kept ({_TAKEN})"
    named = kind_of(environment.get(NAME, "")) == "sqlite" and _names(environment[NAME], path)
    unset = f"unset {NAME} (environment, .env), which names this file, " if named else ""
    return f"{lost}; {unset}{add} and {use}"


def _names(url: str, path: str) -> bool:
    named = sqlite_path(url)
    return named is not None and PurePath(named).name == PurePath(path).name
