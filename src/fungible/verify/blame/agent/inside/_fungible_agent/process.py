"""What C keeps for the whole process, where no object holds it: its folder, its locale, its umask and the like."""

from __future__ import annotations

import _locale
import _socket
import contextvars
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from . import say
from .facets import Difference, Facet, Step, Unrestorable

_NO_LOCALE: type[Exception] = _locale.Error  # type: ignore[attr-defined]
_DECIMAL = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")


class Process:
    """Stands for this process."""


PROCESS = Process()


class ProcessFacet(Facet):
    """Settings of the process; each is named as what sets it, and is a change of its own."""

    kind = "process setting"

    def __init__(self) -> None:
        self._contexts: list[Any] = []

    def refresh(self, contexts: list[Any]) -> None:
        """With the contexts that are alive, which have what C keeps for a thread."""
        self._contexts = contexts

    def read(self, thing: Any) -> Any:
        return {name: self.one(name) for name in _SETTINGS}

    def one(self, name: str) -> Any:
        """One setting, None where it cannot be read."""
        try:
            return _SETTINGS[name][0](self._contexts)
        except (OSError, ValueError, _NO_LOCALE):
            return None

    def children(self, content: Any) -> Iterator[tuple[Step | None, Any]]:
        for name, value in content.items():
            yield ("ps", name), value

    def compare(self, old: Any, new: Any) -> list[Difference]:
        return [
            (("ps", name), self.kind, f"{say.value(old[name])} -> {say.value(value)}", [])
            for name, value in new.items()
            if value is not None and old[name] is not None and value != old[name]
        ]

    def restore(self, thing: Any, old: Any, step: Step | None) -> None:
        for name in old if step is None else [step[1]]:
            try:
                _SETTINGS[name][1](self._contexts, old[name])
            except (OSError, ValueError, RecursionError, _NO_LOCALE) as error:
                raise Unrestorable(str(error)) from None


def _umask(_: Any) -> int:
    # To ask the kernel is to set it, which another thread may see.
    with open("/proc/self/status", "rb") as status:
        return next(int(line[6:], 8) for line in status if line.startswith(b"Umask:"))


def _zone(_: Any) -> Any:
    return os.environ.get("TZ"), time.tzname, time.timezone


def _set_zone(_: Any, old: Any) -> None:
    if old[0] is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = old[0]
    time.tzset()


def _decimals(contexts: list[Any]) -> Any:
    """The decimal contexts that are not as a new thread's is."""
    decimal = sys.modules.get("decimal")
    if decimal is None:
        return ()
    default = [getattr(decimal.DefaultContext, name) for name in _DECIMAL]
    told = [tuple(getattr(each, name) for name in _DECIMAL) for each in _decimal_contexts(contexts)]
    return tuple(each for each in told if list(each) != default)


def _set_decimals(contexts: list[Any], old: Any) -> None:
    decimal: Any = sys.modules["decimal"]
    default = tuple(getattr(decimal.DefaultContext, name) for name in _DECIMAL)
    for each in _decimal_contexts(contexts):
        if tuple(getattr(each, name) for name in _DECIMAL) not in old:
            for name, value in zip(_DECIMAL, old[0] if len(old) == 1 else default):  # noqa: B905
                setattr(each, name, value)


def _decimal_contexts(contexts: list[Any]) -> list[Any]:
    found: list[Any] = []
    for context in contexts:
        for variable in contextvars.Context.keys(context):
            if variable.name == "decimal_context" and say.type_name(type(context[variable])) == "decimal.Context":
                found.append(context[variable])
    return found


_SETTINGS: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    "os.chdir()": (lambda _: os.getcwd(), lambda _, old: os.chdir(old)),
    "os.umask()": (_umask, lambda _, old: os.umask(old)),
    "locale.setlocale()": (
        lambda _: _locale.setlocale(_locale.LC_ALL, None),
        lambda _, old: _locale.setlocale(_locale.LC_ALL, old),
    ),
    "time.tzset()": (_zone, _set_zone),
    "decimal.getcontext()": (_decimals, _set_decimals),
    "socket.setdefaulttimeout()": (
        lambda _: _socket.getdefaulttimeout() or 0,
        lambda _, old: _socket.setdefaulttimeout(old or None),
    ),
    "sys.setrecursionlimit()": (lambda _: sys.getrecursionlimit(), lambda _, old: sys.setrecursionlimit(old)),
}
"""What sets it -> how it is read, and put back."""
