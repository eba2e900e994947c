"""A class of leak as a value: a tiny module that leaks, its mended twin, the requests that show it, the truth."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from typing import Any

MARK = "# <--"


@dataclass(frozen=True)
class Leak:
    """`leaking` and `mended` are modules for `web.py`, served under `/NAME`.

    `requests` are steps of a workload file; `minimal` are the ones that a smallest case has, the observer last.
    `held_by` is a regular expression for the object (or the file, where it begins with `file:`); lines of `leaking`
    with MARK are those that may be named. `schema` is SQL for the store, run once.
    """

    name: str
    leaking: str
    mended: str
    requests: tuple[dict[str, Any], ...]
    minimal: tuple[int, ...]
    held_by: str
    schema: str = ""
    alone: bool = field(default=False, kw_only=True)
    """It gets an experiment of its own: it shows in a store only, which is looked at when no answer differs, or any
    other request could stand for its first one, or it waits."""
    proved: bool = field(default=True, kw_only=True)
    """Whether the object can be put back, which proves that it is the culprit."""
    unnamed: str = field(default="", kw_only=True)
    """Why no line can be named."""

    @property
    def source(self) -> str:
        return _module(self.leaking)

    @property
    def twin(self) -> str:
        return _module(self.mended)

    @property
    def lines(self) -> set[str]:
        """The lines that may be named, as a report writes them."""
        found = enumerate(self.source.splitlines(), start=1)
        return {f"{self.name}.py:{number}" for number, line in found if MARK in line}


def _module(text: str) -> str:
    return "from web import route, store\n" + textwrap.dedent(text)


def get(path: str, **more: Any) -> dict[str, Any]:
    return {"method": "GET", "path": path, **more}


def post(path: str, json: Any = None, **more: Any) -> dict[str, Any]:
    return {"method": "POST", "path": path, **({} if "body" in more else {"json": json or {}}), **more}


def matches(pattern: str, object: str | None, file: str | None) -> bool:
    """Whether the culprit is the one that is meant."""
    if pattern.startswith("file:"):
        return file is not None and re.search(pattern.removeprefix("file:"), file) is not None
    return object is not None and re.search(pattern, object) is not None
