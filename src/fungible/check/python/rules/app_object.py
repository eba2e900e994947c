"""Rules about the app object and the process as a whole (FU106, FU119, FU120)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.python.function import Function
from fungible.check.python.module import Module, is_final
from fungible.check.python.nodes import targets, text_of
from fungible.check.python.reached import Reached
from fungible.check.python.writes import MUTATORS, aliases

RULES = (
    Rule(
        "FU106",
        "the app object is changed while requests are served",
        "`app.state`, `app.config` and what belongs to the app are of one process; the others keep what they have.",
        "Keep the value in a backing service, or make a setting of it: a config var, and a new release.",
        "process-setting",
        '@app.post("/theme")\ndef theme():\n    app.config["THEME"] = request.form["theme"]\n',
        '@app.post("/theme")\ndef theme():\n    store.set("theme", request.form["theme"])\n',
    ),
    Rule(
        "FU119",
        "a setting of the whole process is changed while a request is served",
        "Every later request in this process is served with it, and those in other processes without.",
        "Pass the value where it is needed, or use what ends with the request (a `with` block, a context variable).",
        "process-setting",
        '@app.get("/in/<zone>")\ndef show(zone):\n    os.environ["TZ"] = zone\n',
        '@app.get("/in/<zone>")\ndef show(zone):\n    return now(ZoneInfo(zone))\n',
    ),
    Rule(
        "FU120",
        "an attribute of a module is assigned while requests are served",
        "The module is changed for every later request in this process, and for none in the others.",
        "Pass the value, or keep it in a backing service.",
        "process-setting",
        'import settings\n\n@app.post("/maintenance")\ndef close():\n    settings.MAINTENANCE = True\n',
        '@app.post("/maintenance")\ndef close():\n    store.set("maintenance", "1")\n',
    ),
)

_PARTS = ("state", "ctx", "config", "extensions", "jinja_env")
_FURTHEST = 10
_APPS = frozenset({"app", "application", "current_app"})
_SETTERS = {
    "os.chdir": Level.CERTAIN,
    "os.putenv": Level.CERTAIN,
    "os.unsetenv": Level.CERTAIN,
    "os.umask": Level.CERTAIN,
    "locale.setlocale": Level.CERTAIN,
    "time.tzset": Level.CERTAIN,
    "random.seed": Level.POSSIBLE,
    "numpy.random.seed": Level.POSSIBLE,
    "socket.setdefaulttimeout": Level.LIKELY,
    "sys.setrecursionlimit": Level.LIKELY,
    "logging.disable": Level.LIKELY,
    "django.utils.translation.activate": Level.LIKELY,
    "django.utils.timezone.activate": Level.LIKELY,
}


def find(reached: Reached) -> Iterator[Finding]:
    """What reached functions change of the app, of modules and of the process."""
    for module, function in reached:
        for node in function.body():
            if isinstance(node, ast.Call):
                yield from _called(reached, module, function, node)
            for target in targets(node):
                yield from _assigned(reached, module, function, target)


def _called(reached: Reached, module: Module, function: Function, node: ast.Call) -> Iterator[Finding]:
    meaning = module.meaning(node.func, function) or ""
    if level := _SETTERS.get(meaning):
        if not _restores(module, function, meaning):
            yield _found(reached, module, function, node, "FU119", level, f"`{text_of(node.func)}()`", meaning)
    elif meaning == "builtins.setattr" and len(node.args) == 3:
        holder = module.meaning(node.args[0], function)
        if holder and _is_module(reached, module, holder, node.args[0]):
            text = text_of(node.args[0])
            yield _found(reached, module, function, node, "FU120", Level.LIKELY, f"`{text}`", text)
    elif isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
        base = aliases(function).get(getattr(node.func.value, "id", ""), node.func.value)
        if holder := _of_a_module(reached, module, function, node.func.value):
            yield _found(reached, module, function, node, "FU120", Level.LIKELY, f"`{holder}`", holder)
        elif meaning.startswith("os.environ."):
            yield _found(reached, module, function, node, "FU119", Level.CERTAIN, "`os.environ`", "os.environ")
        elif name := _of_app(module, function, base):
            yield _found(reached, module, function, node, "FU106", Level.CERTAIN, f"`{name}`", name)


def _assigned(reached: Reached, module: Module, function: Function, target: ast.expr) -> Iterator[Finding]:
    base = target.value if isinstance(target, ast.Subscript) else target
    meaning = module.meaning(base, function) or ""
    if isinstance(target, ast.Subscript) and meaning == "os.environ":
        yield _found(reached, module, function, target, "FU119", Level.CERTAIN, "`os.environ`", "os.environ")
    elif name := _of_app(module, function, target):
        yield _found(reached, module, function, target, "FU106", Level.CERTAIN, f"`{name}`", name)
    elif isinstance(target, ast.Subscript) and (text := _of_a_module(reached, module, function, target.value)):
        yield _found(reached, module, function, target, "FU120", Level.LIKELY, f"`{text}`", text)
    elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name | ast.Attribute):
        if target.attr == "prec" and "getcontext" in text_of(target.value):
            return
        holder = module.meaning(target.value, function)
        if holder and _is_module(reached, module, holder, target.value):
            name = text_of(target)
            passing = _is_once(module, target, name) or _is_put_back(module, function, name)
            level = Level.POSSIBLE if passing else Level.CERTAIN
            yield _found(reached, module, function, target, "FU120", level, f"`{name}`", name)


def _of_app(module: Module, function: Function, node: ast.expr) -> str | None:
    """`app.config`, `request.app.state.jobs`, `request.app` of a subscript: the app's part that a node belongs to."""
    subscript = isinstance(node, ast.Subscript)
    chain: list[str] = []
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            chain.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Subscript):
            node = node.value
        else:
            return None
    names = [node.id, *reversed(chain)]
    at = next((index for index, name in enumerate(names) if name in _APPS), None)
    if at is None:
        return None
    # A local variable that is called so may be anything; one of the function around is an app factory's.
    if at == 0 and node.id not in module.imports and function.holder(node.id) is function:
        return None
    return _named(names, at, subscript)


