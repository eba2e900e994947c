"""The Python modules of an app, by their dotted names, and what a name of one means in another."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fungible.check.python.function import Function
from fungible.check.python.module import Class, Module
from fungible.check.source import Source

_SOURCE_FOLDERS = ("src", "lib", "app", "backend", "server")
_FURTHEST = 8


@dataclass(frozen=True, eq=False)
class Program:
    """Modules by dotted name; `unread` are the files that are no Python of this version, with why and the line."""

    modules: Mapping[str, Module]
    unread: tuple[tuple[str, str, int], ...] = ()

    @staticmethod
    def of(sources: Iterable[Source]) -> Program:
        """The program of these files. A file that cannot be parsed is left out and told."""
        modules: dict[str, Module] = {}
        unread = []
        for source in sources:
            name, package = _names(source.path)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # an odd escape is the app's business
                    tree = ast.parse(source.text, source.path)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                unread.append(
                    (source.path, getattr(error, "msg", None) or str(error), getattr(error, "lineno", 1) or 1)
                )
            else:
                modules[name] = Module(source, name, tree, package)
        return Program(modules, tuple(unread))

    def locate(self, meaning: str) -> tuple[Module, str] | None:
        """The module and the qualified name in it that a full name stands for; None where it is not this program's.

        What a package re-exports is followed to where it is made. A name may be given from a source folder
        (`shop.views` for `src/shop/views.py`).
        """
        for _ in range(_FURTHEST):
            parts = meaning.split(".")
            for count in range(len(parts), 0, -1):
                if (module := self._module(".".join(parts[:count]))) is not None:
                    break
            else:
                return None
            rest = parts[count:]
            if rest and rest[0] in module.imports and rest[0] not in module.bindings:
                meaning = ".".join([module.imports[rest[0]], *rest[1:]])
                continue
            return module, ".".join(rest)
        return None

    def function(self, meaning: str) -> tuple[Module, Function] | None:
        """The function or method that a full name stands for."""
        found = self.locate(meaning)
        function = found[0].by_name.get(found[1]) if found else None
        return (found[0], function) if found and function else None

    def class_(self, meaning: str) -> tuple[Module, Class] | None:
        """The class that a full name stands for."""
        found = self.locate(meaning)
        made = found[0].classes.get(found[1]) if found else None
        return (found[0], made) if found and made else None

    def ancestors(self, module: Module, made: Class) -> list[str]:
        """Full names of all bases, those of this program's classes followed."""
        names: list[str] = []
        ahead = list(made.bases)
        while ahead and len(names) < 50:
            base = ahead.pop(0)
            if base in names:
                continue
            names.append(base)
            if found := self.class_(base):
                ahead.extend(found[1].bases)
        return names

    def _module(self, name: str) -> Module | None:
        if name in self.modules:
            return self.modules[name]
        for folder in _SOURCE_FOLDERS:
            if (found := self.modules.get(f"{folder}.{name}")) is not None:
                return found
        return None


def _names(path: str) -> tuple[str, str]:
    """The dotted names of a module and of its package."""
    parts = path.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        return ".".join(parts[:-1]) or "__init__", ".".join(parts[:-1])
    return ".".join(parts), ".".join(parts[:-1])
