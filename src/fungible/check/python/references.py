"""What a function refers to: what it may call, hand on as a callback, or start in the background."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fungible.check.python.function import Function
from fungible.check.python.module import Class, Module
from fungible.check.python.nodes import last_name
from fungible.check.python.objects import Objects
from fungible.check.python.program import Program
from fungible.check.python.things import Thing

_BACKGROUND = frozenset(
    """
    Thread Timer Process add_task create_task ensure_future submit run_in_executor
    start_background_task spawn start_soon apply_async run_coroutine_threadsafe start_new_thread
    """.split()  # noqa: SIM905
)
_COMMON = frozenset(dir(dict) + dir(list) + dir(set) + dir(str) + dir(bytes))
_NEVER_BY_NAME = frozenset({"save", "delete", "create", "execute", "commit", "close", "start", "filter", "query"})
_OF_ITEMS = ("__getitem__", "__setitem__", "__delitem__")

Methods = Mapping[str, Sequence[tuple[Module, Function]]]


@dataclass(frozen=True)
class Reference:
    """A function that is referred to, `background` where by a call that starts a thread or a task; and `holders`, the
    objects that it was found at."""

    module: Module
    function: Function
    background: bool = False
    holders: frozenset[Thing] = frozenset()


def methods_of(program: Program) -> Methods:
    """The methods of a program by their last name."""
    found: dict[str, list[tuple[Module, Function]]] = defaultdict(list)
    for module in program.modules.values():
        for function in module.functions:
            if function.owner is not None:
                found[function.name.rpartition(".")[2]].append((module, function))
    return found


def references(objects: Objects, module: Module, function: Function, methods: Methods) -> Iterator[Reference]:
    """What a function refers to. A name counts as a call: callbacks and dependencies are referred to, not called."""
    calls = [node for node in function.body() if isinstance(node, ast.Call)]
    started = {
        id(inner)
        for node in calls
        if last_name(node.func) in _BACKGROUND
        for each in (*node.args, *(keyword.value for keyword in node.keywords))
        for inner in ast.walk(each)
    }
    called = {id(node.func) for node in calls}
    asked = _asked(function)
    for node in _looked_at(module, function):
        background = id(node) in started
        match node:
            case ast.Lambda():
                yield Reference(module, module.by_node[node], background)
            case ast.Name(ctx=ast.Load()) | ast.Attribute(ctx=ast.Load()):
                seen = False
                for each in (
                    () if id(node) in asked else _meant(objects, module, function, node, methods, id(node) in called)
                ):
                    seen = True
                    yield Reference(each.module, each.function, background, each.holders)
                if (
                    not seen
                    and isinstance(node, ast.Attribute)
                    and (one := _by_name(objects, module, function, node, methods))
                ):
                    yield Reference(*one, background)
            case ast.Subscript(value=holder):
                if id(node) in called:
                    yield from _run(objects, objects.meant(module, function, node))
                elif not methods.keys().isdisjoint(_OF_ITEMS):
                    yield from _at(objects, objects.meant(module, function, holder), *_OF_ITEMS)
            case ast.Call(func=ast.Call(func=ast.Name(id="getattr"), args=[holder, name, *_])):
                yield from _looked_up(objects, objects.meant(module, function, holder), name)
    for decorator in function.decorators:
        around = objects.called(objects.meant(module, function.outer, decorator), function.outer)
        yield from _run(objects, around)


def _asked(function: Function) -> set[int]:
    """The names that a function only asks of or says that something is, as in `isinstance(x, Class)`."""
    found: set[int] = set()
    for node in function.body():
        match node:
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, asked]):
                found.update(map(id, ast.walk(asked)))
            case ast.Call(func=ast.Name(id="cast") | ast.Attribute(attr="cast"), args=[asked, _]):
                found.update(map(id, ast.walk(asked)))
            case ast.ExceptHandler(type=ast.expr() as asked) | ast.AnnAssign(annotation=asked):
                found.update(map(id, ast.walk(asked)))
    return found


def _meant(
    objects: Objects,
    module: Module,
    function: Function,
    node: ast.Name | ast.Attribute,
    methods: Methods,
    called: bool,
) -> Iterator[Reference]:
    meaning = module.meaning(node, function)
    if meaning is not None:
        if found := objects.program.function(meaning):
            yield Reference(*found)
            return
        if made := objects.program.class_(meaning):
            if not isinstance(module.parents.get(node), ast.Attribute):  # `Class.LIMIT` makes none
                yield from _made(made)
            return
    if isinstance(node, ast.Attribute) and node.attr in methods:
        yield from _at(objects, objects.meant(module, function, node.value), node.attr)
    elif called:
        yield from _run(objects, objects.meant(module, function, node))


def _at(objects: Objects, holders: frozenset[Thing], *names: str) -> Iterator[Reference]:
    """The methods of these names that objects have."""
    if holders:
        for name in names:
            for method in objects.methods(holders, name):
                if isinstance(method.of, Function):
                    yield Reference(method.module, method.of, holders=holders)


def _run(objects: Objects, things: frozenset[Thing]) -> Iterator[Reference]:
    """What runs where one of these things is called."""
    for thing in things:
        if isinstance(thing.of, Function):
            yield Reference(thing.module, thing.of)
    instances = frozenset(each for each in things if each.is_instance)
    yield from _at(objects, instances, "__call__")


def _looked_up(objects: Objects, holders: frozenset[Thing], name: ast.expr) -> Iterator[Reference]:
    """What `getattr(holder, name)(...)` may run: public methods, those with the text that the name begins with."""
    match name:
        case ast.Name() | ast.Attribute() | ast.Subscript():
            start = ""
        case (
            ast.JoinedStr(values=[ast.Constant(value=str(start)), *_])
            | ast.BinOp(left=ast.Constant(value=str(start)))
        ):
            pass
        case _:
            return
    for holder in holders:
        for there, made in objects.lineage(holder.module, holder.of) if isinstance(holder.of, Class) else ():
            for function in there.functions:
                last = function.name.rpartition(".")[2]
                if function.owner == made.name and last.startswith(start) and not last.startswith("_"):
                    yield Reference(there, function, holders=holders)


def _by_name(
    objects: Objects, module: Module, function: Function, node: ast.Attribute, methods: Methods
) -> tuple[Module, Function] | None:
    """The only method of this name in the program, where nothing tells whose it is."""
    named = methods.get(node.attr, ())
    if len(named) != 1 or node.attr in _COMMON | _NEVER_BY_NAME or node.attr.startswith("__"):
        return None
    if module.meaning(node, function) is not None or isinstance(node.value, ast.Constant | ast.JoinedStr):
        return None
    if objects.meant(module, function, node.value):
        return None  # it is known whose it is, and that has no such method
    return named[0]


def _made(found: tuple[Module, Class]) -> Iterator[Reference]:
    module, made = found
    for name in ("__init__", "__call__", "__enter__", "__exit__", "__aenter__", "__post_init__"):
        if method := module.by_name.get(f"{made.name}.{name}"):
            yield Reference(module, method)


def _looked_at(module: Module, function: Function) -> Iterator[ast.AST]:
    """The body, and what a framework calls for the parameters: defaults, annotations and the aliases they name."""
    yield from function.body()
    arguments = function.node.args
    given = [*arguments.defaults, *(each for each in arguments.kw_defaults if each)]
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    given += [each.annotation for each in every if each.annotation is not None]
    for each in given:
        for node in ast.walk(each):
            yield node
            alias = module.bindings.get(node.id) if isinstance(node, ast.Name) else None
            if isinstance(alias, ast.Subscript):
                yield from ast.walk(alias)
