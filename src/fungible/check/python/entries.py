"""Where a request enters a program: the functions that a framework calls while it serves one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from fungible.check.python.function import Function
from fungible.check.python.module import Class, Module
from fungible.check.python.nodes import bare, last_name, text_of
from fungible.check.python.objects import Objects
from fungible.check.python.program import Program

WEB = frozenset(
    """
    aiohttp apiflask ariadne blacksheep bottle channels cherrypy connexion dash django emmett falcon
    fastapi fastmcp flask flask_restful flask_restx flask_smorest flask_socketio gluon gradio
    graphene hug klein litestar mcp microdot muffin nicegui ninja pyramid quart responder
    rest_framework robyn sanic socketify socketio starlette strawberry streamlit tornado twisted
    webob werkzeug wsgiref
    """.split()  # noqa: SIM905
)
"""Top-level packages of what serves requests. A module that imports none of them has no view by name alone."""

_ALWAYS = frozenset(
    """
    route api_route websocket websocket_route before_request after_request teardown_request
    before_app_request after_app_request errorhandler app_errorhandler exception_handler exception
    middleware context_processor app_context_processor url_value_preprocessor view_config view template_global
    app_template_global template_filter app_template_filter template_test
    simple_tag inclusion_tag api_view action expose task periodic_task shared_task actor
    subscription tool resource prompt
    """.split()  # noqa: SIM905
)
_WITH_PATH = frozenset(
    """
    get post put patch delete head options trace handle any ws on event callback page
    """.split()  # noqa: SIM905
)
_MADE_BY = frozenset(
    """
    FastAPI APIRouter Flask Blueprint Quart Sanic Starlette Bottle RouteTableDef NinjaAPI Router
    Application App API SocketIO AsyncServer Server Dash APIFlask Litestar Microdot Klein
    AsyncNamespace Api Namespace FastMCP
    """.split()  # noqa: SIM905
)
_REGISTERS = frozenset(
    """
    path re_path url add_url_rule add_api_route add_route add_get add_post add_put add_patch
    add_delete add_head add_view add_websocket_route add_api_websocket_route add_middleware
    add_handler connect Route WebSocketRoute as_view before_request after_request teardown_request
    register_error_handler add_exception_handler add_resource middleware route on_message
    add_event_handler make_server run_simple serve
    """.split()  # noqa: SIM905
)
_MAKES_AN_APP = frozenset(
    """
    FastAPI Flask Quart Sanic Starlette Litestar Bottle Microdot App Application register_blueprint
    include_router add_url_rule add_route add_api_route add_routes add_middleware mount HTTPServer
    ThreadingHTTPServer TCPServer run_app serve_forever make_server run_simple add_get add_post add_put add_patch
    add_delete add_view
    """.split()  # noqa: SIM905
)
_STARTS = frozenset({"on_event", "listener", "before_first_request", "before_serving", "after_serving", "fixture"})
_BASES = re.compile(
    r"(View|ViewSet|Resource|Endpoint|RequestHandler|WebSocketHandler|Consumer|Middleware|MiddlewareMixin|Namespace|"
    r"Controller|ObjectType|Mutation|ModelAdmin|Throttle|Permission|BasePermission|BaseAuthentication|Backend)$"
)
_REQUESTS = re.compile(r"(^|\.)(Request|HttpRequest|WSGIRequest|WebSocket|HTTPConnection|ServerRequestInterface)$")
_PROTOCOLS = (("environ", "start_response"), ("env", "start_response"), ("scope", "receive", "send"))


@dataclass(frozen=True)
class Entry:
    """A function that is called while a request is served. `why` says by what it is known."""

    module: Module
    function: Function
    why: str


def entries(program: Program, objects: Objects) -> Iterator[Entry]:
    """All entries of a program; a function may be given more than once."""
    for module in program.modules.values():
        web = is_web(module)
        for function in module.functions:
            if why := _why(program, module, function, web):
                yield Entry(module, function, why)
        yield from _registered(program, objects, module)


def is_web(module: Module) -> bool:
    """Whether a module imports something that serves requests."""
    return any(name.partition(".")[0] in WEB or name.startswith("http.server") for name in module.imports.values())


def makes_an_app(function: Function) -> bool:
    """Whether a function makes an app object, registers routes or starts a server."""
    return any(isinstance(node, ast.Call) and last_name(node.func) in _MAKES_AN_APP for node in function.body())


def _why(program: Program, module: Module, function: Function, web: bool) -> str | None:
    for decorator in function.decorators:
        if why := _by_decorator(module, decorator, function):
            return why
    if any(last_name(each.func if isinstance(each, ast.Call) else each) in _STARTS for each in function.decorators):
        return None
    parameters = [name for name in function.parameters if name not in ("self", "cls")]
    if any(tuple(parameters[: len(each)]) == each for each in _PROTOCOLS):
        return "it is called by the server"
    name = function.name.rpartition(".")[2]
    if function.owner is not None:
        made = module.classes.get(function.owner)
        if made and (why := _by_class(program, module, made, name, parameters)):
            return why
    if isinstance(function.node, ast.Lambda) or not web or not parameters:
        return None
    if function.owner is not None and (name.startswith("__") and name != "__call__"):
        return None
    return "it takes a request" if _takes_request(module, function, parameters[0]) else None


def _by_decorator(module: Module, decorator: ast.expr, function: Function) -> str | None:
    target = bare(decorator)
    name = last_name(target)
    meaning = module.meaning(target, function.outer) or ""
    root = meaning.partition(".")[0]
    if root in ("pytest", "unittest", "mock", "click", "typer", "builtins", "functools", "abc", "dataclasses"):
        return None
    texts = [each.value for each in getattr(decorator, "args", []) if isinstance(each, ast.Constant)]
    has_path = any(isinstance(text, str) and text.startswith("/") for text in texts)
    shown = f"`@{text_of(target)}`"
    if has_path and name not in _STARTS:
        return shown
    if name in _ALWAYS and (root in WEB or isinstance(target, ast.Attribute) or name in ("shared_task", "actor")):
        return shown
    if name in _WITH_PATH and (root in WEB or _framework_made(module, target)):
        return shown
    return None


def _framework_made(module: Module, target: ast.expr) -> bool:
    """Whether `app` of `@app.get` is made by a framework here."""
    if not isinstance(target, ast.Attribute) or not isinstance(target.value, ast.Name):
        return False
    value = module.bindings.get(target.value.id)
    return isinstance(value, ast.Call) and last_name(value.func) in _MADE_BY


def _by_class(program: Program, module: Module, made: Class, name: str, parameters: list[str]) -> str | None:
    if name.startswith("do_") and any("HTTPRequestHandler" in base for base in program.ancestors(module, made)):
        return f"it is a method of `{made.name}`, which answers requests"
    if name.startswith("_") and name != "__call__":
        return None
    bases = program.ancestors(module, made)
    if any(_BASES.search(base) for base in bases) and any(base.partition(".")[0] in WEB for base in bases):
        return f"it is a method of `{made.name}`, which serves requests"
    if name.startswith("on_") and parameters[:2] == ["req", "resp"]:
        return f"it is a method of `{made.name}`, which serves requests"
    made_with = module.by_name.get(f"{made.name}.__init__")
    if name == "__call__" and made_with is not None and "get_response" in made_with.parameters:
        return f"`{made.name}` is a middleware"
    return None


def _takes_request(module: Module, function: Function, first: str) -> bool:
    arguments = function.node.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        meaning = module.meaning(argument.annotation) if argument.annotation is not None else None
        if meaning and _REQUESTS.search(meaning) and meaning.partition(".")[0] in WEB:
            return True
    return first == "request"


def _registered(program: Program, objects: Objects, module: Module) -> Iterator[Entry]:
    """Functions and classes that are handed to a call such as `path("x", view)` or `app.add_url_rule(...)`, and
    those that templates may call."""
    for call in module.nodes:
        if isinstance(call, ast.Assign) and isinstance(call.targets[0], ast.Subscript):
            meaning = module.meaning(call.value, module.around(call))
            holder = text_of(call.targets[0].value)
            if (
                meaning
                and holder.endswith((".globals", ".filters", ".tests"))
                and (found := program.function(meaning))
            ):
                yield Entry(*found, f"templates call it by `{holder}`")
        if not isinstance(call, ast.Call) or last_name(call.func) not in _REGISTERS:
            continue
        values = [*call.args, *(each.value for each in call.keywords)]
        texts = [each for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        if not texts and not isinstance(call.func, ast.Attribute):
            continue
        for value in values:
            if isinstance(value, ast.Call) and last_name(value.func) == "as_view":
                value = value.func.value if isinstance(value.func, ast.Attribute) else value
            why = f"it is given to `{text_of(call.func)}`"
            for each in objects.meant(module, module.around(call), value):
                if each.depth:
                    continue
                if isinstance(each.of, Function):
                    yield Entry(each.module, each.of, why)
                    continue
                for function in each.module.functions:
                    name = function.name.rpartition(".")[2]
                    known = name.startswith("on_") if each.is_instance else not name.startswith("_")
                    if function.owner == each.of.name and (known or name == "__call__"):
                        yield Entry(each.module, function, why)
