"""Rules about a process's own disk (FU116, FU117, FU118, FU125)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.python.entries import is_web
from fungible.check.python.function import Function
from fungible.check.python.module import Module
from fungible.check.python.nodes import argument, last_name, text_of
from fungible.check.python.reached import Reached

RULES = (
    Rule(
        "FU116",
        "a database lies on the process's own disk",
        "Every process has a disk of its own, and a restart wipes it: rows are in one place and not in another.",
        "Attach a database by URL from a config var (PostgreSQL, or SQLite in an attached folder).",
        "files",
        'connection = sqlite3.connect("app.db")\n',
        'connection = sqlite3.connect(os.environ["STORE"] + "/app.db")\n',
    ),
    Rule(
        "FU117",
        "a file is written to the process's own disk while a request is served",
        "The next request may be served elsewhere, where the file is not; a restart wipes it.",
        "Store it in a backing service: an object store, the database, an attached folder.",
        "files",
        '@app.post("/upload")\ndef upload():\n    request.files["photo"].save("uploads/photo.jpg")\n',
        '@app.post("/upload")\ndef upload():\n    bucket.put("photo.jpg", request.files["photo"])\n',
    ),
    Rule(
        "FU118",
        "a temporary file outlives its request",
        "Its path is of use in this process alone; whoever gets it elsewhere finds nothing.",
        "Finish with the file within the request, or store its content in a backing service.",
        "files",
        'PATHS = {}\n\n@app.post("/begin")\ndef begin():\n    _, path = tempfile.mkstemp()\n'
        '    session["path"] = path\n',
        '@app.post("/convert")\ndef convert():\n    with tempfile.NamedTemporaryFile() as file:\n'
        "        return done(file)\n",
    ),
    Rule(
        "FU125",
        "an index lies in the process or on its own disk",
        "What one process adds, the others do not find.",
        "Run the index as a server that every process is attached to.",
        "files",
        'import chromadb\n\nclient = chromadb.PersistentClient(path="./index")\n',
        'import chromadb\n\nclient = chromadb.HttpClient(host=os.environ["CHROMA_HOST"])\n',
    ),
)

_DATABASES = {
    "sqlite3.connect": "database",
    "aiosqlite.connect": "database",
    "apsw.Connection": "filename",
    "shelve.open": "filename",
    "dbm.open": "file",
    "tinydb.TinyDB": "path",
    "diskcache.Cache": "directory",
    "duckdb.connect": "database",
    "lmdb.open": "path",
    "plyvel.DB": "name",
}
_INDEXES = ("chromadb.PersistentClient", "chromadb.EphemeralClient", "chromadb.Client", "faiss.write_index")
_TEMPORARY = ("tempfile.", "fungible_kit.", "io.BytesIO", "io.StringIO")
_MODE = re.compile(r"[wax+]")
_SAVES = frozenset({"write_text", "write_bytes", "touch"})


def find(reached: Reached) -> Iterator[Finding]:
    """Databases with a path that is written down, and what reached functions write to disk."""
    serving = set(reached.modules.values())
    for module in reached.program.modules.values():
        if module in serving or is_web(module):
            yield from _databases(module)
            yield from _indexes(module)
    for module, function in reached:
        yield from _written(reached, module, function)
        yield from _handed_on(reached, module, function)


def _databases(module: Module) -> Iterator[Finding]:
    for node in module.nodes:
        if not isinstance(node, ast.Call):
            continue
        function = module.around(node)
        meaning = module.meaning(node.func, function) or ""
        if meaning not in _DATABASES:
            continue
        path = argument(node, _DATABASES[meaning], 0)
        text = _fixed(module, function, path)
        if text is None or (text == ":memory:" and function is not None):
            continue
        message = f"`{meaning}` opens {text!r}, which each process has for itself"
        yield module.found(node, "FU116", Level.LIKELY, message, f"{module.name}:{meaning}")


def _indexes(module: Module) -> Iterator[Finding]:
    for node in module.nodes:
        if isinstance(node, ast.Call):
            function = module.around(node)
            meaning = module.meaning(node.func, function) or ""
            if meaning in _INDEXES and not _configured(module, function, node):
                message = f"`{meaning}` keeps its content where only this process sees it"
                yield module.found(node, "FU125", Level.LIKELY, message, f"{module.name}:{meaning}")


def _written(reached: Reached, module: Module, function: Function) -> Iterator[Finding]:
    for node in function.body():
        path = _target(module, function, node) if isinstance(node, ast.Call) else None
        if path is None or not isinstance(node, ast.Call):
            continue
        if _mentions(module, function, path, _TEMPORARY):
            continue
        # A path that is handed in may lead anywhere.
        given = isinstance(path, ast.Name) and path.id in function.parameters and bool(reached.ways[function].by)
        given = given or text_of(path).startswith("self.")
        level = Level.POSSIBLE if given or _configured(module, function, path) else Level.LIKELY
        shown = text_of(path)
        message = (
            f"a file is written to `{shown if len(shown) < 60 else shown[:57] + '...'}` {reached.told(function)}"
        )
        symbol = f"{module.name}.{function.name}:{shown}"
        yield module.found(node, "FU117", level, message, symbol)


def _target(module: Module, function: Function, node: ast.Call) -> ast.expr | None:
    """The path that a call writes to; None where it writes none."""
    meaning = module.meaning(node.func, function) or ""
    if meaning in ("builtins.open", "io.open", "aiofiles.open", "codecs.open"):
        mode = argument(node, "mode", 1)
        writes = isinstance(mode, ast.Constant) and isinstance(mode.value, str) and _MODE.search(mode.value)
        return argument(node, "file", 0) if writes else None
    if not isinstance(node.func, ast.Attribute):
        return None
    if node.func.attr in _SAVES and meaning.partition(".")[0] in ("", module.name.partition(".")[0]):
        return node.func.value
    if node.func.attr == "open" and meaning == "":
        mode = argument(node, "mode", 0)
        if isinstance(mode, ast.Constant) and isinstance(mode.value, str) and re.fullmatch(r"[wax]b?\+?", mode.value):
            return node.func.value
    if node.func.attr == "save" and len(node.args) == 1 and _is_upload(module, function, node.func.value):
        return node.args[0]
    return None


def _is_upload(module: Module, function: Function, node: ast.expr) -> bool:
    """Whether a value is an uploaded file: `request.files[...]`, or a local name for one."""
    if ".files" in text_of(node):
        return True
    return any(".files" in text_of(value) for value in _values(module, function, node))


def _handed_on(reached: Reached, module: Module, function: Function) -> Iterator[Finding]:
    """Temporary files that stay, whose path goes into the session or into an answer."""
    made = {
        name
        for name, values in function.given.items()
        if any(isinstance(each, ast.Call) and _stays(module, function, each) for each in values)
    }
    for node in function.body() if made else ():
        said = ""
        if isinstance(node, ast.Return) and node.value is not None and _tells(node.value, made):
            said = "is given away"
        elif isinstance(node, ast.Assign) and made & {each.id for each in _names(node.value)}:
            kept = [each.value for each in node.targets if isinstance(each, ast.Subscript)]
            said = "goes into the session" if any(last_name(each) == "session" for each in kept) else ""
        if said and isinstance(node, ast.stmt):
            message = f"the path of a temporary file {said} {reached.told(function)}"
            yield module.found(node, "FU118", Level.LIKELY, message, f"{module.name}.{function.name}:temporary")


def _names(node: ast.AST) -> Iterator[ast.Name]:
    return (each for each in ast.walk(node) if isinstance(each, ast.Name))


def _tells(value: ast.expr, names: set[str]) -> bool:
    """Whether an answer has one of the names as a value of a mapping."""
    return any(
        isinstance(each, ast.Name) and each.id in names
        for mapping in ast.walk(value)
        if isinstance(mapping, ast.Dict)
        for entry in mapping.values
        for each in ast.walk(entry)
    )


def _stays(module: Module, function: Function, node: ast.Call) -> bool:
    meaning = module.meaning(node.func, function) or ""
    kept = any(each.arg == "delete" and text_of(each.value) == "False" for each in node.keywords)
    return meaning in ("tempfile.mkstemp", "tempfile.mkdtemp") or (meaning == "tempfile.NamedTemporaryFile" and kept)


def _fixed(module: Module, function: Function | None, node: ast.expr | None) -> str | None:
    """The text of a path that is written down in the source; None where it comes from elsewhere."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name) and (function is None or function.holder(node.id) is None):
        value = module.bindings.get(node.id)
        return _fixed(module, None, value) if isinstance(value, ast.Constant) else None
    return None


