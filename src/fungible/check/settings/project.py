"""What the rules of this room read of a folder: calls, settings, commands, each found once."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from fungible.check.finding import Finding, Level
from fungible.check.python.entries import is_web
from fungible.check.python.module import Module
from fungible.check.settings.bindings import Bound
from fungible.check.settings.calls import Call, Setting, walk
from fungible.check.settings.commands import SERVERS, Command, commands
from fungible.check.settings.config import Config
from fungible.check.settings.django_settings import CONFIGURE, Settings, find_settings
from fungible.check.settings.names import Names
from fungible.check.settings.places import Place, place
from fungible.check.settings.values import Answer
from fungible.check.tree import Tree


@dataclass(frozen=True)
class Project:
    """A folder as the rules of settings read it."""

    tree: Tree

    @cached_property
    def names(self) -> Names:
        """What the modules bind."""
        return Names(self.tree.program)

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """The modules without those for tests and development."""
        return tuple(
            module
            for module in self.tree.program.modules.values()
            if place(module.path) in (Place.PRODUCTION, Place.ASIDE)
        )

    @cached_property
    def found(self) -> tuple[Call | Setting, ...]:
        """The calls and the settings by assignment of these modules, in the order of the source."""
        every = [each for module in self.modules for each in walk(module, self.names)]
        return tuple(sorted(every, key=lambda each: (each.module.path, *_place(each))))

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """The calls of these modules."""
        return tuple(each for each in self.found if isinstance(each, Call))

    @cached_property
    def by_name(self) -> Mapping[str, tuple[Call, ...]]:
        """Full name -> its calls."""
        named: dict[str, list[Call]] = {}
        for call in self.calls:
            if call.name:
                named.setdefault(call.name, []).append(call)
        return {name: tuple(calls) for name, calls in named.items()}

    @cached_property
    def imported(self) -> frozenset[str]:
        """Full names that these modules import, and the packages that they belong to."""
        names = {name for module in self.modules for name in module.imports.values()}
        return frozenset(
            names | {".".join(name.split(".")[:n]) for name in names for n in range(1, name.count(".") + 1)}
        )

    @cached_property
    def commands(self) -> tuple[Command, ...]:
        """The commands by which processes start."""
        return tuple(commands(self.tree))

    @cached_property
    def django(self) -> tuple[Settings, ...]:
        """Django's settings."""
        return tuple(find_settings(self.tree.program, self.names, self.by_name.get(CONFIGURE, ())))

    @cached_property
    def config(self) -> Config:
        """What Flask apps and the like are configured with."""
        return Config.of(self)

    @cached_property
    def serves(self) -> bool:
        """Whether this is an app that serves requests: a framework is imported, or a server started."""
        return any(map(is_web, self.modules)) or any(each.program in SERVERS for each in self.commands)

    def named(self, *names: str) -> Iterator[Call]:
        """The calls of any of these full names."""
        for name in names:
            yield from self.by_name.get(name, ())

    def told(self, call: Call | Setting, rule: str, level: Level, message: str, symbol: str) -> Finding:
        """A finding at a call or an assignment: no more than possible under a condition, or beside the app."""
        if call.conditional or place(call.module.path) is not Place.PRODUCTION:
            level = Level.POSSIBLE
        node = call.node if isinstance(call, Call) else call.target
        return call.module.found(node, rule, level, message, symbol)

    def bound(self, bound: Bound, rule: str, level: Level, message: str, symbol: str) -> Finding:
        """A finding at the place where a name was bound."""
        if place(bound.path) is not Place.PRODUCTION:
            level = Level.POSSIBLE
        return Finding(rule, level, bound.path, bound.line, message, symbol)


def leveled(answer: Answer, level: Level) -> Level:
    """The level where that is always so; possible where only maybe."""
    return level if answer is Answer.ALWAYS else Level.POSSIBLE


def owner(call: Call) -> str:
    """What a call is told apart by: the variable that it is assigned to, else what is called and where."""
    for name, value in call.module.bindings.items():
        if value is call.node:
            return name
    return f"{call.function.name}.{call.method}" if call.function else call.method


def _place(each: Call | Setting) -> tuple[int, int]:
    node: ast.expr = each.node if isinstance(each, Call) else each.target
    return node.lineno, node.col_offset
