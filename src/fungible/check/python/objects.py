"""Which object an expression stands for, as far as the source tells: of which class of the program, made where.

Asked of single expressions, and answered by what is assigned: to names, to attributes (`self.x = X()`), to what a
framework shares (`app.state.x`, `registry.x`, `app["x"]`), by what functions return and what calls hand on. Where
that cannot be told, the answer is nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from fungible.check.python.annotated import annotated
from fungible.check.python.assigned import Assigned, Assignment, slot_of
from fungible.check.python.function import Function
from fungible.check.python.module import Class, Module
from fungible.check.python.nodes import argument, bare, last_name
from fungible.check.python.program import Program
from fungible.check.python.things import NOTHING, Answers, Thing, is_stub, lower

_MOST = 12
_MOST_CALLS = 40
_TAKES_ONE = frozenset({"get", "pop", "setdefault", "popleft", "popitem"})
_TAKES_ALL = frozenset({"values", "items", "copy"})
_BY_TEXT = frozenset({"maybe_dotted", "import_module", "import_string", "load_module", "resolve", "locate"})
_PROPERTIES = frozenset({"property", "cached_property", "reify"})
_HANDED_ON = {"partial": 0, "update_wrapper": 0, "cast": 1, "Depends": 0, "Provide": 0, "Security": 0}
_SAME = frozenset({"partial", "update_wrapper", "cast"})
"""Of these, what gives what it is given; the others give what a call of it gives."""


@dataclass(frozen=True, eq=False)
class Objects:
    """The answers for a program. `reached` are the functions that are known to run in a request, so far: what those
    are given is told by calls in such functions alone."""

    program: Program
    reached: Container[Function]
    assigned: Assigned
    _answers: Answers = field(default_factory=Answers)
    _located: dict[str, tuple[Module, str] | None] = field(default_factory=dict)
    _lineages: dict[Class, tuple[tuple[Module, Class], ...]] = field(default_factory=dict)

    @staticmethod
    def of(program: Program, reached: Container[Function]) -> Objects:
        """The objects of a program."""
        return Objects(program, reached, Assigned.of(program))

    def meant(self, module: Module, function: Function | None, node: ast.AST | None) -> frozenset[Thing]:
        """What an expression may stand for, seen from `function` (None: from the module's own statements)."""
        ask = _ASKED.get(type(node)) if node is not None else None
        if ask is None:
            return NOTHING
        return self._answers.once((id(node), function), ask, self, module, function, node)

    def methods(self, holders: Iterable[Thing], name: str) -> Iterator[Thing]:
        """The methods of this name that a call on one of `holders` may run, properties among them.

        Where a class is only declared and its method has no body, they are those of the classes below it.
        """
        for holder in holders:
            if holder.depth or not isinstance(holder.of, Class):
                continue
            found = self._method(holder.module, holder.of, name)
            if found is not None:
                yield found
            if (found is None or is_stub(found.of)) and holder.is_instance:
                below = (self.below.get(holder.of) or ())[:_MOST]
                yield from (
                    Thing(there, method)
                    for there, made in below
                    if (method := there.by_name.get(f"{made.name}.{name}"))
                )

    def lineage(self, module: Module, made: Class) -> tuple[tuple[Module, Class], ...]:
        """The class itself, and its bases that are of the program."""
        if made not in self._lineages:
            bases = (self.program.class_(each) for each in self.program.ancestors(module, made))
            self._lineages[made] = ((module, made), *(each for each in bases if each is not None))
        return self._lineages[made]

    @cached_property
    def below(self) -> Mapping[Class, list[tuple[Module, Class]]]:
        """Class -> the classes that have it among their bases."""
        found: dict[Class, list[tuple[Module, Class]]] = {}
        for module in self.program.modules.values():
            for made in module.classes.values():
                for _, base in self.lineage(module, made)[1:]:
                    found.setdefault(base, []).append((module, made))
        return found

    def attribute(self, module: Module, made: Class, name: str) -> frozenset[Thing]:
        """What an instance of a class has as this attribute."""
        return self._answers.once((made, name), Objects._attribute, self, module, made, name)

    def returned(self, module: Module, function: Function) -> frozenset[Thing]:
        """What a function gives: what it returns, what it yields to a `with`, what its annotation says."""
        return self._answers.once(function, Objects._returned, self, module, function)

    def _returned(self, module: Module, function: Function) -> Iterator[Thing]:
        if isinstance(function.node, ast.Lambda):
            yield from self.meant(module, function, function.node.body)
            return
        sure = False
        for value in self.assigned.returned(function):
            for thing in self.meant(module, function, value):
                sure = True
                yield thing
        if not sure:
            yield from self._annotated(module, function, function.node.returns)

    def named(self, module: Module, function: Function, name: str) -> frozenset[Thing]:
        """What a name may stand for in a function."""
        holder = function.holder(name)
        if holder is None or name in module.imports:
            return frozenset(self._named(module.meaning(ast.Name(name, ast.Load()), function)))
        return self._answers.once((holder, name), Objects._held, self, module, holder, name)

    def _name(self, module: Module, function: Function | None, node: ast.Name) -> Iterable[Thing]:
        return self._named(module.meaning(node)) if function is None else self.named(module, function, node.id)

    def _held(self, module: Module, holder: Function, name: str) -> Iterator[Thing]:
        """What a name may stand for in the function that binds it."""
        if inner := module.by_name.get(f"{holder.name}.{name}"):
            yield Thing(module, inner)
        elif made := module.classes.get(f"{holder.name}.{name}"):
            yield Thing(module, made)
        elif holder.owner is not None and name in holder.parameters[:1] and name in ("self", "cls"):
            if owner := module.classes.get(holder.owner):
                yield Thing(module, owner, is_instance=name == "self", declared=True)
        else:
            yield from self._local(module, holder, name)

    def _local(self, module: Module, holder: Function, name: str) -> Iterator[Thing]:
        sure = False
        for assignment in self.assigned.locals(module, holder).get(name, ()):
            for thing in self._assigned(assignment, module, holder):
                sure = True
                yield thing
        if name in holder.parameters:
            for thing in self._given(module, holder, name):
                sure = sure or not thing.declared
                yield thing
        if not sure:
            for type_ in self.assigned.checked(holder).get(name, ()):
                yield from self._annotated(module, holder, type_)

    def _named(self, meaning: str | None) -> Iterator[Thing]:
        found = self._locate(meaning) if meaning is not None else None
        if found is None or not found[1]:
            return
        module, name = found
        if function := module.by_name.get(name):
            yield Thing(module, function)
        elif made := module.classes.get(name):
            yield Thing(module, made)
        elif name in module.bindings or "." not in name:
            for assignment in self.assigned.globals.get((module.name, name), ()):
                yield from self._assigned(assignment, module, assignment.function)

    def _assigned(self, assignment: Assignment, module: Module, function: Function | None) -> Iterator[Thing]:
        if assignment.is_type:
            yield from self._annotated(module, function, assignment.value, assignment.deeper)
            return
        for thing in self.meant(module, function, assignment.value):
            if thing.depth + assignment.deeper >= 0:
                yield replace(thing, depth=thing.depth + assignment.deeper) if assignment.deeper else thing

    def _of_attribute(self, module: Module, function: Function | None, node: ast.Attribute) -> Iterator[Thing]:
        meaning = module.meaning(node, function)
        found = False
        for thing in self._named(meaning):
            found = True
            yield thing
        if found:
            return
        for holder in self.meant(module, function, node.value):
            if holder.depth or not isinstance(holder.of, Class):
                continue
            method = self._method(holder.module, holder.of, node.attr)
            if method is None or not isinstance(method.of, Function):
                there = self.attribute(holder.module, holder.of, node.attr)
            elif _PROPERTIES & {last_name(bare(each)) for each in method.of.decorators}:
                there = self.returned(method.module, method.of)
            else:
                there = frozenset((method,))
            found = found or bool(there)
            yield from there
        if not found:
            yield from self._shared(node)

    def _subscript(self, module: Module, function: Function | None, node: ast.Subscript) -> Iterator[Thing]:
        things = self.meant(module, function, node.value)
        yield from lower(things)
        if not things:
            yield from self._shared(node)

    def _shared(self, node: ast.AST) -> Iterator[Thing]:
        """What is shared under a name by the app object or the registry of a framework."""
        slot = slot_of(node)
        for assignment in self.assigned.slots.get(slot, ()) if slot else ():
            yield from self._assigned(assignment, assignment.module, assignment.function)

    def _call(self, module: Module, function: Function | None, node: ast.Call) -> Iterator[Thing]:
        func, name = node.func, last_name(node.func)
        if isinstance(func, ast.Attribute) and name in _TAKES_ONE | _TAKES_ALL:
            things = {each for each in self.meant(module, function, func.value) if each.depth}
            if things:
                yield from lower(things) if name in _TAKES_ONE else things
                return
            if name == "get":
                yield from self._shared(node)
        if name in _HANDED_ON and (handed := argument(node, "", _HANDED_ON[name])) is not None:
            things = set(self.meant(module, function, handed))
            yield from things if name in _SAME else self._called(things, function)
            return
        if isinstance(func, ast.Name) and name == "super":
            yield from self._above(module, function)
            return
        if isinstance(func, ast.Call) and last_name(func.func) == "wraps" and node.args:
            yield from self.meant(module, function, node.args[0])
            return
        things = set(self.meant(module, function, func))
        if not things and isinstance(func, ast.Attribute) and self._is_by_text(module, function, func.value):
            things = {
                Thing(there, there.by_name[name], declared=True)
                for there in self.program.modules.values()
                if name in there.by_name
            }
            things = things if len(things) <= _MOST else set()
        yield from self._called(things, function)

    def _above(self, module: Module, function: Function | None) -> Iterator[Thing]:
        """What `super()` stands for: an object of each base of the class."""
        while function is not None and function.owner is None:
            function = function.outer
        made = module.classes.get(function.owner or "") if function is not None else None
        for base in made.bases if made is not None else ():
            if found := self.program.class_(base):
                yield Thing(*found, is_instance=True, declared=True)

    def called(self, things: Iterable[Thing], function: Function | None) -> frozenset[Thing]:
        """What calls of these, made in `function`, give."""
        return frozenset(self._called(things, function))

    def _called(self, things: Iterable[Thing], function: Function | None) -> Iterator[Thing]:
        for thing in things:
            if thing.depth:
                continue
            if isinstance(thing.of, Function):
                for each in self.returned(thing.module, thing.of):
                    yield replace(each, declared=True) if thing.declared else each
            elif not thing.is_instance:
                yield replace(thing, is_instance=True, within=function)
            elif (called := self._method(thing.module, thing.of, "__call__")) and isinstance(called.of, Function):
                yield from self.returned(called.module, called.of)

    def _is_by_text(self, module: Module, function: Function | None, node: ast.expr) -> bool:
        """Whether a module is looked up by a text: `config.maybe_dotted(...)`, `import_module(...)`."""
        values: list[ast.AST] = [node]
        if isinstance(node, ast.Name) and function is not None and function.holder(node.id) is function:
            values += [each.value for each in self.assigned.locals(module, function).get(node.id, ())]
        return any(isinstance(each, ast.Call) and last_name(each.func) in _BY_TEXT for each in values)

    def _displayed(self, module: Module, function: Function | None, node: ast.AST) -> Iterator[Thing]:
        inner: list[ast.expr] = []
        match node:
            case ast.Dict(values=several) | ast.List(elts=several) | ast.Set(elts=several) | ast.Tuple(elts=several):
                inner = several[:_MOST_CALLS]
            case ast.DictComp(value=one) | ast.ListComp(elt=one) | ast.SetComp(elt=one) | ast.GeneratorExp(elt=one):
                inner = [one]
        for each in inner:
            for thing in self.meant(module, function, each):
                yield replace(thing, depth=thing.depth + 1)

    def _either(self, module: Module, function: Function | None, node: ast.AST) -> Iterator[Thing]:
        several: list[ast.expr] = []
        match node:
            case ast.IfExp(body=first, orelse=second):
                several = [first, second]
            case ast.BoolOp(values=values):
                several = values
            case ast.Await(value=one) | ast.NamedExpr(value=one) | ast.Starred(value=one):
                several = [one]
        for each in several:
            yield from self.meant(module, function, each)

    def _lambda(self, module: Module, function: Function | None, node: ast.Lambda) -> Iterator[Thing]:
        yield Thing(module, module.by_node[node])

    def _method(self, module: Module, made: Class, name: str) -> Thing | None:
        for there, kind in self.lineage(module, made):
            if method := there.by_name.get(f"{kind.name}.{name}"):
                return Thing(there, method)
        return None

    def _attribute(self, module: Module, made: Class, name: str) -> Iterator[Thing]:
        line = self.lineage(module, made)
        sure = False
        for there, kind in line:
            for assignment in self.assigned.attributes(there, kind, name):
                for thing in self._assigned(assignment, there, assignment.function):
                    sure = sure or not thing.declared
                    yield thing
        # What is set from outside: `provider.locks = locks`, and what makes a dataclass.
        for assignment in self.assigned.outside.get(name, ())[:_MOST]:
            holders = self.meant(assignment.module, assignment.function, assignment.holder)
            if any(each.of is kind and not each.depth for each in holders for _, kind in line):
                yield from self._assigned(assignment, assignment.module, assignment.function)
        if not sure and name in made.annotations:
            for call_module, function, call in self.assigned.calls.get(made.name.rpartition(".")[2], ())[
                :_MOST_CALLS
            ]:
                value = argument(call, name)
                if value is not None and any(
                    each.of is made for each in self.meant(call_module, function, call.func)
                ):
                    yield from self.meant(call_module, function, value)

    def _given(self, module: Module, function: Function, name: str) -> Iterator[Thing]:
        """What a parameter is given: by its default, its annotation and by the calls of its function."""
        arguments = function.node.args
        every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        own = next(each for each in every if each.arg == name)
        yield from self._annotated(module, function, own.annotation)
        defaults = [*arguments.defaults]
        positional = [*arguments.posonlyargs, *arguments.args]
        pairs = [*zip(reversed(positional), reversed(defaults), strict=False)]
        pairs += [
            (each, value) for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value
        ]
        for each, value in pairs:
            if each.arg == name:
                yield from self._depended(module, function.outer, value, function)
        position = function.parameters.index(name) if own not in arguments.kwonlyargs else None
        called = function.name.rpartition(".")[2]
        if function.owner is not None:
            static = any(last_name(each) == "staticmethod" for each in function.decorators)
            position = position - 1 if position is not None and not static else position
            called = function.owner.rpartition(".")[2] if called == "__init__" else called
        calls = self.assigned.calls.get(called, ())
        if len(calls) > _MOST_CALLS:
            return
        here = function in self.reached and not function.name.endswith(".__init__")
        for there, around, call in calls:
            given = None if here and around not in self.reached else argument(call, name, position)
            if given is not None and self._calls(there, around, call, function):
                yield from self.meant(there, around, given)
        if called == "initialize":  # of Tornado: `(path, Handler, {"name": value})`
            for there, around, value in self.assigned.handed.get(name, ())[:_MOST]:
                yield from self.meant(there, around, value)

    def _depended(
        self, module: Module, outer: Function | None, node: ast.expr, function: Function | None
    ) -> Iterable[Thing]:
        """What a default value is; of a dependency, what its call gives, made for each call of `function`."""
        if isinstance(node, ast.Call) and (name := last_name(node.func)) in _HANDED_ON and name not in _SAME:
            handed = argument(node, "", 0)
            return self.called(self.meant(module, outer, handed), function)
        return (replace(each, declared=True) for each in self.meant(module, outer, node))

    def _calls(self, module: Module, around: Function | None, call: ast.Call, function: Function) -> bool:
        """Whether a call runs this function, as far as can be told."""
        for each in self.meant(module, around, call.func):
            if each.of is function:
                return True
            if isinstance(each.of, Class) and not each.is_instance and function.name.endswith(".__init__"):
                made = self._method(each.module, each.of, "__init__")
                if made is not None and made.of is function:
                    return True
        return False

    def _annotated(
        self, module: Module, function: Function | None, node: ast.AST | None, depth: int = 0
    ) -> Iterator[Thing]:
        """What an annotation says that something is, where that is a class of the program or a dependency."""
        for there, named, deep in annotated(self._locate, module, node, depth):
            if isinstance(named, Class):
                yield Thing(there, named, is_instance=True, depth=deep, declared=True)
            else:
                yield from self._depended(there, None, named, function)

    def _locate(self, meaning: str) -> tuple[Module, str] | None:
        if meaning not in self._located:
            own = meaning.partition(".")[0] in self._roots
            self._located[meaning] = self.program.locate(meaning) if own else None
        return self._located[meaning]

    @cached_property
    def _roots(self) -> frozenset[str]:
        """What a full name of the program may begin with, from its folder or from a source folder."""
        return frozenset(part for name in self.program.modules for part in name.split("."))


_ASKED: Mapping[type[ast.AST], Callable[..., Iterable[Thing]]] = {
    ast.Name: Objects._name,
    ast.Attribute: Objects._of_attribute,
    ast.Subscript: Objects._subscript,
    ast.Call: Objects._call,
    ast.Lambda: Objects._lambda,
    **dict.fromkeys((ast.IfExp, ast.BoolOp, ast.Await, ast.NamedExpr, ast.Starred), Objects._either),
    **dict.fromkeys(
        (ast.Dict, ast.List, ast.Set, ast.Tuple, ast.DictComp, ast.ListComp, ast.SetComp, ast.GeneratorExp),
        Objects._displayed,
    ),
}
