"""What a function that runs in a request writes to places that outlive the request."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fungible.check.python.function import Function
from fungible.check.python.module import Class, Module
from fungible.check.python.nodes import targets, text_of
from fungible.check.python.places import Kind, Place, is_lock, is_of_a_request, kind_of, of_module, place_of
from fungible.check.python.reached import Reached

MUTATORS = frozenset(
    """
    append extend insert add update setdefault pop popitem remove discard clear appendleft
    extendleft popleft sort reverse rotate subtract difference_update intersection_update
    symmetric_difference_update move_to_end
    """.split()  # noqa: SIM905
)
_PUTS = frozenset({"put", "put_nowait", "set", "notify", "notify_all"})
_THROUGH = frozenset({"get", "setdefault", "values", "items", "pop", "popitem"})


@dataclass(frozen=True)
class Write:
    """A statement that changes a place.

    `node` is the statement or call; `path` the attributes between the place and what is changed (`items` for
    `STORE.items[k] = v`); `rebinds` whether the variable itself gets another value; `adds` the value that is put
    in, where it can be told; `key` under what; `root` where the place is named.
    """

    place: Place
    node: ast.stmt | ast.expr
    path: tuple[str, ...]
    rebinds: bool
    root: ast.Name
    adds: ast.expr | None = None
    key: ast.expr | None = None


def writes(reached: Reached, module: Module, function: Function) -> Iterator[Write]:
    """The writes of one reached function, in the order of its text."""
    known = aliases(function)
    for node in function.body():
        for target, path_key, value in _changed(node):
            yield from _write(reached, module, function, node, target, path_key, value, known)


def _changed(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr | None, ast.expr | None]]:
    """What a node changes, under which key, and what it puts there."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            for each in target.elts if isinstance(target, ast.Tuple | ast.List) else [target]:
                yield each, getattr(each, "slice", None), node.value
    elif isinstance(node, ast.AugAssign) or (isinstance(node, ast.AnnAssign) and node.value is not None):
        yield node.target, getattr(node.target, "slice", None), node.value
    elif isinstance(node, ast.Delete):
        yield from ((each, getattr(each, "slice", None), None) for each in node.targets)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in MUTATORS | _PUTS:
            yield node.func, node.args[0] if node.args else None, node.args[-1] if node.args else None
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "next" and node.args:
        yield ast.Attribute(node.args[0], "__next__", ast.Load()), None, None


def _write(
    reached: Reached,
    module: Module,
    function: Function,
    node: ast.AST,
    target: ast.expr,
    key: ast.expr | None,
    value: ast.expr | None,
    known: Mapping[str, ast.expr],
) -> Iterator[Write]:
    if not isinstance(node, ast.stmt | ast.expr):
        return
    bare = isinstance(target, ast.Name)
    if bare and target.id not in function.globals and not _nonlocal(function, target.id):  # type: ignore[attr-defined]
        return
    called = isinstance(node, ast.Call)
    method = target.attr if called and isinstance(target, ast.Attribute) else ""
    root, path = _down(target.value if called and isinstance(target, ast.Attribute) else target)
    if root is None:
        return
    if root.id in known and function.holder(root.id) is function:
        if _is_fresh(function, root.id, node.lineno):
            return
        root, before = _down(known[root.id])
        if root is None:
            return
        path = (*before, *path)
    place, path = locate(reached, module, function, root.id, path)
    if place is None or (place.owner == "class" and not called and not path and root.id == "self" and _plain(target)):
        return  # `self.x = 1` gives the object an attribute of its own, whatever the class has
    if method in _PUTS and place.kind is not Kind.QUEUE:
        return
    if method == "__next__" and place.kind is not Kind.COUNTER:
        return
    if (
        called
        and method in MUTATORS
        and place.kind is not Kind.CONTAINER
        and not (path and place.kind is Kind.INSTANCE)
    ):
        return  # `.add()` of a session, `.update()` of a client: methods of an object, not of a container
    if not called and not bare and place.kind in (Kind.OTHER, Kind.LOCK, Kind.QUEUE):
        return
    yield Write(place, node, path, bare, root, value, key)


def locate(
    reached: Reached, module: Module, function: Function, root: str, path: tuple[str, ...]
) -> tuple[Place | None, tuple[str, ...]]:
    """The place that a root and its attributes stand for, and the attributes that are left."""
    method = function
    while method.owner is None and method.outer is not None:
        method = method.outer
    if method.owner and "builtins.type" in module.classes[method.owner].bases:
        return None, path  # a class is being made
    if root in ("self", "cls") and method.owner and path:
        if method.name.endswith((".__init__", ".__post_init__", ".__new__", ".__init_subclass__")) and root == "self":
            return None, path  # the object is being made
        if root == "self" and method in reached.making:
            return None, path
        return _of_self(reached, module, method.owner, root, path)
    meaning = module.meaning(ast.Name(root, ast.Load()), function)
    found = reached.program.locate(f"{meaning}.{path[0]}") if meaning and path else None
    if found and found[1] and (place := of_module(reached, *found)):  # `store.CARTS`, `Cart.items`
        return place, path[1:]
    place = place_of(reached, module, function, root)
    if place is None and path and root not in ("self", "cls"):
        return _of_object(reached, module, function, root, path)
    return place, path


