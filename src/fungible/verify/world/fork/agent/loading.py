"""Import an app and find its callable, by the rules of the server that its command names."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import sys
from types import ModuleType
from typing import Any

from .order import Boot


class NotFound(Exception):
    """There is no such callable."""


def load(boot: Boot) -> tuple[Any, str]:
    """The callable and its kind: `wsgi`, `asgi` or `auto`. Raises NotFound, and whatever the import raises."""
    if boot.finder == "flask":
        return _flask(boot.module, boot.attribute), "wsgi"
    module = importlib.import_module(boot.module)
    found = evaluate(module, boot.attribute)
    if boot.factory:
        found = found()
    if not callable(found):
        raise NotFound(f"{boot.module}:{boot.attribute} is not a callable")
    return found, boot.kind


def evaluate(module: ModuleType, expression: str) -> Any:
    """An attribute (`app`, `site.app`) or a call of one with literal arguments (`create_app("test", debug=True)`).

    Raises NotFound.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except SyntaxError:
        raise NotFound(f"{expression!r} is neither a name nor a call") from None
    args: list[Any] = []
    kwargs = {}
    is_call = isinstance(tree, ast.Call)
    name = tree
    if isinstance(tree, ast.Call):
        name = tree.func
        try:
            args = [ast.literal_eval(each) for each in tree.args]
            kwargs = {str(each.arg): ast.literal_eval(each.value) for each in tree.keywords if each.arg}
        except ValueError:
            raise NotFound(f"{expression!r} has arguments that are no literals") from None
    found: Any = module
    for part in _dotted(name, expression):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise NotFound(f"module {module.__name__} has no {expression}") from None
    return found(*args, **kwargs) if is_call else found


def _dotted(node: ast.AST, expression: str) -> list[str]:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise NotFound(f"{expression!r} is neither a name nor a call")
    return [node.id, *reversed(parts)]


def kind_of(application: Any) -> str:
    """`asgi` for what is awaited with three arguments, else `wsgi`."""
    for candidate in (application, getattr(application, "__call__", None)):  # noqa: B004 - the method itself
        if inspect.iscoroutinefunction(candidate):
            return "asgi"
    try:
        parameters = inspect.signature(application).parameters.values()
    except (TypeError, ValueError):
        return "wsgi"
    needed = [each for each in parameters if each.default is each.empty and each.kind in (each.POSITIONAL_ONLY,
              each.POSITIONAL_OR_KEYWORD)]  # fmt: skip
    return "asgi" if len(needed) == 3 else "wsgi"


def _flask(text: str, attribute: str) -> Any:
    """Flask's own search (its documentation, "Application Discovery")."""
    if text:
        module = importlib.import_module(_prepare(text))
    else:
        found = next((name for name in ("wsgi.py", "app.py") if os.path.isfile(name)), None)
        if found is None:
            raise NotFound("there is neither wsgi.py nor app.py, and FLASK_APP is not set")
        module = importlib.import_module(_prepare(found))
    if attribute:
        application = evaluate(module, attribute)
        return application() if inspect.isfunction(application) else application
    flask: Any = importlib.import_module("flask")
    for name in ("app", "application"):
        if isinstance(getattr(module, name, None), flask.Flask):
            return getattr(module, name)
    matches = [value for value in vars(module).values() if isinstance(value, flask.Flask)]
    if len(matches) == 1:
        return matches[0]
    for name in ("create_app", "make_app"):
        factory = getattr(module, name, None)
        if inspect.isfunction(factory):
            return factory()
    raise NotFound(f"module {module.__name__} has no Flask app")


def _prepare(text: str) -> str:
    """A file or folder as a dotted name, with its root on sys.path; a dotted name as it is."""
    path = os.path.realpath(text)
    if not os.path.exists(path) and os.path.exists(path + ".py"):
        path += ".py"
    if not os.path.exists(path):
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        return text
    if path.endswith(".py"):
        path = path[:-3]
    if os.path.basename(path) == "__init__":
        path = os.path.dirname(path)
    parts: list[str] = []
    while True:
        path, name = os.path.split(path)
        parts.insert(0, name)
        if not os.path.exists(os.path.join(path, "__init__.py")):
            break
    if sys.path[:1] != [path]:
        sys.path.insert(0, path)
    return ".".join(parts)
