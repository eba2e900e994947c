"""Which functions run while a request is served: the entries, and what they refer to.

A reference counts as a call: callbacks, dependencies (`Depends(f)`) and targets of threads are referred to and not
called. What cannot be followed (a name looked up by text, a method of an object of unknown class) is not reached, so
that a rule keeps silent rather than cries.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fungible.check.python.entries import Entry, entries, makes_an_app
from fungible.check.python.function import Function
from fungible.check.python.lasting import Lasting
from fungible.check.python.module import Module, is_final
from fungible.check.python.objects import Objects
from fungible.check.python.program import Program
from fungible.check.python.references import methods_of, references
from fungible.check.python.things import Thing

_AT_START = frozenset({"lifespan", "startup", "on_startup", "before_server_start"})
_EXITS = ("__exit__", "__aexit__")


@dataclass(frozen=True)
class Way:
    """How a function is reached: from `entry`, through the functions `by` (nearest to the entry first); `background`:
    by a thread or a task that is started on the way."""

    entry: Entry
    by: tuple[str, ...] = ()
    background: bool = False


@dataclass(frozen=True, eq=False)
class Reached:
    """The functions of a program that run while a request is served, each with a shortest way to it.

    `referred` are the functions that each refers to; `used` the sets of objects that one of their methods is called
    on there.
    """

    program: Program
    ways: Mapping[Function, Way]
    modules: Mapping[Function, Module]
    objects: Objects
    referred: Mapping[Function, frozenset[Function]]
    used: frozenset[frozenset[Thing]]

    @staticmethod
    def of(program: Program) -> Reached:
        """Follow references from the entries, breadth first."""
        ways: dict[Function, Way] = {}
        modules: dict[Function, Module] = {}
        referred: dict[Function, frozenset[Function]] = {}
        used: set[frozenset[Thing]] = set()
        objects = Objects.of(program, ways)
        methods = methods_of(program)
        ahead = deque((entry.module, entry.function, Way(entry)) for entry in entries(program, objects))
        while ahead:
            module, function, way = ahead.popleft()
            if function in ways:
                continue
            ways[function], modules[function] = way, module
            found = list(references(objects, module, function, methods))
            referred[function] = frozenset(each.function for each in found)
            used.update(each.holders for each in found if each.holders)
            by = (*way.by, function.name)
            for each in found:
                if each.function not in ways:
                    ahead.append((each.module, each.function, Way(way.entry, by, way.background or each.background)))
        return Reached(program, ways, modules, objects, referred, frozenset(used))

    def __iter__(self) -> Iterator[tuple[Module, Function]]:
        """The reached functions in the order of their files and lines."""
        order = sorted(self.ways, key=lambda each: (self.modules[each].path, each.node.lineno))
        return ((self.modules[each], each) for each in order)

    def __contains__(self, function: Function) -> bool:
        return function in self.ways

    def told(self, function: Function) -> str:
        """Where and how, for a message: ``in `add` ``, or ``in `add`, which `index` reaches while it serves …``."""
        way = self.ways[function]
        name = function.name.rpartition(".")[2] if "<lambda>" not in function.name else "a lambda"
        if not way.by:
            return f"in `{name}`"
        start = way.by[0].rpartition(".")[2]
        return f"in `{name}`, which `{start}` {'starts' if way.background else 'reaches'} while it serves a request"

    @cached_property
    def referring(self) -> Mapping[Function, Sequence[Function]]:
        """Function -> the reached functions that refer to it."""
        found: dict[Function, list[Function]] = {}
        for function, referred in self.referred.items():
            for each in referred:
                found.setdefault(each, []).append(function)
        return found

    @cached_property
    def making(self) -> frozenset[Function]:
        """The methods that run only while an object is made, as `__init__` alone calls them."""
        found = {
            function
            for function, way in self.ways.items()
            if function.owner is not None and way.by and not function.name.endswith(".__init__")
        }
        before: set[Function] = set()
        while found != before:
            before = set(found)
            found = {
                each
                for each in found
                if all(by.name.endswith(".__init__") or by in found for by in self.referring.get(each, ()))
            }
        return frozenset(found)

    @property
    def lasting(self) -> frozenset[str]:
        """Full names (module and class) of the program's classes whose objects live as long as the process."""
        return self._lasting.classes

    @property
    def doubtful(self) -> frozenset[str]:
        """Those of `lasting` that may be made or others in their place: something that cannot be read says which."""
        return self._lasting.doubtful

    @cached_property
    def _lasting(self) -> Lasting:
        entering = frozenset(way.entry.module for way in self.ways.values())
        serving = frozenset(self._serving())
        return Lasting(self.program, self.objects, self.ways, self.factories, entering, serving, self.used)

    def _serving(self) -> Iterator[str]:
        """The classes whose objects the server calls: applications and middleware."""
        for function, way in self.ways.items():
            serves = function.name.endswith("__call__") or "middleware" in way.entry.why
            if serves and not way.by and function.owner and not self._is_response(function):
                yield f"{self.modules[function].name}.{function.owner}"

    def _is_response(self, method: Function) -> bool:
        """Whether a method is one of a response, which may be an application of its own, made for each request."""
        module = self.modules[method]
        made = module.classes.get(method.owner or "")
        bases = self.program.ancestors(module, made) if made is not None else []
        return any(name.endswith("Response") for name in (method.owner or "", *bases))

    @cached_property
    def ending(self) -> frozenset[Function]:
        """What reached functions call as a request or a `with` ends: in a `finally`, in `__exit__`."""
        found = {each for each in self.ways if each.name.endswith(_EXITS)}
        for module, function in self:
            for node in function.body():
                if isinstance(node, ast.Call) and (function in found or is_final(module, node)):
                    things = self.objects.meant(module, function, node.func)
                    found.update(each.of for each in things if isinstance(each.of, Function))
        return frozenset(found)

    @cached_property
    def factories(self) -> frozenset[Function]:
        """The functions that make what the app is made of, and that no request reaches: each makes the app object,
        registers routes, or has views inside."""
        around = {each.outer for each in self.ways}
        functions = (each for module in self.program.modules.values() for each in module.functions)
        return frozenset(
            each
            for each in functions
            if each not in self.ways and (each in around or each.name in _AT_START or makes_an_app(each))
        )