def _named(names: list[str], at: int, subscript: bool) -> str | None:
    rest = names[at + 1 :]
    if not rest:
        return ".".join(names) if subscript and at > 0 else None  # `request.app["jobs"]`
    return ".".join(names[: at + 3]) if rest[0] in _PARTS and (subscript or len(rest) > 1) else None


def _is_module(reached: Reached, module: Module, meaning: str, node: ast.expr) -> bool:
    root = node
    while isinstance(root, ast.Attribute):
        root = root.value
    if not isinstance(root, ast.Name) or root.id not in module.imports:
        return False
    found = reached.program.locate(meaning)
    if found is not None:
        return not found[1]
    plain = any(
        isinstance(each, ast.Import) and any((alias.asname or alias.name) == text_of(node) for alias in each.names)
        for each in module.nodes
    )
    return plain or meaning == "django.conf.settings"


def _is_put_back(module: Module, function: Function, name: str) -> bool:
    """Whether a function gives an attribute what was there before, in a `finally`."""
    return any(
        text_of(target) == name and is_final(module, node) for node in function.body() for target in targets(node)
    )


def _is_once(module: Module, node: ast.AST, name: str) -> bool:
    """Whether an attribute is assigned where a condition has found that it was not yet (`if sys.stdout is not x`)."""
    parent = module.parents.get(node)
    while parent is not None and not isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef):
        if isinstance(parent, ast.If) and any(
            isinstance(each, ast.Attribute) and text_of(each) == name for each in ast.walk(parent.test)
        ):
            return True
        parent = module.parents.get(parent)
    return False


def _of_a_module(reached: Reached, module: Module, function: Function, node: ast.expr) -> str | None:
    """`vars(settings)`, `settings.__dict__`: the names of a module as a dict, that a node is, or lies in."""
    for _ in range(_FURTHEST):
        match node:
            case ast.Name(id=name) if function.holder(name) is function and len(function.given.get(name, ())) == 1:
                node = function.given[name][0]
            case ast.Subscript(value=inner) | ast.Call(func=ast.Attribute(value=inner, attr="setdefault" | "get")):
                node = inner
            case ast.Call(func=ast.Name(id="vars"), args=[holder]) | ast.Attribute(value=holder, attr="__dict__"):
                meaning = module.meaning(holder, function)
                return text_of(node) if meaning and _is_module(reached, module, meaning, holder) else None
            case _:
                return None
    return None


def _restores(module: Module, function: Function, meaning: str) -> bool:
    """Whether the function calls it again, to put back what was: in a `finally`, or with what the first call gave."""
    calls = [
        node
        for node in function.body()
        if isinstance(node, ast.Call) and module.meaning(node.func, function) == meaning
    ]
    tried = any(isinstance(node, ast.Try) and node.finalbody for node in function.body())
    after = any(
        isinstance(node, ast.Attribute) and node.attr in ("deactivate", "deactivate_all") for node in function.body()
    )
    before = {
        name for name, values in function.given.items() if any(value is each for value in values for each in calls)
    }
    again = any(isinstance(part, ast.Name) and part.id in before for each in calls for part in each.args)
    return after or again or (len(calls) > 1 and tried)


def _found(
    reached: Reached,
    module: Module,
    function: Function,
    node: ast.expr,
    rule: str,
    level: Level,
    what: str,
    symbol: str,
) -> Finding:
    said = "is called" if what.endswith("()`") else "is changed"
    message = f"{what} {said} {reached.told(function)}"
    return module.found(node, rule, level, message, f"{module.name}:{symbol}")
