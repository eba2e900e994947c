"""What an annotation names: classes of the program, in so many containers, and dependencies of a framework
(`Annotated[Store, Depends(store)]`)."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from fungible.check.python.module import Class, Module
from fungible.check.python.nodes import last_name

Locate = Callable[[str], tuple[Module, str] | None]

_FURTHEST = 8
_MOST = 12
_CONTAINERS = frozenset(
    """
    list dict set tuple List Dict Set Tuple Sequence Mapping MutableMapping Iterable Iterator Collection deque
    defaultdict OrderedDict frozenset FrozenSet DefaultDict Deque
    """.split()  # noqa: SIM905
)


def annotated(
    locate: Locate, module: Module, node: ast.AST | None, depth: int = 0, left: int = _FURTHEST
) -> Iterator[tuple[Module, Class | ast.Call, int]]:
    """Classes and calls that an annotation of `module` names, each with its module and how many containers it is in.

    `locate` finds the module and the name in it that a full name stands for. An alias is followed, also one that
    names itself, as far as `left` says.
    """
    match node if left else None:
        case ast.Constant(value=str(text)) if text.isidentifier():
            yield from annotated(locate, module, ast.Name(text, ast.Load()), depth, left - 1)
        case ast.Name() | ast.Attribute() as name:
            meaning = module.meaning(name)
            found = locate(meaning) if meaning else None
            if found and (made := found[0].classes.get(found[1])):
                yield found[0], made, depth
            elif found and isinstance(alias := found[0].bindings.get(found[1]), ast.Subscript | ast.BinOp):
                yield from annotated(locate, found[0], alias, depth, left - 1)
        case ast.Call() as call:
            yield module, call, depth
        case ast.Subscript(value=outer, slice=inner) if last_name(outer) not in ("Type", "type", "Callable"):
            deeper = depth + (last_name(outer) in _CONTAINERS)
            yield from annotated(locate, module, inner, deeper, left - 1)
        case ast.Tuple(elts=several):
            for each in several[:_MOST]:
                yield from annotated(locate, module, each, depth, left - 1)
        case ast.BinOp(left=one, right=other):
            yield from annotated(locate, module, one, depth, left - 1)
            yield from annotated(locate, module, other, depth, left - 1)
