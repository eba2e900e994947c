"""Which callable a command serves."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.verify.world.fork.command import AppCallable, parse_callable, parse_program
from fungible.verify.world.fork.interpreter import find_interpreter
from fungible.verify.world.fork.shell import Unreadable, read_command
from fungible.verify.world.fork.unforkable import Unforkable

pytestmark = pytest.mark.pure

ENVIRONMENT = {"PORT": "8000", "SCRATCH": "/s", "APP": "shop.wsgi", "EMPTY": "", "TWO": "--bind x"}


def read(command: str, setting: str | None = None, **environment: str) -> AppCallable | None:
    return parse_callable(command, {**ENVIRONMENT, **environment}, "/app", setting)


@pytest.mark.parametrize(
    ("command", "kind", "target"),
    [
        ("gunicorn shop.wsgi", "auto", "shop.wsgi:application"),
        ("gunicorn -w 4 -b 127.0.0.1:$PORT shop.wsgi:app", "auto", "shop.wsgi:app"),
        ("gunicorn -w4 --bind=:$PORT -k gthread shop:app --threads 4 --reload", "wsgi", "shop:app"),
        ("gunicorn shop:app -k uvicorn.workers.UvicornWorker", "asgi", "shop:app"),
        ("gunicorn \"shop:create_app('test', debug=True)\"", "auto", "shop:create_app('test', debug=True)"),
        ("gunicorn ${APP}:app --log-file - >/dev/null 2>&1", "auto", "shop.wsgi:app"),
        ("gunicorn --access-logfile '-' --preload -c conf.py ${APP-x}", "auto", "shop.wsgi:application"),
        ("exec gunicorn $TWO a:b", "auto", "a:b"),
        ("python -m gunicorn -w 1 a:b", "auto", "a:b"),
        ("python3 -O -m gunicorn.app.wsgiapp a:b", "auto", "a:b"),
        ("/venv/bin/gunicorn a:b", "auto", "a:b"),
        ("python /venv/bin/gunicorn a:b", "auto", "a:b"),
        ("uvicorn main:app --host 127.0.0.1 --port $PORT --no-access-log", "asgi", "main:app"),
        ("uvicorn --proxy-headers --workers 4 --ws none main:site.app", "asgi", "main:site.app"),
        ("uvicorn --interface wsgi main:app", "wsgi", "main:app"),
        ("hypercorn main", "auto", "main:app"),
        ("hypercorn --bind x asgi:main:app2", "asgi", "main:app2"),
        ("granian --interface asgi main:app --port 1", "asgi", "main:app"),
        ("granian --interface wsgi --workers 2 main", "wsgi", "main:app"),
        ("waitress-serve --listen=*:$PORT main:app", "wsgi", "main:app"),
        ("waitress-serve --port $PORT main:app", "wsgi", "main:app"),
        ("flask --app shop run -p $PORT", "wsgi", "shop:"),
        ("FLASK_APP=shop:make flask run --debug", "wsgi", "shop:make"),
        ("python -m flask run", "wsgi", ":"),
        ("export X=1 && cd sub && gunicorn a:b", "auto", "a:b"),
        ("bash -c 'exec gunicorn -b :$PORT a:b'", "auto", "a:b"),
        ('X=1 /bin/sh -euc "set -e; cd sub && exec gunicorn $APP"', "auto", "shop.wsgi:application"),
    ],
)
def test_known_servers(command: str, kind: str, target: str) -> None:
    app = read(command)
    assert app is not None
    assert (app.kind, f"{app.module}:{app.attribute}") == (kind, target)


@pytest.mark.parametrize(
    "command",
    [
        "gunicorn",
        "gunicorn a:b c:d",
        "gunicorn --paste x.ini",
        "gunicorn $(cat app)",
        "gunicorn a:b | cat",
        "python migrate.py && gunicorn a:b",
        "gunicorn a:b & gunicorn c:d",
        "gunicorn 'a:b",
        "gunicorn a-b:c",
        "gunicorn -w",
        "uvicorn main",
        "uvicorn --interface asgi2 main:app",
        "uvicorn --env-file .env main:app",
        "granian main:app",
        "flask shell",
        "python app.py",
        "python -c 'import app'",
        "node server.js",
        "celery -A app worker",
        "",
        "   # nothing",
    ],
)
def test_what_hides_its_callable(command: str) -> None:
    assert read(command) is None


def test_programs_to_be_run() -> None:
    def program(command: str) -> tuple[str, str, tuple[str, ...]] | None:
        app = parse_program(command, ENVIRONMENT, "/app")
        return app and (app.finder, app.module, app.argv)

    assert program("cd sub && python -O app.py -p $PORT") == ("script", "/app/sub/app.py", ("app.py", "-p", "8000"))
    assert program("python -m shop.web x") == ("module", "shop.web", ("shop.web", "x"))
    assert program("bash -c 'cd sub; exec python app.py -p $PORT'") == (
        "script",
        "/app/sub/app.py",
        ("app.py", "-p", "8000"),
    )
    assert program("sh -c 'sed s/a/b/ x > y && exec python app.py'") is None
    assert program("datasette data.db") == ("program", "datasette", ("datasette", "data.db"))
    assert program("python -c 'import x'") is None
    assert program("python") is None
    assert program("a | b") is None


START = """#!/bin/bash -e
set -u
# where it listens
export WHERE=127.0.0.1:$PORT
cd shop
exec gunicorn \\
  --bind $WHERE shop.wsgi
