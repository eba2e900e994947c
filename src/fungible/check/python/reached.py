"""Which functions run while a request is served: the entries, and what they refer to.

A reference counts as a call: callbacks, dependencies (`Depends(f)`) and targets of threads are referred to and not
called. What cannot be followed (a name looked up by text, a method of an object of unknown class) is not reached, so
that a rule keeps silent rather than cries.
"""

from __future__ import annotations

import ast
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from fungible.check.python.entries import Entry, entries
from fungible.check.python.function import Function
from fungible.check.python.module import Class, Module
from fungible.check.python.nodes import bare, last_name, text_of
from fungible.check.python.program import Program

_BACKGROUND = frozenset(
    """
    Thread Timer Process add_task create_task ensure_future submit run_in_executor
    start_background_task spawn start_soon apply_async run_coroutine_threadsafe start_new_thread
    """.split()  # noqa: SIM905
)
_MAKES_AN_APP = frozenset(
    """
    FastAPI Flask Quart Sanic Starlette Litestar Bottle Microdot App Application register_blueprint
    include_router add_url_rule add_route add_api_route add_routes add_middleware mount HTTPServer
    ThreadingHTTPServer TCPServer run_app serve_forever make_server run_simple
    """.split()  # noqa: SIM905
)
_AT_START = frozenset({"lifespan", "startup", "on_startup", "before_server_start"})
_COMMON = frozenset(dir(dict) + dir(list) + dir(set) + dir(str) + dir(bytes))
_NEVER_BY_NAME = frozenset({"save", "delete", "create", "execute", "commit", "close", "start", "filter", "query"})


@dataclass(frozen=True)
class Way:
    """How a function is reached: from `entry`, through the functions `by` (nearest to the entry first); `background`:
    by a thread or a task that is started on the way."""

    entry: Entry
    by: tuple[str, ...] = ()
    background: bool = False


@dataclass(frozen=True, eq=False)
class Reached:
    """The functions of a program that run while a request is served, each with a shortest way to it."""

    program: Program
    ways: Mapping[Function, Way]
    modules: Mapping[Function, Module]

    @staticmethod
    def of(program: Program) -> Reached:
        """Follow references from the entries, breadth first."""
        ways: dict[Function, Way] = {}
        modules: dict[Function, Module] = {}
        ahead: deque[tuple[Module, Function, Way]] = deque()
        methods = _methods(program)
        for entry in entries(program):
            ahead.append((entry.module, entry.function, Way(entry)))
        while ahead:
            module, function, way = ahead.popleft()
            if function in ways:
                continue
            ways[function], modules[function] = way, module
            for (there, found), background in _references(program, module, function, methods):
                if found not in ways:
                    by = (*way.by, function.name)
                    ahead.append((there, found, Way(way.entry, by, way.background or background)))
        return Reached(program, ways, modules)

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
    def lasting(self) -> frozenset[str]:
        """Full names (module and class) of the program's classes whose instances live as long as the process: made
        by the module's own statements, or only by functions that no request reaches (an app factory)."""
        kept: set[str] = set()
        given: set[str] = set()
        passing: set[str] = set()
        for module in self.program.modules.values():
            for node in module.nodes:
                meaning = module.meaning(node.func, module.around(node)) if isinstance(node, ast.Call) else None
                made = self.program.class_(meaning) if meaning else None
                if made is None:
                    continue
                name, around = f"{made[0].name}.{made[1].name}", module.around(node)
                if around is None:
                    kept.update(() if is_main(module, node) else (name,))
                elif around in self:
                    passing.add(name)
                elif around in self.factories:
                    given.add(name)
        for function, way in self.ways.items():
            name = function.name.rpartition(".")[2]
            owner = function.owner or "Response"  # a response may be an ASGI application, made for each request
            serves = name == "__call__" or "middleware" in way.entry.why
            if serves and not way.by and not owner.endswith("Response"):
                given.add(f"{self.modules[function].name}.{owner}")
        lasting: set[str] = kept | (given - passing)
        before: set[str] = set()
        while lasting != before:  # what a lasting object makes for itself lasts with it
            before = set(lasting)
            lasting |= {inner for owner, inner in self._made_in_init if owner in lasting} - (passing - kept)
        return frozenset(lasting)

    @cached_property
    def factories(self) -> frozenset[Function]:
        """The functions that make what the app is made of, and that no request reaches: each makes the app object,
        registers routes, or has views inside."""
        around = {each.outer for each in self.ways}
        functions = (each for module in self.program.modules.values() for each in module.functions)
        return frozenset(
            each
            for each in functions
            if each not in self.ways and (each in around or each.name in _AT_START or _makes_an_app(each))
        )

    @cached_property
    def _made_in_init(self) -> frozenset[tuple[str, str]]:
        """Pairs of classes, by full names: objects of the second are made in `__init__` of the first."""
        found = set()
        for module in self.program.modules.values():
            for function in module.functions:
                if function.owner is None or not function.name.endswith(".__init__"):
                    continue
                for node in function.body():
                    meaning = module.meaning(node.func, function) if isinstance(node, ast.Call) else None
                    if meaning and (made := self.program.class_(meaning)):
                        found.add((f"{module.name}.{function.owner}", f"{made[0].name}.{made[1].name}"))
        return frozenset(found)


