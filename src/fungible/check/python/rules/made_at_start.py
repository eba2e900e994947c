"""Rules about what a process makes and does when it starts (FU110, FU113, FU122), and what is its own (FU114)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.python.function import Function
from fungible.check.python.module import Module, is_main
from fungible.check.python.nodes import last_name, text_of
from fungible.check.python.reached import Reached

RULES = (
    Rule(
        "FU110",
        "a scheduler is started in every process",
        "Every process runs every job: twice with two, and again after each restart.",
        "Give the schedule a process type of its own (`clock`, with `singleton = true`), or a lock in a store.",
        "background-work",
        "from apscheduler.schedulers.background import BackgroundScheduler\n\nscheduler = BackgroundScheduler()\n"
        "scheduler.start()\n",
        "from apscheduler.schedulers.background import BackgroundScheduler\n\ndef main():\n"
        "    scheduler = BackgroundScheduler()\n    scheduler.start()\n\nif __name__ == '__main__':\n    main()\n",
    ),
    Rule(
        "FU113",
        "a secret is made when the process starts",
        "What one process signed, no other accepts, and a restart logs everybody out.",
        "Take the secret from a config var and refuse to start without it.",
        "secret-at-import",
        "app.secret_key = secrets.token_hex(32)\n",
        'app.secret_key = os.environ["SECRET_KEY"]\n',
    ),
    Rule(
        "FU114",
        "`hash()` of a text is used while requests are served",
        "Python gives texts another hash in every process (PYTHONHASHSEED): keys, shards and ETags differ.",
        "Use `hashlib` (SHA-256, BLAKE2) on the encoded text.",
        "hash-seed",
        '@app.get("/")\ndef index():\n    return {"etag": hash(str(request.args))}\n',
        '@app.get("/")\ndef index():\n    return {"etag": hashlib.sha256(str(request.args).encode()).hexdigest()}\n',
    ),
    Rule(
        "FU122",
        "rows are added to a store when the process starts",
        "Every process adds them: twice with two, and again after each restart.",
        "Add them in a migration or a one-off process, or so that a second time changes nothing "
        "(`ON CONFLICT DO NOTHING`).",
        "background-work",
        "db.execute(\"INSERT INTO post (title) VALUES ('Welcome')\")\n\n"
        '@app.get("/")\ndef index():\n    return db.execute("SELECT title FROM post").fetchall()\n',
        "db.execute(\"INSERT INTO post (title) VALUES ('Welcome') ON CONFLICT DO NOTHING\")\n\n"
        '@app.get("/")\ndef index():\n    return db.execute("SELECT title FROM post").fetchall()\n',
    ),
)

_SECRET = re.compile(r"secret|signing|signer|(^|_)salt|jwt|fernet|csrf|hmac|(^|_)key$|_key_|token_key|pepper", re.I)
_OF_AN_OBJECT = re.compile(r"secret|signing|signer|csrf|pepper", re.I)
_RANDOM = re.compile(
    r"^(secrets\.(token_|choice|SystemRandom)|os\.urandom|uuid\.uuid[14]|random\.|"
    r"cryptography\.fernet\.Fernet\.generate_key|"
    r"django\.core\.management\.utils\.get_random_secret_key|jwcrypto\.jwk\.JWK\.generate|nacl\.utils\.random|"
    r"Crypto\.Random\.get_random_bytes|cryptography\.hazmat\.primitives\.asymmetric\..*generate_private_key)"
)
_GIVES_TEXT = frozenset(
    ["str", "repr", "encode", "dumps", "format", "join", "lower", "upper", "read", "decode", "strip"]
)
_EXECUTES = frozenset({"execute", "executemany", "executescript"})
_INSERTS = re.compile(r"^\s*INSERT\s+INTO\s", re.I)
_ONCE = re.compile(r"\bON\s+(CONFLICT|DUPLICATE)\b|\bNOT\s+(EXISTS|IN)\b|\b(DROP|DELETE|TRUNCATE)\b", re.I)
_SCHEDULERS = re.compile(r"^(apscheduler\.schedulers\..*Scheduler|flask_apscheduler\.APScheduler|schedule\.every)$")


def find(reached: Reached) -> Iterator[Finding]:
    """Secrets and schedulers of a process's own, rows that it adds, and hashes that depend on its seed."""
    serving = {id(module) for module in reached.modules.values()}
    for module in reached.program.modules.values():
        if id(module) in serving:
            yield from _rows(reached, module)
        yield from _secrets(reached, module)
        yield from _schedulers(reached, module)
    for module, function in reached:
        yield from _hashes(reached, module, function)


def _secrets(reached: Reached, module: Module) -> Iterator[Finding]:
    for node in module.nodes:
        function = module.around(node)
        made = function is not None and function.name.endswith(".__init__")
        if function is not None and not made and function not in reached.factories:
            continue
        for name, value in _set(node):
            last = name.rpartition(".")[2]
            if not (_OF_AN_OBJECT if made else _SECRET).search(last):
                continue
            for each in ast.walk(value):
                meaning = module.meaning(each.func, function) if isinstance(each, ast.Call) else None
                if meaning and _RANDOM.match(meaning):
                    yield _secret(module, name, value, meaning, each)
                    break


def _secret(module: Module, name: str, value: ast.expr, meaning: str, call: ast.AST) -> Finding:
    fallback = value is not call and any(isinstance(each, ast.BoolOp | ast.IfExp) for each in ast.walk(value))
    fallback = fallback or "environ" in text_of(value) or "getenv" in text_of(value)
    if fallback:
        message = f"`{name}` is made by `{meaning}` where it is not configured"
    else:
        message = f"`{name}` is made by `{meaning}` when the process starts"
    level = Level.LIKELY if fallback else Level.CERTAIN
    return module.found(value, "FU113", level, message, f"{module.name}:{name}")


