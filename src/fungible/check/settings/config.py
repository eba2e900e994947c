"""What a Flask app is configured with, wherever the source says it: `app.config[...]`, `.update`, `.from_mapping`,
and the classes and modules that `from_object` names."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fungible.check.finding import Finding, Level
from fungible.check.settings.calls import Call, Setting
from fungible.check.settings.places import Place, is_development, place
from fungible.check.settings.values import UNKNOWN, Environ, Value

if TYPE_CHECKING:
    from fungible.check.settings.project import Project

_READS_MORE = frozenset({"from_envvar", "from_prefixed_env", "from_pyfile", "from_file", "from_json"})
_WRITES = frozenset({"update", "from_mapping", "setdefault"})


@dataclass(frozen=True)
class Entry:
    """A key of the configuration, and how to tell a finding where it is set."""

    key: str
    value: Value
    told: Callable[[str, Level, str, str], Finding]
    final: bool = False  # by `app.config[key] = …`, mostly after the rest was read


@dataclass(frozen=True)
class Config:
    """All entries of a program; `open` where more is read from a file or the environment."""

    found: tuple[Entry, ...]
    open: bool = field(default=False)

    def entries(self, *keys: str) -> Iterator[Entry]:
        """The entries of these keys. Where more is read, each is a mere default."""
        for entry in self.found:
            if entry.key in keys:
                doubtful = self.open and not entry.final and not isinstance(entry.value, Environ)
                yield replace(entry, value=Environ(entry.value)) if doubtful else entry

    @staticmethod
    def of(project: Project) -> Config:
        """The configuration that a program's modules write."""
        entries = [*_assigned(project), *_written(project), *_of_classes(project), *_of_modules(project)]
        reads = any(_is_of_config(call, _READS_MORE) for call in project.calls)
        # `for key in app.config: app.config[key] = os.environ[key]` is a way to read the environment as well.
        open_ = reads or any(_names_config(each.target.value) and each.key is None for each in _settings(project))
        return Config(tuple(entries), open_)


def _settings(project: Project) -> Iterator[Setting]:
    return (each for each in project.found if isinstance(each, Setting))


def _assigned(project: Project) -> Iterator[Entry]:
    for each in _settings(project):
        if _names_config(each.target.value) and (key := each.key) and key.isupper():
            yield replace(_entry_at(project, each, key, each.value), final=True)


def _written(project: Project) -> Iterator[Entry]:
    for call in project.calls:
        if not _is_of_config(call, _WRITES):
            continue
        for keyword in call.node.keywords:
            if keyword.arg:
                yield _entry_at(project, call, keyword.arg, call.value(keyword.value))
        given = call.value(call.node.args[0]) if call.node.args else UNKNOWN
        if isinstance(given, dict):
            for key, value in given.items():
                if isinstance(key, str):
                    yield _entry_at(project, call, key, value)
        elif call.method == "setdefault" and isinstance(given, str) and len(call.node.args) > 1:
            yield _entry_at(project, call, given, call.value(call.node.args[1]))


def _of_classes(project: Project) -> Iterator[Entry]:
    """Classes with upper-case attributes that are named as configuration is: `Config`, `ProductionConfig`.

    What every class made of one sets anew is none of its entries.
    """
    known = [
        (module, name, made)
        for module in project.modules
        for name, made in module.classes.items()
        if ("config" in name.lower() or "settings" in name.lower()) and not is_development(name)
    ]
    for module, name, made in known:
        full = f"{module.name}.{name}"
        heirs = [each for where, _, each in known if full in project.tree.program.ancestors(where, each)]
        for key, node in made.attributes.items():
            if key.isupper() and not (heirs and all(key in heir.attributes for heir in heirs)):
                value = project.names.value(node, module)
                yield _entry_in(project, module.path, node.lineno, key, value)


def _of_modules(project: Project) -> Iterator[Entry]:
    """Modules of upper-case names that are named as configuration is (`config.py`, `settings/production.py`), and
    those that name themselves (`app.config.from_object(__name__)`)."""
    named = {
        call.module.name
        for call in project.calls
        if _is_of_config(call, frozenset({"from_object"}))
        and any(isinstance(each, ast.Name) and each.id == "__name__" for each in call.node.args)
    }
    for module in project.modules:
        if module.name not in named and not any(word in module.path.lower() for word in ("config", "settings")):
            continue
        for key, bound in project.names.of(module).items():
            if key.isupper():
                yield _entry_in(project, bound.path, bound.line, key, bound.value)


def _entry_at(project: Project, each: Call | Setting, key: str, value: Value) -> Entry:
    def told(rule: str, level: Level, message: str, symbol: str) -> Finding:
        return project.told(each, rule, level, message, symbol)

    return Entry(key, value, told)


def _entry_in(project: Project, path: str, line: int, key: str, value: Value) -> Entry:
    def told(rule: str, level: Level, message: str, symbol: str) -> Finding:
        shown = level if place(path) is Place.PRODUCTION else Level.POSSIBLE
        return Finding(rule, shown, path, line, message, symbol)

    return Entry(key, value, told)


def _is_of_config(call: Call, methods: frozenset[str]) -> bool:
    return call.method in methods and _names_config(call.receiver)


def _names_config(node: ast.expr | None) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in ("config", "conf")
