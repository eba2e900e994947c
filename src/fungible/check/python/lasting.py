"""Which classes have objects that outlive a request: by where those are made, and by what holds them."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from fungible.check.python.entries import makes_an_app
from fungible.check.python.function import Function, method_of
from fungible.check.python.module import Class, Module, is_main
from fungible.check.python.nodes import bare, last_name
from fungible.check.python.objects import Objects
from fungible.check.python.program import Program
from fungible.check.python.things import Thing

_APP_NAMES = frozenset({"app", "application", "api", "server", "asgi", "wsgi"})
_LOCAL = re.compile(r"ThreadLocal|^_?Local(Request|Response|Proxy|Stack|Context)?$")
_REMEMBERS = frozenset({"functools.lru_cache", "functools.cache"})


@dataclass(frozen=True, eq=False)
class Lasting:
    """The classes of a program whose objects last, as full names (module and class).

    `reached` are the functions that run in requests, `factories` those that make what the app is made of, `entering`
    the modules in which a request enters; `serving` the classes whose objects are called by the server; `used` the
    sets of objects that a method is called on in a request.
    """

    program: Program
    objects: Objects
    reached: Collection[Function]
    factories: frozenset[Function]
    entering: frozenset[Module]
    serving: frozenset[str]
    used: frozenset[frozenset[Thing]]

    @property
    def classes(self) -> frozenset[str]:
        """Made by the module's own statements, only by functions that no request reaches (an app factory), kept by
        one that is reached (`global store`), or held by such an object."""
        return self._answer[0]

    @property
    def doubtful(self) -> frozenset[str]:
        """Those that may be made or others in their place: something that cannot be read says which."""
        return self._answer[1]

    @cached_property
    def _answer(self) -> tuple[frozenset[str], frozenset[str]]:
        kept, given, passing, inner = self._makings()
        doubtful: set[str] = set()
        shown: set[str] = set()
        for things in self.used:
            doubtful |= _apart(things)
            for each in things:
                if not each.is_instance or (each.within is not None and each.within in self.reached):
                    continue
                shown |= set() if each.declared else {each.full}
                if each.within is not None and not method_of(each.within) and self._is_served(each):
                    given.add(each.full)
                    doubtful |= {each.full} if each.declared else set()
        before: set[str] = set()
        while passing != before:
            before = set(passing)
            passing |= {made for owner, made in inner if owner in passing}
        kept -= passing - shown  # of both sorts: those are meant that are seen to be used
        kept |= self._single
        lasting = kept | (given - passing)
        ahead = sorted(lasting)
        while ahead:  # what a lasting object holds lasts with it
            owner = ahead.pop()
            fresh = {made for each, made in inner if each == owner}
            for things in self._held(owner):
                doubtful |= _apart(things)
                fresh |= {each.full for each in things if each.is_instance and not self._is_made_by_one(each)}
            fresh -= lasting | (passing - kept)
            lasting |= fresh
            ahead += sorted(fresh)
        lasting -= {each for each in lasting if self._is_of_a_thread(each)}
        found = lasting | self._bases(lasting) - self._bases(passing - kept)
        return frozenset(found), frozenset(doubtful & found)

    def _makings(self) -> tuple[set[str], set[str], set[str], set[tuple[str, str]]]:
        """Classes of which something that lasts is made: for sure, and where nothing else speaks against it; those of
        which something is made in a request; and pairs, where `__init__` of the first makes one of the second."""
        kept: set[str] = set()
        given = set(self.serving)
        passing: set[str] = set()
        inner: set[tuple[str, str]] = set()
        stored = self._stored
        for calls in self.objects.assigned.calls.values():
            for module, around, call in calls:
                made = self._class_of(module, around, call.func)
                if made is None:
                    if around is not None and around in self.reached:
                        things = self.objects.meant(module, around, call.func)
                        passing.update(
                            each.full for each in things if isinstance(each.of, Class) and not each.is_instance
                        )
                    continue
                name = f"{made[0].name}.{made[1].name}"
                if around is None:
                    kept.update(() if module not in self._loaded or is_main(module, call) else (name,))
                elif id(call) in stored or _is_remembered(module, around):
                    (given if around.parameters else kept).add(name)
                elif around.owner is not None and around.name.endswith(".__init__"):
                    inner.add((f"{module.name}.{around.owner}", name))
                elif around in self.reached:
                    passing.add(name)
                elif around in self.factories and (module in self._loaded or makes_an_app(around)):
                    given.add(name)
        return kept, given, passing, inner

    @cached_property
    def _single(self) -> frozenset[str]:
        """The classes that have one object, however often they are called."""
        return frozenset(
            f"{module.name}.{made.name}"
            for module in self.program.modules.values()
            for made in module.classes.values()
            if _is_single(module, made)
        )

    @cached_property
    def _stored(self) -> frozenset[int]:
        """The calls whose value a function keeps in a variable of the module or in its class."""
        assigned = self.objects.assigned
        every = [each for several in assigned.globals.values() for each in several if each.function is not None]
        every += [each for several in assigned.of_classes.values() for each in several]
        return frozenset(
            id(node)
            for each in every
            if not each.deeper and not each.is_type
            for node in ast.walk(each.value)
            if isinstance(node, ast.Call)
        )

    def _class_of(self, module: Module, around: Function | None, func: ast.expr) -> tuple[Module, Class] | None:
        """The class that a call makes an object of."""
        if isinstance(func, ast.Name) and func.id == "cls" and around is not None and (method := method_of(around)):
            made = module.classes.get(method.owner or "")
            return (module, made) if made else None
        meaning = module.meaning(func, around)
        return self.program.class_(meaning) if meaning else None

    def _is_served(self, thing: Thing) -> bool:
        """Whether what makes an object is loaded where requests are served, or a setting names it. A test or a
        command that makes one for itself is not."""
        return thing.declared or thing.within is None or thing.within in self._serving

    @cached_property
    def _loaded(self) -> frozenset[Module]:
        """The modules that are loaded where requests are served: those in which one enters, those that name an app,
        and what these import. A script beside them is not."""
        ahead = list(self.entering)
        ahead += [each for each in self.program.modules.values() if not _APP_NAMES.isdisjoint(each.bindings)]
        found = set(ahead)
        while ahead:
            for meaning in ahead.pop().imports.values():
                there = self.program.locate(meaning)
                if there is not None and there[0] not in found:
                    found.add(there[0])
                    ahead.append(there[0])
        return frozenset(found)

    @cached_property
    def _serving(self) -> frozenset[Function]:
        return frozenset(function for module in self._loaded for function in module.functions)

    def _is_made_by_one(self, thing: Thing) -> bool:
        """Whether an object is made in a request, or it is not known by whom."""
        return thing.declared or (thing.within is not None and thing.within in self.reached)

    def _is_of_a_thread(self, name: str) -> bool:
        """Whether an object has a content for each thread: by its base, or as it is called so."""
        found = self.program.class_(name)
        bases = self.program.ancestors(*found) if found is not None else []
        return "threading.local" in bases or _LOCAL.search(name.rpartition(".")[2]) is not None

    def _bases(self, names: Iterable[str]) -> set[str]:
        """The classes of these names, and their bases."""
        found = (self.program.class_(name) for name in names)
        lines = (self.objects.lineage(*each) for each in found if each is not None)
        return {f"{module.name}.{made.name}" for line in lines for module, made in line}

    def _held(self, name: str) -> Iterator[frozenset[Thing]]:
        """What objects of a class have in each of their attributes."""
        found = self.program.class_(name)
        if found is None:
            return
        for module, made in self.objects.lineage(*found):
            for attribute in self.objects.assigned.names(module, made):
                yield self.objects.attribute(*found, attribute)


def _apart(things: Iterable[Thing]) -> set[str]:
    """The classes of which one of several is there."""
    found = {each.full for each in things if each.is_instance and not each.declared}
    return found if len(found) > 1 else set()


def _is_remembered(module: Module, function: Function) -> bool:
    """Whether what a function makes is made once, and given again each time."""
    return any(module.meaning(bare(each), function.outer) in _REMEMBERS for each in function.decorators)


def _is_single(module: Module, made: Class) -> bool:
    """Whether a class has one object: its `__new__` keeps it in the class, or its metaclass is called so."""
    if any(each.arg == "metaclass" and "singleton" in last_name(each.value).lower() for each in made.node.keywords):
        return True
    new = module.by_name.get(f"{made.name}.__new__")
    return new is not None and any(
        isinstance(target, ast.Attribute) and last_name(target.value) in ("cls", made.name)
        for node in new.body()
        if isinstance(node, ast.Assign)
        for target in node.targets
    )
