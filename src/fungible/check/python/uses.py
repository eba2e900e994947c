"""What becomes of a place while requests are served: who writes it, and whether anything reads it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from fungible.check.python.function import Function
from fungible.check.python.module import Module
from fungible.check.python.nodes import last_name, text_of
from fungible.check.python.places import Place
from fungible.check.python.reached import Reached
from fungible.check.python.writes import Write, locate, writes

_EMPTIES = frozenset({"clear", "pop", "popitem", "discard", "remove", "popleft"})
_READS_A_STORE = frozenset(
    """
    execute executemany fetchone fetchall fetchrow fetchval scalar scalars scalar_one get_or_create objects find_one
    hgetall getresponse query
    """.split()  # noqa: SIM905
)
_ASKS = re.compile(r"^((requests|httpx)\.(get|post|put|head|options|request)|urllib\.request\.urlopen)$")


@dataclass(frozen=True)
class Written:
    """A write, and the function that makes it."""

    module: Module
    function: Function
    write: Write


@dataclass(frozen=True)
class Uses:
    """All writes of a place in reached functions, by file and line, and in how many spots its content is read."""

    place: Place
    writes: tuple[Written, ...]
    reads: int

    @property
    def fills(self) -> tuple[Written, ...]:
        """The writes that put something in."""
        return tuple(each for each in self.writes if not _empties(each.write.node))


def uses(reached: Reached) -> Mapping[str, Uses]:
    """Full name of a place -> its uses, of all places that are written while a request is served."""
    written: dict[str, list[Written]] = defaultdict(list)
    places: dict[str, Place] = {}
    for module, function in reached:
        for write in writes(reached, module, function):
            places[write.place.full] = write.place
            written[write.place.full].append(Written(module, function, write))
    roots = {id(one.write.root) for each in written.values() for one in each}
    reads = _reads(reached, roots)
    return {name: Uses(places[name], tuple(each), reads.get(name, 0)) for name, each in written.items()}


def _reads(reached: Reached, roots: Collection[int]) -> Mapping[str, int]:
    """How often a place is named in reached functions, where it is not written by that name (one of `roots`)."""
    found: dict[str, int] = defaultdict(int)
    for module, function in reached:
        for node in function.body():
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in roots:
                place, _ = locate(reached, module, function, node.id, _path_above(module, node))
                if place is not None:
                    found[place.full] += 1
    return found


def _path_above(module: Module, node: ast.AST) -> tuple[str, ...]:
    path = []
    parent = module.parents.get(node)
    while isinstance(parent, ast.Attribute) and parent.value is node:
        path.append(parent.attr)
        node, parent = parent, module.parents.get(parent)
    return tuple(path)


def _empties(node: ast.AST) -> bool:
    if isinstance(node, ast.Delete):
        return True
    return isinstance(node, ast.Call) and last_name(node.func) in _EMPTIES


def is_lazy(written: Written) -> bool:
    """Whether a place is filled where it was found empty: `if CLIENT is None: CLIENT = connect()`, or after
    `if ITEMS: return ITEMS`. With one variable others may be bound that belong to it."""
    names = {
        written.write.place.name.rpartition(".")[2],
        *(written.function.globals if written.write.rebinds else ()),
    }
    around = [node.test for node in _around(written.module, written.write.node) if isinstance(node, ast.If)]
    before = [
        node.test
        for node in written.function.body()
        if isinstance(node, ast.If) and any(isinstance(each, ast.Return) for each in node.body)
        and node.lineno < getattr(written.write.node, "lineno", 0)
    ]  # fmt: skip
    return any(_asks_whether_empty(test, names) for test in (*around, *before))


def _asks_whether_empty(test: ast.expr, names: set[str]) -> bool:
    """Whether a condition looks at a variable as a whole (`X`, `not X`, `X is None`, `len(X) == 0`)."""
    if isinstance(test, ast.BoolOp):
        return any(_asks_whether_empty(each, names) for each in test.values)
    if isinstance(test, ast.UnaryOp):
        return _asks_whether_empty(test.operand, names)
    if isinstance(test, ast.Compare):
        if any(isinstance(each, ast.In | ast.NotIn) for each in test.ops):
            return False
        return _asks_whether_empty(test.left, names)
    if isinstance(test, ast.Call) and text_of(test.func) in ("len", "bool") and test.args:
        return _asks_whether_empty(test.args[0], names)
    return last_name(test) in names


def is_unread(used: Uses) -> bool:
    """Whether a variable is only ever changed, by statements whose value nobody takes: nothing depends on it."""
    if used.place.owner not in ("module", "closure"):
        return False  # an attribute may be read by any name of the object
    for each in used.writes:
        node = each.write.node
        if isinstance(node, ast.expr) and not isinstance(each.module.parents.get(node), ast.Expr):
            return False
        if isinstance(node, ast.Assign) and len(node.targets) > 1:
            return False
    return used.reads == 0


def is_memo(used: Uses) -> bool:
    """Whether a place only keeps what a call gave for a key, looked up by that key before (`if k not in X`)."""
    fills = used.fills
    if len({each.function for each in fills}) != 1:
        return False
    function = fills[0].function
    looked = [(ast.dump(each), each) for node in function.body() for each in _looked_up(node)]
    for each in fills:
        key, node = each.write.key, each.write.node
        if key is None or not _computed(each.write.adds, function):
            return False
        if not isinstance(node, ast.Assign) and not (
            isinstance(node, ast.Call) and last_name(node.func) == "setdefault"
        ):
            return False
        if not any(dumped == ast.dump(key) and one is not key for dumped, one in looked):
            return False
    return True


def is_compared(used: Uses) -> bool:
    """Whether what is kept is taken only after a comparison with something current (a version, a time of change)."""
    first = used.fills[0]
    tests = [node.test for node in _around(first.module, first.write.node) if isinstance(node, ast.If)]
    tests += [node.test for node in first.function.body() if isinstance(node, ast.If | ast.IfExp)]
    return any(
        isinstance(each, ast.Compare)
        and any(isinstance(op, ast.Eq | ast.NotEq | ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in each.ops)
        for test in tests
        for each in ast.walk(test)
    )


def reads_a_store(module: Module, function: Function) -> bool:
    """Whether a function's own body asks a database or a service. Files of the release do not change."""
    return any(asks_a_store(module, function, node) for node in function.body())