def is_main(module: Module, node: ast.AST) -> bool:
    """Whether a statement of the module runs only where it is the program itself (`if __name__ == "__main__"`)."""
    parent = module.parents.get(node)
    while parent is not None:
        if isinstance(parent, ast.If) and "__main__" in text_of(parent.test):
            return True
        parent = module.parents.get(parent)
    return False


def _makes_an_app(function: Function) -> bool:
    return any(isinstance(node, ast.Call) and last_name(node.func) in _MAKES_AN_APP for node in function.body())


def _methods(program: Program) -> Mapping[str, list[tuple[Module, Function]]]:
    found: dict[str, list[tuple[Module, Function]]] = defaultdict(list)
    for module in program.modules.values():
        for function in module.functions:
            if function.owner is not None:
                found[function.name.rpartition(".")[2]].append((module, function))
    return found


def _references(
    program: Program, module: Module, function: Function, methods: Mapping[str, list[tuple[Module, Function]]]
) -> Iterator[tuple[tuple[Module, Function], bool]]:
    """What a function refers to, and whether in a call that starts background work."""
    started = {
        id(inner)
        for node in function.body()
        if isinstance(node, ast.Call) and last_name(node.func) in _BACKGROUND
        for each in (*node.args, *(keyword.value for keyword in node.keywords))
        for inner in ast.walk(each)
    }
    types = _types(program, module, function)
    for node in _looked_at(module, function):
        background = id(node) in started
        if isinstance(node, ast.Lambda):
            yield (module, module.by_node[node]), background
        if not isinstance(node, ast.Name | ast.Attribute) or not isinstance(node.ctx, ast.Load):
            continue
        for found in _meant(program, module, function, node, types):
            yield found, background
        if isinstance(node, ast.Attribute) and not _known(module, function, node):
            named = methods.get(node.attr, [])
            if len(named) == 1 and node.attr not in _COMMON | _NEVER_BY_NAME and not node.attr.startswith("__"):
                yield named[0], background


def _meant(
    program: Program, module: Module, function: Function, node: ast.Name | ast.Attribute, types: Mapping[str, str]
) -> Iterator[tuple[Module, Function]]:
    meaning = module.meaning(node, function)
    if meaning is not None:
        if found := program.function(meaning):
            yield found
        elif made := program.class_(meaning):
            yield from _made(made)
        elif isinstance(node, ast.Attribute) and (instance := module.meaning(node.value, function)):
            where = program.locate(instance)
            value = where[0].bindings.get(where[1]) if where else None
            if where and isinstance(value, ast.Call) and (name := where[0].meaning(value.func)):
                yield from _method(program, name, node.attr)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call):
        if name := module.meaning(node.value.func, function):
            yield from _method(program, name, node.attr)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        method = _around(function)
        if node.value.id in ("self", "cls") and method is not None and method.owner:
            yield from _method(program, f"{module.name}.{method.owner}", node.attr)
        elif node.value.id in types:
            yield from _method(program, types[node.value.id], node.attr)


def _method(program: Program, name: str, attribute: str) -> Iterator[tuple[Module, Function]]:
    """The method `attribute` of the class with this full name, or of its bases."""
    found = program.class_(name)
    if found is None:
        return
    for each in (name, *program.ancestors(*found)):
        if (made := program.class_(each)) and (method := made[0].by_name.get(f"{made[1].name}.{attribute}")):
            yield made[0], method
            return


def _made(found: tuple[Module, Class]) -> Iterator[tuple[Module, Function]]:
    module, made = found
    for name in ("__init__", "__call__", "__enter__", "__exit__", "__aenter__", "__post_init__"):
        if method := module.by_name.get(f"{made.name}.{name}"):
            yield module, method


def _types(program: Program, module: Module, function: Function) -> Mapping[str, str]:
    """Local names whose class can be told: `x = Class()`, and parameters annotated with a class."""
    found: dict[str, str] = {}
    arguments = function.node.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.annotation is not None:
            for node in ast.walk(argument.annotation):
                meaning = module.meaning(node) if isinstance(node, ast.Name | ast.Attribute) else None
                if meaning and program.class_(meaning):
                    found[argument.arg] = meaning
    for node in function.body():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            meaning = module.meaning(node.value.func, function)
            for target in node.targets:
                if isinstance(target, ast.Name) and meaning and program.class_(meaning):
                    found[target.id] = meaning
    return found


def _looked_at(module: Module, function: Function) -> Iterator[ast.AST]:
    """The body, and what a framework calls for the parameters: defaults, annotations and the aliases they name.

    A decorator ran when the function was made; what it put around the function runs with it.
    """
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
    for decorator in function.decorators:
        target = bare(decorator)
        made = module.by_name.get(target.id) if isinstance(target, ast.Name) else None
        if made is not None:
            yield from (
                node for node in ast.walk(made.node) if isinstance(node, ast.Return) for node in ast.walk(node)
            )


def _known(module: Module, function: Function, node: ast.Attribute) -> bool:
    """Whether what the attribute belongs to is known to be something else than an object of the program."""
    if module.meaning(node, function) is not None:
        return True
    base = node.value
    return isinstance(base, ast.Constant | ast.JoinedStr) or (
        isinstance(base, ast.Name) and base.id in ("self", "cls")
    )


def _around(function: Function) -> Function | None:
    """The method that a function is, or is defined in."""
    each: Function | None = function
    while each is not None and each.owner is None:
        each = each.outer
    return each
