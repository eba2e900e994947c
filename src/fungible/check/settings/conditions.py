"""Whether a condition holds where an app serves its users: as far as it can be told.

Production is what is checked, so that DEBUG and its like are false, whatever value they have in the source.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

from fungible.check.settings.places import is_development, is_production
from fungible.check.settings.values import Environ, Mixed, Value

_DEEPEST = 20

Evaluate = Callable[[ast.expr], Value]


def holds(test: ast.expr, value: Evaluate, depth: int = 0) -> bool | None:
    """True or False, or None where it cannot be told; `value` evaluates an expression where the condition stands."""
    if depth > _DEEPEST:
        return None
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = holds(operand, value, depth + 1)
            return None if inner is None else not inner
        case ast.BoolOp(op=operator, values=parts):
            found = [holds(part, value, depth + 1) for part in parts]
            stop = isinstance(operator, ast.Or)
            if stop in found:
                return stop
            return None if None in found else not stop
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            return None if isinstance(operator, ast.Lt | ast.Gt) else _compared(left, operator, right, value)
        case ast.Name(id=name) | ast.Attribute(attr=name) if name == "TYPE_CHECKING" or is_development(name):
            return False
        case ast.Name(id=name) | ast.Attribute(attr=name) if is_production(name):
            return True
        case (
            ast.Subscript(slice=ast.Constant(value=str(name))) | ast.Call(args=[ast.Constant(value=str(name)), *_])
        ) if is_development(name):
            return False
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if is_development(name):
            return False
    known = value(test)
    return bool(known) if isinstance(known, bool | str | int | list | dict) or known is None else None


def _compared(left: ast.expr, operator: ast.cmpop, right: ast.expr, value: Evaluate) -> bool | None:
    if _is_of_command_line(left) or _is_of_command_line(right):
        return isinstance(operator, ast.NotEq | ast.NotIn)  # `manage.py test`, `app.py setup`
    sides = [value(left), value(right)]
    equal: bool | None = None
    texts = [text for side in sides for text in (side if isinstance(side, list) else [side]) if isinstance(text, str)]
    if all(isinstance(side, str | bool | int) or side is None for side in sides):
        equal = sides[0] == sides[1]
    elif sides[1] is None or sides[0] is None:
        other = sides[0] if sides[1] is None else sides[1]
        equal = False if isinstance(other, Mixed | list | dict) else None
    elif any(isinstance(side, Environ) or not isinstance(side, str | list) for side in sides) and texts:
        if all(is_production(text) for text in texts):
            equal = True
        elif all(is_development(text) for text in texts):
            equal = False
    if equal is None or not isinstance(operator, ast.Eq | ast.NotEq | ast.Is | ast.IsNot | ast.In | ast.NotIn):
        return None
    if isinstance(operator, ast.In | ast.NotIn) and not isinstance(sides[1], list):
        return None
    return equal is isinstance(operator, ast.Eq | ast.Is | ast.In)


def _is_of_command_line(node: ast.expr) -> bool:
    return any(
        isinstance(each, ast.Attribute)
        and each.attr in ("argv", "modules")
        and isinstance(each.value, ast.Name)
        and each.value.id == "sys"
        for each in ast.walk(node)
    )
