"""What belongs to a thread or a context and outlives its request: the thread serves others after it (FU101).

The usual use is harmless and silent: each request sets the value before it reads it, or takes it back at its end.
Told is what is only ever added to, and what the requests of one route set and those of another read.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fungible.check.finding import Finding, Level
from fungible.check.python.entries import Entry
from fungible.check.python.function import Function
from fungible.check.python.module import Module
from fungible.check.python.nodes import last_name, targets
from fungible.check.python.reached import Reached

_ASYNC = frozenset(
    """
    aiohttp asgiref blacksheep channels emmett fastapi fastmcp hypercorn litestar mcp microdot muffin nicegui quart
    robyn sanic socketify starlette tornado uvicorn
    """.split()  # noqa: SIM905
)
"""Who serves each request in a context of its own, so that nothing of a context variable is left."""
_ADDS = frozenset({"append", "add", "extend", "update", "insert", "appendleft", "__setitem__"})
_TAKES = frozenset({"pop", "popleft", "popitem", "remove", "discard", "clear", "reset", "subtract"})
_AROUND = re.compile(
    r"before|after|teardown|middleware|processor|error|exception|template|filter|startup|handler|server"
)

_ANY = "*"


@dataclass(frozen=True)
class _Use:
    """What a node does with a variable of a thread: `adds` to what is there, `sets` it whatever it was, `empties`
    it, or `reads` it."""

    what: str
    module: Module
    function: Function
    node: ast.expr | ast.stmt


def find(reached: Reached) -> Iterator[Finding]:
    """Values that a thread or a context carries from one request to the next."""
    variables = dict(_variables(reached))
    used: dict[tuple[str, str], list[_Use]] = defaultdict(list)
    names = {name.rpartition(".")[2] for name in variables}
    shared: set[str | None] = set()
    for module in reached.program.modules.values() if variables else ():
        for function in module.functions:
            for node in function.body():
                if (isinstance(node, ast.Name) and node.id in names) or (
                    isinstance(node, ast.Attribute) and node.attr in names
                ):
                    for name, attribute, what, at in _done(reached, module, function, node, variables):
                        used[name, attribute].append(_Use(what, module, function, at))
        for call in module.nodes:  # handed to somebody, who may do anything with it
            for each in call.args if isinstance(call, ast.Call) and module.around(call) is None else ():
                if (meaning := module.meaning(each)) in variables:
                    shared.add(meaning)
    for (name, attribute), uses in used.items():
        if (name, _ANY) in used or name in shared:
            continue
        here = [each for each in uses if each.function in reached]
        full = f"{name}.{attribute}".rstrip(".")
        short = full.removeprefix(f"{name.rpartition('.')[0]}.")
        if finding := _added(reached, full, short, uses, here) or _handed_on(reached, full, short, uses, here):
            yield finding


def _variables(reached: Reached) -> Iterator[tuple[str, str]]:
    """Full names of module variables that have a content for each thread (`local`) or context (`context`)."""
    context = not any(
        name.partition(".")[0] in _ASYNC
        for module in reached.program.modules.values()
        for name in module.imports.values()
    )
    for module in reached.program.modules.values():
        for name, value in module.bindings.items():
            meaning = module.meaning(value.func) if isinstance(value, ast.Call) else None
            if meaning == "threading.local":
                yield f"{module.name}.{name}", "local"
            elif meaning == "contextvars.ContextVar" and context:
                yield f"{module.name}.{name}", "context"


def _done(
    reached: Reached, module: Module, function: Function, node: ast.Name | ast.Attribute, variables: Mapping[str, str]
) -> Iterator[tuple[str, str, str, ast.expr | ast.stmt]]:
    """If a node is one of the variables: its full name, the attribute, what is done with that, and by which node."""
    meaning = module.meaning(node, function) if isinstance(node.ctx, ast.Load) else None
    found = reached.program.locate(meaning) if meaning else None
    name = f"{found[0].name}.{found[1]}" if found else ""
    if name not in variables:
        return
    parent = module.parents.get(node)
    if variables[name] == "context":
        call = module.parents.get(parent) if isinstance(parent, ast.Attribute) else None
        match parent:
            case ast.Attribute(attr="set") if isinstance(call, ast.Call):
                same = (each for each in ast.walk(call) if ast.dump(each) == ast.dump(node) and each is not node)
                yield name, "", "adds" if any(True for _ in same) else "sets", call
            case ast.Attribute(attr="get"):
                yield name, "", "reads", parent
            case _:
                yield name, _ANY, "empties", node
        return
    match parent:
        case ast.Attribute(attr=attribute) if not attribute.startswith("__"):
            yield name, attribute, *_done_with(module, function, parent, attribute)
        case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(attribute)), *_]):
            yield name, attribute, "reads", parent
        case ast.Call(func=ast.Name(id="setattr"), args=[_, ast.Constant(value=str(attribute)), value]):
            yield name, attribute, _given(parent, value, node, attribute), parent
        case ast.Call(func=ast.Name(id="hasattr")):
            pass
        case _:  # handed to somebody, who may do anything with it
            yield name, _ANY, "empties", node


def _done_with(
    module: Module, function: Function, node: ast.Attribute, attribute: str
) -> tuple[str, ast.expr | ast.stmt]:
    """What is done with `here.items`, and by which node."""
    above = module.parents.get(node)
    if isinstance(node.ctx, ast.Del):
        return "empties", node
    if isinstance(node.ctx, ast.Store):
        match above:
            case ast.AugAssign(op=ast.Add() | ast.BitOr()):
                return "adds", above
            case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
                if _is_lazy(module, function, above, attribute):
                    return "reads", above
                return _given(above, value, node.value, attribute), above
        return "empties", node
    below: ast.AST = node
    while isinstance(above, ast.Subscript) and above.value is below:
        if isinstance(above.ctx, ast.Store):
            keyed = module.parents.get(above)
            return ("adds", keyed) if isinstance(keyed, ast.Assign | ast.AugAssign) else ("empties", above)
        if isinstance(above.ctx, ast.Del):
            return "empties", above
        below, above = above, module.parents.get(above)
    call = module.parents.get(above) if isinstance(above, ast.Attribute) else None
    match call:
        case ast.Call(func=ast.Attribute(attr=method)) if call.func is above and method in _ADDS | _TAKES:
            return "adds" if method in _ADDS else "empties", call
    return "reads", node


def _given(statement: ast.AST, value: ast.expr, variable: ast.expr, attribute: str) -> str:
    """What giving an attribute a value does."""
    if isinstance(value, ast.Constant) and not value.value:
        return "empties"
    return "adds" if any(_is_itself(each, variable, attribute) for each in ast.walk(value)) else "sets"


def _is_itself(node: ast.AST, variable: ast.expr, attribute: str) -> bool:
    """Whether a part of a value is the attribute itself, also by `getattr`."""
    match node:
        case ast.Attribute(value=holder, attr=name):
            pass
        case ast.Call(func=ast.Name(id="getattr"), args=[holder, ast.Constant(value=str(name)), *_]):
            pass
        case _:
            return False
    return name == attribute and ast.dump(holder) == ast.dump(variable)


def _is_lazy(module: Module, function: Function, node: ast.AST, attribute: str) -> bool:
    """Whether a value is set where there was none: under a condition or in a handler that asks for it."""
    parent = module.parents.get(node)
    while parent is not None and parent is not function.node:
        if isinstance(parent, ast.ExceptHandler) and "AttributeError" in ast.dump(parent.type or parent):
            return True
        if isinstance(parent, ast.If) and any(
            getattr(each, "attr", None) == attribute or getattr(each, "value", None) == attribute
            for each in ast.walk(parent.test)
        ):
            return True
        parent = module.parents.get(parent)
    before = (each for each in function.body() if isinstance(each, ast.If) and _leaves(each.body))
    return any(
        getattr(part, "attr", None) == attribute or getattr(part, "value", None) == attribute
        for each in before
        if each.lineno < getattr(node, "lineno", 0)
        for part in ast.walk(each.test)
    )


def _leaves(body: Iterable[ast.stmt]) -> bool:
    return any(isinstance(each, ast.Return | ast.Raise) for each in body)


def _added(reached: Reached, name: str, short: str, uses: list[_Use], here: list[_Use]) -> Finding | None:
    """What is only ever added to: nothing sets it anew or takes it away."""
    adds = [each for each in here if each.what == "adds"]
    if not adds or any(each.what in ("sets", "empties") for each in uses) or not _is_read(here, adds):
        return None
    if any(_is_remembered(each) for each in adds):
        return None
    first = adds[0]
    message = f"`{short}` is added to {reached.told(first.function)}, and the thread serves others after it"
    return first.module.found(first.node, "FU101", Level.LIKELY, message, name)


def _is_read(here: list[_Use], adds: list[_Use]) -> bool:
    """Whether somebody reads it besides those who add to it, or in what they answer."""
    own = {id(inner) for each in adds for inner in ast.walk(each.node)}
    return any(each.what == "reads" and id(each.node) not in own for each in here)


def _is_remembered(use: _Use) -> bool:
    """Whether what is added is looked up by its key before: what a call gave is kept for its arguments."""
    key = next((each.slice for each in targets(use.node) if isinstance(each, ast.Subscript)), None)
    if key is None:
        return False
    looked = {ast.dump(node.left) for node in use.function.body() if isinstance(node, ast.Compare)}
    looked |= {
        ast.dump(node.args[0])
        for node in use.function.body()
        if isinstance(node, ast.Call) and last_name(node.func) == "get" and node.args
    }
    tried = any(isinstance(node, ast.ExceptHandler) for node in use.function.body())
    return tried or ast.dump(key) in looked


def _handed_on(reached: Reached, name: str, short: str, uses: list[_Use], here: list[_Use]) -> Finding | None:
    """What the requests of some routes set, and those of another read without setting it."""
    sets = [each for each in here if each.what == "sets"]
    reads = [each for each in here if each.what == "reads"]
    if not sets or not reads or any(each.what in ("adds", "empties") for each in uses):
        return None
    if len(sets) != sum(each.what == "sets" for each in uses):
        return None  # something that no request is known to reach sets it, too
    setting = _entries(reached, {each.function for each in sets})
    reading = _entries(reached, {each.function for each in reads})
    apart = {each.function for each in reading} - {each.function for each in setting}
    if not apart or not all(map(_is_route, (*setting, *reading))):
        return None
    first = sets[0]
    message = f"`{short}` is set {reached.told(first.function)}, and other requests of the thread read it"
    return first.module.found(first.node, "FU101", Level.LIKELY, message, name)


def _entries(reached: Reached, functions: set[Function]) -> list[Entry]:
    """The entries from which one of these functions is reached."""
    found: dict[Function, Entry] = {}
    seen, ahead = set(functions), list(functions)
    while ahead:
        function = ahead.pop()
        way = reached.ways[function]
        if not way.by:
            found[function] = way.entry
        for each in reached.referring.get(function, ()):
            if each not in seen:
                seen.add(each)
                ahead.append(each)
    return list(found.values())


def _is_route(entry: Entry) -> bool:
    """Whether an entry serves the requests of a route, and not something before or after those of all."""
    return not _AROUND.search(entry.why.lower()) and "takes a request" not in entry.why
