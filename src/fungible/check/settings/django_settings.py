"""Django's settings modules, known by what they bind, each with its chain of `from .base import *`.

Of a chain, what counts is the module at its end: what production overrides in base is no finding.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fungible.check.python.module import Module
from fungible.check.python.program import Program
from fungible.check.settings.bindings import OPEN, Bound, State
from fungible.check.settings.calls import Call
from fungible.check.settings.names import Names
from fungible.check.settings.places import Place, place
from fungible.check.settings.values import ABSENT, UNKNOWN, Either, Value, either, item, options

CONFIGURE = "django.conf.settings.configure"
_MARKS = frozenset({"INSTALLED_APPS", "ROOT_URLCONF"})
_MORE = frozenset({"DATABASES", "MIDDLEWARE", "TEMPLATES", "WSGI_APPLICATION", "CACHES", "AUTH_USER_MODEL"})


@dataclass(frozen=True)
class Settings:
    """The settings of one module: `names` with what the chain binds; `doubtful` where they only may be for
    production."""

    names: State
    start: Bound
    doubtful: bool = False

    def get(self, name: str, *keys: str) -> Value:
        """A setting, or what stands in it under the keys; ABSENT where it is not set."""
        bound = self.names.get(name)
        value = bound.value if bound else ABSENT
        return item(either(value, UNKNOWN) if self._is_doubtful(bound) else value, *keys)

    def where(self, *names: str) -> Bound:
        """Where the first of these that is set is bound; the start of the settings where none is."""
        return next((self.names[name] for name in names if name in self.names), self.start)

    def _is_doubtful(self, bound: Bound | None) -> bool:
        """Whether the value may be another: something that cannot be read may bind names after it."""
        unread = self.names.get(OPEN)
        if self.doubtful or unread is None:
            return self.doubtful
        return bound is None or bound.path != unread.path or bound.line < unread.line

    def lists(self, name: str, *entries: str) -> tuple[str, bool] | None:
        """The first of these entries in a setting that is a list, and whether it is there for sure."""
        for value, sure in options(self.get(name)):
            if isinstance(value, list):
                for entry in entries:
                    if any(
                        isinstance(each, str) and (each == entry or each.startswith(f"{entry}.")) for each in value
                    ):
                        return entry, sure
        return None


def find_settings(program: Program, names: Names, configured: Iterable[Call]) -> Iterator[Settings]:
    """The settings that production may use; `configured` are the calls of `settings.configure`."""
    modules = [module for module in program.modules.values() if place(module.path) is not Place.TESTS]
    known = [module for module in modules if _is_settings(names, module)]
    imported = {name for module in known for name in _stars(names.program, module)}
    ends = [module for module in known if module.name not in imported]
    production = [module for module in ends if place(module.path) is not Place.DEVELOPMENT]
    for module in production or [module for module in known if place(module.path) is not Place.DEVELOPMENT]:
        state = dict(names.of(module))
        yield Settings(state, _start(state, module), not production)
    for call in configured:
        if (given := _configured(call)) is not None:
            state, start, open_ = given
            yield Settings(state, start, open_ or (call.conditional and not _asks_whether_configured(call)))


def _is_settings(names: Names, module: Module) -> bool:
    if not (_MARKS & set(module.bindings) or _stars(names.program, module) or len(_MORE & set(module.bindings)) > 1):
        return False
    bound = set(names.of(module))
    return len((_MARKS | _MORE) & bound) > 1 and bool(_MARKS & bound)


def _stars(program: Program, module: Module) -> set[str]:
    """The modules that a module imports with a star."""
    found = set()
    for node in module.nodes:
        if isinstance(node, ast.ImportFrom) and any(each.name == "*" for each in node.names):
            located = program.locate(module.origin(node))
            if located is not None and not located[1]:
                found.add(located[0].name)
    return found


def _start(names: State, module: Module) -> Bound:
    for name in ("INSTALLED_APPS", "ROOT_URLCONF"):
        if name in names and names[name].path == module.path:
            return names[name]
    return Bound(UNKNOWN, module.path, 1)


def _configured(call: Call) -> tuple[State, Bound, bool] | None:
    """The settings that a call of `settings.configure` gives."""
    start = Bound(UNKNOWN, call.module.path, call.node.lineno)
    state: State = {}
    open_ = bool(call.node.args)
    for each in call.node.keywords:
        if each.arg is not None:
            state[each.arg] = Bound(call.value(each.value), call.module.path, each.value.lineno)
            continue
        spread = call.value(each.value)
        variants = [
            one for one in (spread.options if isinstance(spread, Either) else (spread,)) if isinstance(one, dict)
        ]
        open_ = open_ or not variants
        for name in {name for one in variants for name in one if isinstance(name, str)}:
            value = either(*(one.get(name, ABSENT) for one in variants))
            state[name] = Bound(value, call.module.path, each.value.lineno)
    return (state, start, open_) if _MARKS & set(state) else None


def _asks_whether_configured(call: Call) -> bool:
    """`if not settings.configured:` stands around the call: it is made all the same."""
    return any(
        isinstance(node, ast.If)
        and any(isinstance(each, ast.Attribute) and each.attr == "configured" for each in ast.walk(node.test))
        and any(each is call.node for each in ast.walk(node))
        for node in call.module.nodes
    )