def _set(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names, attributes and settings that a statement or a call gives a value."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name | ast.Attribute):
                yield text_of(target), node.value
            elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
                yield str(target.slice.value), node.value
    elif isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
        yield node.target.id, node.value
    elif isinstance(node, ast.Call):
        yield from ((each.arg, each.value) for each in node.keywords if each.arg)


def _schedulers(reached: Reached, module: Module) -> Iterator[Finding]:
    made = {
        name
        for name, value in module.bindings.items()
        if isinstance(value, ast.Call) and _SCHEDULERS.match(module.meaning(value.func) or "")
    }
    for node in module.nodes:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "start":
            continue
        function = module.around(node)
        if function is not None and function not in reached.factories and not _is_startup(function):
            continue
        if function is None and is_main(module, node):
            continue
        root = node.func.value
        local = function is not None and _binds_scheduler(module, function, root)
        if (isinstance(root, ast.Name) and root.id in made) or local:
            text = text_of(root)
            message = f"`{text}.start()` runs in every process that loads `{module.name}`"
            yield module.found(node, "FU110", Level.LIKELY, message, f"{module.name}:{text}")


def _rows(reached: Reached, module: Module) -> Iterator[Finding]:
    """Rows that are inserted as a module is loaded or the app made, whether or not they are there."""
    for node in module.nodes:
        if not isinstance(node, ast.Call) or last_name(node.func) not in _EXECUTES or not node.args:
            continue
        function = module.around(node)
        if function is not None and function not in reached.factories and not _is_startup(function):
            continue
        text = _sql(node.args[0])
        if not _INSERTS.search(text) or _ONCE.search(text) or _is_guarded(module, node, function):
            continue
        where = function.name.rpartition(".")[2] if function is not None else module.name
        message = (
            f"`{text_of(node.func)}()` adds rows in every process that {'runs' if function else 'loads'} `{where}`"
        )
        yield module.found(node, "FU122", Level.LIKELY, message, f"{module.name}:{where}")


def _sql(node: ast.expr) -> str:
    """The text of a statement, as far as it is written there: `"..."`, `text("...")`, what an f-string has."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Call(func=ast.Name(id="text") | ast.Attribute(attr="text"), args=[ast.Constant(value=str(text))]):
            return text
        case ast.JoinedStr(values=parts):
            return " ".join(str(each.value) for each in parts if isinstance(each, ast.Constant))
    return ""


def _is_guarded(module: Module, node: ast.AST, function: Function | None) -> bool:
    """Whether a statement runs under a condition, in a `try`, after an early return, or in the program itself only;
    or where what was there is taken away first, or lies in memory."""
    parent = module.parents.get(node)
    while parent is not None and parent is not (function.node if function is not None else None):
        if isinstance(parent, ast.If | ast.Try | ast.While | ast.IfExp | ast.ClassDef | ast.Match):
            return True
        parent = module.parents.get(parent)
    around = function.nodes if function is not None else module.nodes
    texts = [each.value for each in around if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    left = function is not None and any(isinstance(each, ast.Return) and each.lineno < node.lineno for each in around)  # type: ignore[attr-defined]
    return left or any(":memory:" in text or re.match(r"\s*(DROP|DELETE|TRUNCATE)\b", text, re.I) for text in texts)


def _binds_scheduler(module: Module, function: Function, root: ast.expr) -> bool:
    return isinstance(root, ast.Name) and any(
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and _SCHEDULERS.match(module.meaning(node.value.func, function) or "")
        and any(isinstance(each, ast.Name) and each.id == root.id for each in node.targets)
        for node in function.body()
    )


def _hashes(reached: Reached, module: Module, function: Function) -> Iterator[Finding]:
    if function.name.rpartition(".")[2] in ("__hash__", "__eq__"):
        return
    for node in function.body():
        if isinstance(node, ast.Call) and module.meaning(node.func, function) == "builtins.hash" and node.args:
            if not _is_text(node.args[0]) and not _is_sent(function, node.args[0]):
                continue
            message = f"`{text_of(node)}` differs from process to process {reached.told(function)}"
            symbol = f"{module.name}.{function.name}:hash"
            yield module.found(node, "FU114", Level.LIKELY, message, symbol)


def _is_sent(function: Function, node: ast.expr) -> bool:
    """Whether a value is a part of the request: `request.json["url"]`, or of a parameter that is called so."""
    if not isinstance(node, ast.Subscript | ast.Attribute):
        return False
    root: ast.expr = node
    while isinstance(root, ast.Subscript | ast.Attribute):
        root = root.value
    return (
        isinstance(root, ast.Name) and root.id in ("request", "req", *function.parameters[:1]) and root.id != "self"
    )


def _is_text(node: ast.expr) -> bool:
    """Whether a value is a text or bytes, or a tuple or a sum with one, for what can be seen."""
    ahead = [node]
    while ahead:
        each = ahead.pop()
        if isinstance(each, ast.JoinedStr) or (
            isinstance(each, ast.Constant) and isinstance(each.value, str | bytes)
        ):
            return True
        if isinstance(each, ast.Call) and last_name(each.func) in _GIVES_TEXT:
            return True
        if isinstance(each, ast.Tuple):
            ahead += each.elts
        elif isinstance(each, ast.BinOp):
            ahead += [each.left, each.right]
    return False


def _is_startup(function: Function) -> bool:
    """Whether a framework runs the function as each process starts: `ready` of Django, a lifespan, an event."""
    name = function.name.rpartition(".")[2]
    marks = " ".join(text_of(each) for each in function.decorators)
    return name in ("ready", "lifespan", "startup", "on_startup") or "startup" in marks or "before_serving" in marks