"""
LOOPS = "#!/bin/sh\nwhile ! nc -z db 5432; do sleep 1; done\ngunicorn a:b\n"


@pytest.mark.parametrize("command", ["./bin/start.sh", "bash bin/start.sh", "sh -e bin/start.sh x"])
def test_a_script_of_the_shell_is_read(command: str) -> None:
    app = parse_callable(command, ENVIRONMENT, "/app", script={"bin/start.sh": START, "./bin/start.sh": START}.get)
    assert app is not None
    assert (app.module, app.chdir, app.environment) == ("shop.wsgi", "/app/shop", {"WHERE": "127.0.0.1:8000"})


def test_a_script_that_does_more_is_not_read() -> None:
    assert parse_callable("sh wait.sh", ENVIRONMENT, "/app", script={"wait.sh": LOOPS}.get) is None
    assert (
        parse_callable("./start", ENVIRONMENT, "/app", script={"./start": "#!/usr/bin/perl\ngunicorn a:b"}.get)
        is None
    )
    assert parse_callable("bash -l start", ENVIRONMENT, "/app", script={"start": "gunicorn a:b"}.get) is None


def test_where_modules_are_found() -> None:
    chdir = read("gunicorn --chdir $SCRATCH --pythonpath lib,/x a:b")
    assert chdir is not None
    assert (chdir.chdir, chdir.path) == ("/s", ("/x", "/s/lib", "/s"))
    folder = read("uvicorn --app-dir src a:b")
    assert folder is not None
    assert (folder.chdir, folder.path) == ("/app", ("/app/src",))
    module = read("python -m uvicorn --app-dir src a:b")
    assert module is not None
    assert module.path == ("/app/src", "/app")
    assert (moved := read("cd sub && gunicorn a:b")) is not None
    assert moved.chdir == "/app/sub"


def test_environment_and_factories() -> None:
    app = read("DEBUG=1 env LEVEL='a b' gunicorn -e NAME=x --env OTHER=y a:b")
    assert app is not None
    assert app.environment == {"DEBUG": "1", "LEVEL": "a b", "NAME": "x", "OTHER": "y"}
    assert (factory := read("uvicorn --factory a:make")) is not None
    assert factory.factory
    assert (call := read("waitress-serve --call a:make")) is not None
    assert call.factory
    assert (debug := read("flask --app a --debug run")) is not None
    assert debug.environment == {"FLASK_DEBUG": "1"}
    extra = read("gunicorn a:b", GUNICORN_CMD_ARGS="--chdir /other -k uvicorn_worker.UvicornWorker")
    assert extra is not None
    assert (extra.chdir, extra.kind) == ("/other", "asgi")


def test_a_setting_names_the_callable_and_the_command_the_interpreter() -> None:
    app = read("python3.12 -X dev serve.py --port 1", "wsgi:shop.wsgi:application")
    assert app is not None
    assert (app.kind, app.module, app.attribute) == ("wsgi", "shop.wsgi", "application")
    assert app.interpreter == ("python3.12", "-X", "dev")
    assert app.argv == ("serve.py", "--port", "1")
    piped = read("./serve | tee log", "asgi:a:b")
    assert piped is not None
    assert piped.interpreter == ("python",)
    assert read("gunicorn x:y", "a:b") is None


def test_interpreter_of_a_console_script(tmp_path: Path) -> None:
    bin = tmp_path / "a folder" / "bin"
    bin.mkdir(parents=True)
    python = bin / "python3"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    scripts = {
        "gunicorn": "#!/usr/bin/env python3\n",
        "uvicorn": f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n",
        "hypercorn": "#!/bin/sh\nexec something\n",
    }
    for name, text in scripts.items():
        (bin / name).write_text(text)
        (bin / name).chmod(0o755)
    environment = {"PATH": str(bin)}

    def found(command: str) -> tuple[str, ...]:
        app = parse_callable(command, environment, "/app")
        assert app is not None
        return find_interpreter(app, environment, "/app")

    assert found("gunicorn a:b") == (str(python),)
    assert found("uvicorn a:b") == (str(python),)
    assert found("python3 -O -m uvicorn a:b") == (str(python), "-O")
    with pytest.raises(Unforkable, match="not a Python script"):
        found("hypercorn a:b")
    with pytest.raises(Unforkable, match="no program `granian`"):
        found("granian --interface wsgi a:b")


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_quoted_words_come_back(words: list[str]) -> None:
    line = shlex.join(["run", *words])
    assert read_command(line, {}).words == ("run", *words)


@given(st.text(alphabet="ab= \t\n'\"\\$`{}()<>|&;#:-x~/.*") | st.text())
def test_any_line_is_read_or_refused(line: str) -> None:
    try:
        simple = read_command(line, {"a": "1 2"})
    except Unreadable:
        assert parse_callable(line, {"a": "1 2"}, "/app") is None
    else:
        assert simple.words


WORDS = ["-w", "4", "-k", "--x", "--chdir=/y", "a:b", "a:b()", "run", "--", "-", "-e", "A=b", "--factory", "--call"]
WORDS += ["--interface", "asgi", "--app", "gunicorn", "--env"]
SERVERS = ["gunicorn", "uvicorn", "hypercorn", "granian", "waitress-serve", "flask", "python -m"]


@given(st.sampled_from(SERVERS), st.lists(st.sampled_from(WORDS)))
def test_any_arguments_are_read_or_refused(server: str, arguments: list[str]) -> None:
    app = read(f"{server} {shlex.join(arguments)}")
    assert app is None or app.module or app.finder == "flask"