def _of_object(
    reached: Reached, module: Module, function: Function, root: str, path: tuple[str, ...]
) -> tuple[Place | None, tuple[str, ...]]:
    """An attribute of the object that a local name stands for, where that lasts: `cart = carts.of(user)`."""
    things = reached.objects.named(module, function, root)
    if not things or any(each.depth or not each.is_instance or each.full not in reached.lasting for each in things):
        return None, path
    for each in things:
        for there, kind in reached.objects.lineage(each.module, each.of) if isinstance(each.of, Class) else ():
            bound = there.attributes.get((kind.name, path[0]))
            if bound is not None and not is_of_a_request(there, bound):
                found = Kind.LOCK if is_lock(there, kind) else kind_of(there, bound, reached)
                return Place(there, f"{kind.name}().{path[0]}", bound.lineno, found, "instance"), path[1:]
    return None, path


def _of_self(
    reached: Reached, module: Module, owner: str, root: str, path: tuple[str, ...]
) -> tuple[Place | None, tuple[str, ...]]:
    """An attribute of the object itself: of its class where no method binds it, else of a lasting object."""
    for name in (f"{module.name}.{owner}", *reached.program.ancestors(module, module.classes[owner])):
        made = reached.program.class_(name)
        if made is None:
            continue
        there, kind = made
        bound = there.attributes.get((kind.name, path[0]))
        if (root == "cls" or not bound) and path[0] in kind.attributes:
            return of_module(reached, there, f"{kind.name}.{path[0]}"), path[1:]
        if bound is not None and root == "self" and f"{module.name}.{owner}" in reached.lasting:
            if is_of_a_request(there, bound):
                return None, path
            found = Kind.LOCK if is_lock(there, kind) else kind_of(there, bound, reached)
            return Place(there, f"{kind.name}().{path[0]}", bound.lineno, found, "instance"), path[1:]
    return None, path


def adds_to_itself(node: ast.Assign | ast.AnnAssign) -> bool:
    """Whether a value is the one before and something more: `x = x + 1`, `x = [*x, item]`, `x = {**x, k: v}`."""
    before = {text_of(each) for each in targets(node)}
    match node.value:
        case ast.BinOp(left=left, right=right):
            parts = [left, right]
        case ast.Tuple(elts=several) | ast.List(elts=several) | ast.Set(elts=several):
            parts = [each.value for each in several if isinstance(each, ast.Starred)]
        case ast.Dict(keys=keys, values=values):
            parts = [value for key, value in zip(keys, values, strict=True) if key is None]
        case _:
            parts = []
    return any(text_of(each) in before for each in parts)


def _plain(target: ast.expr) -> bool:
    """Whether an attribute itself is assigned, and not an item of it."""
    return isinstance(target, ast.Attribute)


def _down(node: ast.expr) -> tuple[ast.Name | None, tuple[str, ...]]:
    """The name at the bottom of `A.b[c].get(d)`, and the attributes on the way (`b`)."""
    path: list[str] = []
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            path.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            return None, ()  # a copy
        elif isinstance(node, ast.Subscript | ast.Await):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _THROUGH:
            node = node.func.value
        else:
            return None, ()
    return node, tuple(reversed(path))


def aliases(function: Function) -> Mapping[str, ast.expr]:
    """Local names that stand for a part of something else: `cart = CARTS[user]`, always by such assignments."""
    found: dict[str, ast.expr] = {}
    spoiled = set(function.parameters)
    for node in function.body():
        for name, value in _named(node):
            root, _ = _down(value) if value is not None else (None, ())
            if root is None or isinstance(value, ast.Name) or root.id == name or name in found:
                if not (isinstance(value, ast.Dict | ast.List | ast.Set) and name in found):
                    spoiled.add(name)
            elif isinstance(value, ast.expr):
                found[name] = value
    return {name: value for name, value in found.items() if name not in spoiled}


def _is_fresh(function: Function, name: str, line: int) -> bool:
    """Whether a name has been given a new container before a line, whichever way led there."""
    body = function.node.body if isinstance(function.node.body, list) else []
    return any(
        isinstance(each, ast.Assign)
        and isinstance(each.value, ast.Dict | ast.List | ast.Set)
        and each.lineno < line
        and any(isinstance(target, ast.Name) and target.id == name for target in each.targets)
        and len(each.targets) == 1
        for each in body
    )


def _named(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            for each in ast.walk(target) if isinstance(target, ast.Tuple | ast.List) else [target]:
                if isinstance(each, ast.Name):
                    yield each.id, node.value if each is target else None
    elif isinstance(node, ast.NamedExpr):
        yield node.target.id, node.value
    elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        yield from ((each.id, None) for each in ast.walk(node.target) if isinstance(each, ast.Name))


def _nonlocal(function: Function, name: str) -> bool:
    return any(isinstance(node, ast.Nonlocal) and name in node.names for node in function.body())
