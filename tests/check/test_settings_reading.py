"""What is read of values and commands, before any rule looks at it."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.check import settings
from fungible.check.settings.commands import commands
from fungible.check.settings.names import Names
from fungible.check.settings.values import (
    ABSENT,
    UNKNOWN,
    Answer,
    Either,
    Environ,
    Made,
    Mixed,
    Named,
    either,
    item,
    judge,
)
from fungible.check.tree import Tree

pytestmark = pytest.mark.pure


def value(text: str, name: str = "X") -> object:
    tree = Tree.of([("m.py", text)])
    return Names(tree.program).of(tree.program.modules["m"])[name].value


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("X = {'a': [1, 'b', None]}", {"a": [1, "b", None]}),
        ("import os\nX = os.environ['A']", Environ()),
        ("import os\nX = os.environ.get('A', 'b')", Environ("b")),
        ("from os import getenv as g\nX = g('A') or 'b'", Environ("b")),
        ("from decouple import config\nX = config('A_B', default=3, cast=int)", Environ(3)),
        ("import os\nX = f\"sqlite:///{os.environ['A']}/b\"", Mixed("sqlite:///")),
        ("import os\nX = os.path.join(os.path.dirname(__file__), 'a.db')", "./a.db"),
        ("from pathlib import Path\nX = str(Path(__file__).resolve().parent / 'a' / 'b')", "./a/b"),
        ("X = [1]\nX += [2]\nX.append(3)", [1, 2, 3]),
        ("X = {'a': {'b': 1}}\nX['a']['c'] = 2", {"a": {"b": 1, "c": 2}}),
        ("X = {'a': 1}\nX.update(b=2)", {"a": 1, "b": 2}),
        ("A = {'a': 1}\nX = {**A, 'b': 2}", {"a": 1, "b": 2}),
        ("if q():\n    X = 1\nelse:\n    X = 2", Either((1, 2))),
        ("if q():\n    X = 1", Either((1, ABSENT))),
        ("DEBUG = True\nX = 1 if DEBUG else 2", 2),
        ("from a.b import C\nX = C.D", Named("a.b.C.D")),
        ("X = X + 1", UNKNOWN),
        ("def f():\n    return g()\ndef g():\n    return f()\nX = f()", Made("m.f")),
        ("def f():\n    a = h(a)\n    a = k(a, a)\n    return 'b'\nX = f()", "b"),
    ],
)
def test_values(text: str, wanted: object) -> None:
    assert value(text) == wanted


def test_judging() -> None:
    def bad(each: object) -> bool:
        return each == "a"

    assert judge("a", bad) is Answer.ALWAYS
    assert judge(either("a", "b"), bad) is Answer.MAYBE
    assert judge(Environ("a"), bad) is Answer.MAYBE
    assert judge(Environ(), bad) is Answer.NO
    assert item({"a": {"a": 1}}, "a", "a") == 1
    assert item({"a": 1}, "b") is ABSENT


_NAMES = st.sampled_from(["CACHES", "DATABASES", "X", "os", "env", "DEBUG", "app", "self", "INSTALLED_APPS"])
_LEAVES = _NAMES | st.sampled_from(["None", "1", "'sqlite://'", "''", "__file__", "1e309", "...", "b'a'", "-True"])


def _more(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, inner)
    return st.one_of(
        two.map(lambda p: f"({p[0]} + {p[1]})"),
        two.map(lambda p: f"({p[0]} / {p[1]})"),
        two.map(lambda p: f"({p[0]} % {p[1]})"),
        two.map(lambda p: f"({p[0]} | {p[1]})"),
        two.map(lambda p: f"({p[0]} or {p[1]})"),
        two.map(lambda p: f"({p[0]} == {p[1]})"),
        two.map(lambda p: f"({p[0]} in {p[1]})"),
        two.map(lambda p: f"({p[0]} if {p[1]} else {p[0]})"),
        two.map(lambda p: f"{{{p[0]}: {p[1]}, **{p[0]}}}"),
        two.map(lambda p: f"[{p[0]}, *{p[1]}]"),
        two.map(lambda p: f"({p[0]})[{p[1]}]"),
        two.map(lambda p: f"f'a{{{p[0]}}}b'" if "'" not in p[0] else "f''"),
        two.map(lambda p: f"dict({p[0]}, a={p[1]}, **{p[0]})"),
        two.map(lambda p: f"os.path.join({p[0]}, *{p[1]})"),
        two.map(lambda p: f"os.environ.get({p[0]}, {p[1]})"),
        two.map(lambda p: f"({p[0]}).update({p[1]})"),
        two.map(lambda p: f"settings.configure(CACHES={p[0]}, **{p[1]})"),
        inner.map(lambda p: f"({p}).parent"),
        inner.map(lambda p: f"(lambda: {p})()"),
    )


_EXPRESSIONS = st.recursive(_LEAVES, _more, max_leaves=12)
_STATEMENTS = st.one_of(
    st.tuples(_NAMES, _EXPRESSIONS).map(lambda p: f"{p[0]} = {p[1]}"),
    st.tuples(_NAMES, _EXPRESSIONS).map(lambda p: f"{p[0]} += {p[1]}"),
    st.tuples(_NAMES, _EXPRESSIONS, _EXPRESSIONS).map(lambda p: f"{p[0]}[{p[1]}] = {p[2]}"),
    st.tuples(_NAMES, _EXPRESSIONS, _NAMES).map(lambda p: f"if {p[1]}:\n    {p[0]} = {p[2]}\nelse:\n    {p[2]} = 1"),
    _EXPRESSIONS,
    st.just("from .m import *"),
    st.just("from django.conf import settings"),
    st.just("import os"),
)


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


@given(st.lists(_STATEMENTS, max_size=8).map("\n".join).filter(_parses))
def test_any_module_is_read(text: str) -> None:
    list(settings.find(Tree.of([("m.py", text), ("n/settings.py", "INSTALLED_APPS = []\nDATABASES = {}\n" + text)])))


@pytest.mark.parametrize(
    "text",
    [
        "X = " + "not " * 150 + "1",
        "X = 'a'" + " + 'a'" * 900,
        "X = a" + ".b" * 900,
        "X = " + "f(" * 90 + ")" * 90,
        "if a:\n    X = 1\n" + "".join(f"elif a{n}:\n    X = {n}\n" for n in range(200)),
        "X = " + "[" * 90 + "]" * 90,
        "def f():\n" + "".join(f"    a{n} = g(a{n + 1}, a{n + 1})\n" for n in range(300)) + "    return a0\nX = f()",
    ],
    ids=["not", "sum", "attributes", "calls", "elif", "lists", "locals"],
)
def test_deep_modules_are_read(text: str) -> None:
    list(settings.find(Tree.of([("m.py", text), ("n.py", "from m import *\nimport m\nm.f(X)\n")])))


@given(st.text(max_size=200))
def test_any_file_of_commands_is_read(text: str) -> None:
    names = ("Procfile", "Dockerfile", "compose.yaml", "run.sh", "uwsgi.ini", "m.py")
    list(settings.find(Tree.of([(name, text) for name in names])))


@pytest.mark.parametrize(
    ("path", "text", "wanted"),
    [
        ("Procfile", "web: exec gunicorn -w 4 shop:app\n", [("web", "gunicorn", "4")]),
        ("Procfile", "web: A=b poetry run gunicorn --workers=2 shop:app && true\n",
         [("web", "gunicorn", "2"), ("web", "true", None)]),
        ("Dockerfile", 'FROM a\nCMD ["python", "-m", "gunicorn", "-w1", "shop:app"]\n', [("", "gunicorn", "1")]),
        ("Dockerfile", 'FROM a\nCMD one\nFROM b\nCMD sh -c "exec gunicorn \\\n -w 3 a:b"\n', [("", "gunicorn", "3")]),
        ("compose.yml", "services:\n  web:\n    command: gunicorn -w 5 a:b\n", [("web", "gunicorn", "5")]),
        ("docker-compose.yml", "services:\n  a:\n    command: [gunicorn, -w, '6', a:b]\n", [("a", "gunicorn", "6")]),
        ("Procfile.dev", "web: gunicorn -w 1 a:b\n", []),
        ("docker-compose.override.yml", "services:\n  a:\n    command: gunicorn -w 1\n", []),
    ],
)  # fmt: skip
def test_commands(path: str, text: str, wanted: list[tuple[str, str, str | None]]) -> None:
    every = commands(Tree.of([(path, text)]))
    assert [(each.role, each.program, each.option("-w", "--workers")) for each in every] == wanted


@pytest.mark.parametrize(
    ("path", "text", "rule"),
    [
        ("Procfile", "web: uvicorn --workers 1 a:b\n", "FU301"),
        ("deploy/uwsgi.ini", "[uwsgi]\nprocesses = 1\n", "FU301"),
        ("gunicorn.conf.py", "workers = 1\n", "FU301"),
        ("uwsgi.ini", "[uwsgi]\ncache2 = name=a,items=100\n", "FU303"),
        ("Dockerfile", 'FROM a\nCMD ["streamlit", "run", "app.py"]\n', "FU211"),
        ("compose.yaml", "services:\n  ui:\n    command: panel serve app.py\n", "FU211"),
        ("Procfile", "web: python manage.py collectstatic --noinput && gunicorn a:b\n", "FU213"),
    ],
)
def test_commands_that_are_wrong(path: str, text: str, rule: str) -> None:
    assert rule in {each.rule for each in settings.find(Tree.of([(path, text)]))}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Procfile", "web: uvicorn a:b\n"),
        ("Procfile", "web: gunicorn -w $WEB_CONCURRENCY a:b\n"),
        ("gunicorn.conf.py", "import os\nworkers = int(os.environ.get('WORKERS', 1))\npreload_app = True\n"),
        ("Procfile", "release: python manage.py collectstatic --noinput\nweb: gunicorn a:b\n"),
        ("uwsgi.ini", "[uwsgi]\n; processes = 1\nmaster = true\n"),
    ],
)
def test_commands_that_are_right(path: str, text: str) -> None:
    assert list(settings.find(Tree.of([(path, text)]))) == []