def _configured(module: Module, function: Function | None, node: ast.AST) -> bool:
    """Whether a path comes from the environment or from settings, and may lead to an attached folder, or is a
    temporary one by its name."""
    text = text_of(node) + " ".join(text_of(each) for each in _values(module, function, node))
    if re.search(r"'HOME'|'TMPDIR'|'/(var/)?tmp\b", text):
        return False  # private to a process, and wiped
    if _mentions(module, function, node, ("os.environ", "os.getenv", "django.conf.settings")):
        return True
    return bool(re.search(r"\b(config|settings|getenv|environ|env|cfg|conf|options)\b|te?mp", text, re.I))


def _mentions(
    module: Module, function: Function | None, node: ast.AST, starts: tuple[str, ...], depth: int = 4
) -> bool:
    """Whether a value is made of something whose full name starts so, followed through variables."""
    for each in ast.walk(node):
        if isinstance(each, ast.Name | ast.Attribute):
            meaning = module.meaning(each, function)
            if meaning and meaning.startswith(starts):
                return True
    return depth > 0 and any(
        _mentions(module, function, value, starts, depth - 1) for value in _values(module, function, node)
    )


def _values(module: Module, function: Function | None, node: ast.AST) -> list[ast.expr]:
    """What the names in an expression were given, in the function and else in the module."""
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    found: list[ast.expr] = []
    each: Function | None = function
    while each is not None:
        for name in sorted(names):
            found += each.given.get(name, ())
        each = each.outer
    for call in ast.walk(node):
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and (made := module.by_name.get(call.func.id))
        ):
            found += [each.value for each in made.body() if isinstance(each, ast.Return) and each.value is not None]
    return found + [module.bindings[name] for name in sorted(names) if name in module.bindings]