def asks_a_store(module: Module, function: Function | None, node: ast.AST) -> bool:
    """Whether a node is a question to a database or a service, or part of one."""
    if isinstance(node, ast.Call):
        by_key = isinstance(node.func, ast.Attribute) and node.func.attr == "get" and len(node.args) == 2
        if by_key and isinstance(node.args[0], ast.Name) and node.args[0].id[:1].isupper():
            return True  # `session.get(Item, 1)` of SQLAlchemy
        return _ASKS.match(module.meaning(node.func, function) or "") is not None
    return isinstance(node, ast.Attribute) and node.attr in _READS_A_STORE


def _computed(value: ast.expr | None, function: Function) -> bool:
    """Whether a value comes of a call that was given something, directly or by a local name."""
    if isinstance(value, ast.Name):
        values = function.given.get(value.id, ())
        return any(_computed(each, function) for each in values if not isinstance(each, ast.Name))
    if isinstance(value, ast.Tuple):
        return any(_computed(each, function) for each in value.elts)
    if isinstance(value, ast.Await):
        return _computed(value.value, function)
    return isinstance(value, ast.Call) and bool(value.args or value.keywords or isinstance(value.func, ast.Attribute))


def is_looked_up(used: Uses, reached: Reached) -> bool:
    """Whether another method of an object than those that change a container of its looks something up there."""
    made, _, attribute = used.place.name.partition("().")
    changing = {each.function for each in used.writes}
    return any(
        last_name(container) == attribute
        for function in used.place.module.functions
        if function.owner == made and function in reached and function not in changing
        for node in function.body()
        for container in _asked_of(node)
    )


def _asked_of(node: ast.AST) -> Iterator[ast.AST]:
    """The container that something is looked up in: `x[k]`, `x.get(k)`, `k in x`."""
    match node:
        case (
            ast.Subscript(value=container, ctx=ast.Load()) | ast.Call(func=ast.Attribute(value=container, attr="get"))
        ):
            yield container
        case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[container]):
            yield container


def _looked_up(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare) and any(isinstance(each, ast.In | ast.NotIn) for each in node.ops):
        yield node.left
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        yield node.slice
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        yield from node.args[:1]


def _around(module: Module, node: ast.AST) -> Iterator[ast.AST]:
    parent = module.parents.get(node)
    while parent is not None and not isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
        yield parent
        parent = module.parents.get(parent)
