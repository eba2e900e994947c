"""What an import loads that is not the app's: loaded ahead, a process needs only the app's own modules to be one that
was booted.

A package that does more than define things when it is loaded (it connects, it reads what is the app's) would have
done so before its time: it is noticed, and said.
"""

from __future__ import annotations

import contextlib
import glob
import importlib
import json
import os
import sys
import sysconfig
from collections.abc import Sequence
from typing import Any

_OURS = ("fungible_fork", "fungible_sandbox")
_IN_MEMORY = (":memory:", b":memory:", "")


class Touched(Exception):
    """A package did more than define things; the message is a clause that says what."""


def installed(folder: str, module: str) -> list[str]:
    """Names of the loaded modules that were installed, as they were loaded. Left out is what may be the app's: in
    `folder`, beside `module`, in packages that were installed from a folder or a file."""
    standard = tuple(os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib"))
    loaded = list(sys.modules.items())
    own = {module.partition(".")[0], "__main__", *_OURS, *_local()}
    for name, each in loaded:
        path = _path(each)
        if path is not None and not _is_installed(path, standard, folder):
            own.add(name.partition(".")[0])
    found = []
    for name, each in loaded:
        if name.partition(".")[0] not in own and _attribute(each, "__spec__.name") == name:
            found.append(name)
    return found


def _attribute(module: object, path: str) -> object:
    """What a module says of itself; None where it does not. A program may put any object in place of a module."""
    found = module
    for name in path.split("."):
        try:
            found = getattr(found, name, None)
        except Exception:
            return None
    return found


def load(names: Sequence[str], folders: Sequence[str]) -> None:
    """Import modules; what does not load by itself is left to the app. Raises Touched where one connected, or opened
    something in `folders`: the app's, and those that are attached."""
    inside = tuple(os.path.join(os.path.realpath(folder), "") for folder in folders)
    touched: list[str] = []
    hearing = True

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if not hearing or touched:
            return
        if event == "socket.connect" or (event == "sqlite3.connect" and arguments[0] not in _IN_MEMORY):
            touched.append("connects")
        elif event == "open" and isinstance(arguments[0], (str, bytes)):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if path.startswith(inside) and "-packages" + os.sep not in path:
                touched.append("opens " + path)

    sys.addaudithook(heard)
    try:
        for name in names:
            if name not in sys.modules:
                with contextlib.suppress(Exception, SystemExit):
                    importlib.import_module(name)
            if touched:
                raise Touched(f"`{name}` {touched[0]} when it is loaded")
    finally:
        hearing = False


def _path(module: Any) -> str | None:
    """Where a module was loaded from; None for what is part of the interpreter, or was made while it ran."""
    path = _attribute(module, "__file__")
    if isinstance(path, str):
        return os.path.abspath(path)
    entries: Any = _attribute(module, "__path__")  # a namespace package
    with contextlib.suppress(Exception):
        return os.path.join(os.path.abspath(next(iter(entries))), "") if entries else None
    return None


def _is_installed(path: str, standard: tuple[str, ...], folder: str) -> bool:
    if "-packages" + os.sep in path:
        return True
    return path.startswith(standard) and not path.startswith(os.path.join(folder, ""))


def _local() -> set[str]:
    """Top-level names that distributions hold which were installed from this machine's disk (PEP 610)."""
    found: set[str] = set()
    for entry in sys.path:
        for origin in glob.glob(os.path.join(glob.escape(entry), "*.dist-info", "direct_url.json")):
            with contextlib.suppress(OSError, ValueError, KeyError):
                with open(origin, encoding="utf-8") as file:
                    if not json.load(file)["url"].startswith("file:"):
                        continue
                with open(os.path.join(os.path.dirname(origin), "RECORD"), encoding="utf-8") as file:
                    tops = {line.partition(",")[0].partition("/")[0] for line in file}
                found |= {top[:-3] if top.endswith(".py") else top for top in tops}
    return found
