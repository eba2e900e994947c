"""Read from a type's command which WSGI or ASGI callable it serves, and under which interpreter."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from fungible.verify.world.fork.options import OPTIONS, Options
from fungible.verify.world.fork.shell import Script, Simple, Unreadable, no_script, read_command

Kind = Literal["wsgi", "asgi", "auto"]

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z")
_PYTHON = re.compile(r"(python|pypy)[0-9.]*\Z")
_WITH_VALUE = frozenset("WX")
_SETTING = re.compile(r"(wsgi|asgi):([^:]+):(.+)\Z")


@dataclass(frozen=True)
class AppCallable:
    """What is to be imported, and how.

    `module` is a dotted name or, for `flask`, a path as Flask takes it; empty where it is to be looked for.
    `attribute` is a dotted name or a call with literal arguments (`create_app("test")`); empty where it is to be
    looked for in the module. `factory` says that it is to be called without arguments. `finder` is whose rules
    find the app: `flask` or empty; or `script`, `module`, `program`: `module` is run until it would serve. `path`
    is put before sys.path, `chdir` entered, both absolute. `interpreter` is the argv of Python where the line names
    it; otherwise `program` is the console script. `argv` is what the app finds in sys.argv, `environment` what the
    line sets.
    """

    kind: Kind
    module: str
    attribute: str
    factory: bool = False
    finder: str = ""
    path: tuple[str, ...] = ()
    chdir: str | None = None
    interpreter: tuple[str, ...] = ()
    program: str = ""
    argv: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Line:
    """A server's command line: its name, arguments, and the place it runs in."""

    server: str
    arguments: tuple[str, ...]
    cwd: str
    environment: Mapping[str, str]
    under_python: bool


def parse_callable(
    command: str, environment: Mapping[str, str], cwd: str, setting: str | None = None, script: Script = no_script
) -> AppCallable | None:
    """The callable that `command` serves when run in `cwd` (absolute) with `environment`; None where the line does
    not tell.

    Known: gunicorn, uvicorn, hypercorn, granian, waitress-serve, flask; as console scripts and by `python -m`.
    `setting` (`wsgi:module:attribute`) names the callable instead; the command is then read for its interpreter
    alone. Nothing is read from disk but what `script` gives: the text of a shell's script by its path, relative to
    `cwd`.
    """
    try:
        simple = read_command(command, environment, script)
    except Unreadable:
        return _named(setting, cwd) if setting else None
    cwd = os.path.normpath(os.path.join(cwd, simple.folder or ""))
    line, base = _server_line(simple, {**environment, **simple.assignments}, cwd)
    if setting:
        named = _named(setting, cwd)
        if named is None:
            return None
        read = _read(line, base) if line else None
        if read is not None:
            return replace(read, kind=named.kind, module=named.module, attribute=named.attribute, factory=False,
                           finder="")  # fmt: skip
        return replace(named, interpreter=base.interpreter or ("python",), argv=base.argv,
                       environment=base.environment)  # fmt: skip
    return _read(line, base) if line else None


def parse_program(
    command: str, environment: Mapping[str, str], cwd: str, script: Script = no_script
) -> AppCallable | None:
    """A Python program that is to be run until it would serve: `python app.py`, `python -m shop`, a console script.

    Whether a console script is one of Python is seen when it is looked up. None where the line is not one command.
    """
    try:
        simple = read_command(command, environment, script)
    except Unreadable:
        return None
    cwd = os.path.normpath(os.path.join(cwd, simple.folder or ""))
    _, base = _server_line(simple, {**environment, **simple.assignments}, cwd)
    if not base.interpreter:
        return replace(base, finder="program", module=base.program, path=())
    _, rest, module = _python_flags(simple.words[1:])
    if module:
        return replace(base, finder="module", module=module)
    if not rest or rest[0].startswith("-"):
        return None
    return replace(base, finder="script", module=_absolute(cwd, rest[0]), path=())


def _named(setting: str, cwd: str) -> AppCallable | None:
    match = _SETTING.match(setting)
    if match is None or not _MODULE.match(match[2]):
        return None
    kind: Kind = "wsgi" if match[1] == "wsgi" else "asgi"
    return AppCallable(kind, match[2], match[3], path=(cwd,), chdir=cwd, interpreter=("python",))


def _server_line(simple: Simple, environment: Mapping[str, str], cwd: str) -> tuple[_Line | None, AppCallable]:
    words = simple.words
    base = AppCallable("auto", "", "", path=(cwd,), chdir=cwd, argv=words, environment=dict(simple.assignments))
    program = os.path.basename(words[0])
    if _PYTHON.match(program):
        flags, rest, module = _python_flags(words[1:])
        base = replace(base, interpreter=(words[0], *flags), argv=rest)
        if module is None:
            # `python /path/bin/gunicorn app:app` runs a console script by its path.
            if not rest or not os.path.dirname(rest[0]) or os.path.basename(rest[0]) not in _READERS:
                return None, base
            return _Line(os.path.basename(rest[0]), rest[1:], cwd, environment, False), base
        server = _MODULES.get(module, "")
        return (_Line(server, rest[1:], cwd, environment, True) if server else None), base
    server = program if program in _READERS else ""
    base = replace(base, program=words[0])
    return (_Line(server, words[1:], cwd, environment, False) if server else None), base


def _python_flags(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...], str | None]:
    """The interpreter's own options, its argv, and the module of `-m`."""
    flags: list[str] = []
    position = 0
    while position < len(words) and words[position].startswith("-") and len(words[position]) > 1:
        word = words[position]
        if "m" in word[1:] and not word.startswith("--") and word[1] not in _WITH_VALUE:
            before, _, after = word[1:].partition("m")
            if before:
                flags.append(f"-{before}")
            module = after or (words[position + 1] if position + 1 < len(words) else "")
            rest = words[position + (1 if after else 2) :]
            return tuple(flags), (module, *rest), module
        if word == "-c":
            return tuple(flags), words[position:], None
        flags.append(word)
        if len(word) == 2 and word[1] in _WITH_VALUE and position + 1 < len(words):
            position += 1
            flags.append(words[position])
        position += 1
    return tuple(flags), words[position:], None


def _read(line: _Line, base: AppCallable) -> AppCallable | None:
    return _READERS[line.server](line, base)


@dataclass(frozen=True)
class _Arguments:
    """Options by their name without dashes, last one first, and the positional arguments."""

    options: dict[str, list[str]]
    flags: frozenset[str]
    positional: tuple[str, ...]

    def last(self, *names: str) -> str | None:
        """The value that was given last to one of an option's names."""
        return next((self.options[name][-1] for name in names if name in self.options), None)

    def all(self, *names: str) -> list[str]:
        """Every value given to an option."""
        return [value for name in names for value in self.options.get(name, ())]


def _arguments(words: tuple[str, ...], known: Options) -> _Arguments | None:
    """Split a server's arguments; None where an option stands without its value."""
    options: dict[str, list[str]] = {}
    flags: set[str] = set()
    positional: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            positional += waiting
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if equals:
                options.setdefault(name, []).append(value)
            elif known.is_flag(name):
                flags.add(name)
            elif waiting:
                options.setdefault(name, []).append(waiting.pop(0))
            else:
                return None
        elif word.startswith("-") and len(word) > 1:
            letters = word[1:]
            while letters and letters[0] in known.short_flags:
                flags.add(letters[0])
                letters = letters[1:]
            if letters:
                attached = letters[1:].removeprefix("=")
                if not attached and not waiting:
                    return None
                options.setdefault(letters[0], []).append(attached or waiting.pop(0))
        else:
            positional.append(word)
    return _Arguments(options, frozenset(flags), tuple(positional))


def _target(text: str, default: str) -> tuple[str, str] | None:
    """`pkg.module:attribute` apart."""
    module, colon, attribute = text.partition(":")
    if not _MODULE.match(module):
        return None
    attribute = attribute if colon else default
    return (module, attribute) if attribute else None


def _absolute(cwd: str, path: str) -> str:
    return os.path.normpath(os.path.join(cwd, os.path.expanduser(path) if path.startswith("~/") else path))


def _gunicorn(line: _Line, base: AppCallable) -> AppCallable | None:
    try:
        extra = read_command(f"x {line.environment.get('GUNICORN_CMD_ARGS', '')}", {}).words[1:]
    except Unreadable:
        return None
    given = _arguments((*extra, *line.arguments), OPTIONS["gunicorn"])
    if given is None or len(given.positional) != 1 or given.last("paste", "paster"):
        return None
    target = _target(given.positional[0], "application")
    if target is None:
        return None
    chdir = _absolute(line.cwd, given.last("chdir") or "")
    path = [_absolute(chdir, entry) for value in given.all("pythonpath") for entry in value.split(",") if entry]
    environment = dict(base.environment)
    for assignment in given.all("e", "env"):
        name, equals, value = assignment.partition("=")
        if not equals:
            return None
        environment[name] = value
    worker = given.last("k", "worker-class") or ""
    kind: Kind = "asgi" if "uvicorn" in worker.lower() or "asgi" in worker.lower() else "wsgi"
    if not worker:  # a configuration file may name another
        kind = "auto"
    return replace(base, kind=kind, module=target[0], attribute=target[1], path=(*reversed(path), chdir),
                   chdir=chdir, environment=environment)  # fmt: skip


def _uvicorn(line: _Line, base: AppCallable) -> AppCallable | None:
    given = _arguments(line.arguments, OPTIONS["uvicorn"])
    environment = {name: value for name, value in line.environment.items() if name.startswith("UVICORN_")}
    if given is None or given.last("env-file") or "UVICORN_ENV_FILE" in environment:
        return None
    text = given.positional[0] if len(given.positional) == 1 else environment.get("UVICORN_APP", "")
    target = _target(text, "")
    interface = given.last("interface") or environment.get("UVICORN_INTERFACE", "auto")
    if target is None or len(given.positional) > 1 or interface not in ("auto", "asgi3", "wsgi"):
        return None
    factory = "factory" in given.flags or environment.get("UVICORN_FACTORY", "").lower() in ("1", "true", "yes")
    folder = _absolute(line.cwd, given.last("app-dir") or environment.get("UVICORN_APP_DIR", ""))
    return replace(base, kind="wsgi" if interface == "wsgi" else "asgi", module=target[0], attribute=target[1],
                   factory=factory, path=_with_cwd(line, folder))  # fmt: skip


def _hypercorn(line: _Line, base: AppCallable) -> AppCallable | None:
    given = _arguments(line.arguments, OPTIONS["hypercorn"])
    if given is None or len(given.positional) != 1:
        return None
    text = given.positional[0]
    kind: Kind = "auto"
    if text.startswith(("asgi:", "wsgi:")):
        kind = "asgi" if text.startswith("asgi:") else "wsgi"
        text = text[5:]
    target = _target(text, "app")
    if target is None:
        return None
    return replace(base, kind=kind, module=target[0], attribute=target[1])


def _granian(line: _Line, base: AppCallable) -> AppCallable | None:
    given = _arguments(line.arguments, OPTIONS["granian"])
    if given is None or len(given.positional) != 1 or given.last("env-files"):
        return None
    target = _target(given.positional[0], "app")
    interface = given.last("interface") or line.environment.get("GRANIAN_INTERFACE", "rsgi")
    if target is None or interface not in ("asgi", "asginl", "wsgi"):
        return None
    folder = given.last("working-dir") or line.environment.get("GRANIAN_WORKING_DIR", "")
    chdir = _absolute(line.cwd, folder)
    return replace(base, kind="wsgi" if interface == "wsgi" else "asgi", module=target[0], attribute=target[1],
                   factory="factory" in given.flags, path=(chdir,), chdir=chdir)  # fmt: skip


def _waitress(line: _Line, base: AppCallable) -> AppCallable | None:
    given = _arguments(line.arguments, OPTIONS["waitress-serve"])
    if given is None:
        return None
    named = [*given.all("app"), *given.positional]
    target = _target(named[0], "") if len(named) == 1 else None
    if target is None:
        return None
    return replace(base, kind="wsgi", module=target[0], attribute=target[1], factory="call" in given.flags)


def _flask(line: _Line, base: AppCallable) -> AppCallable | None:
    """Flask's rules (its documentation, "Application Discovery"); the module is found when it is imported."""
    given = _arguments(line.arguments, OPTIONS["flask"])
    if given is None or given.positional != ("run",) or given.last("e", "env-file"):
        return None
    text = given.last("A", "app") or line.environment.get("FLASK_APP", "")
    module, _, attribute = text.partition(":")
    environment = dict(base.environment)
    if "debug" in given.flags or "no-debug" in given.flags:
        environment["FLASK_DEBUG"] = "1" if "debug" in given.flags else "0"
    return replace(base, kind="wsgi", module=module.strip(), attribute=attribute.strip(), finder="flask",
                   environment=environment)  # fmt: skip


def _with_cwd(line: _Line, folder: str) -> tuple[str, ...]:
    """`python -m` puts the current folder on the path; a console script does not."""
    return tuple(dict.fromkeys((folder, line.cwd))) if line.under_python else (folder,)


_READERS: dict[str, Callable[[_Line, AppCallable], AppCallable | None]] = {
    "gunicorn": _gunicorn,
    "uvicorn": _uvicorn,
    "hypercorn": _hypercorn,
    "granian": _granian,
    "waitress-serve": _waitress,
    "flask": _flask,
}
_MODULES = {
    "gunicorn": "gunicorn",
    "gunicorn.app.wsgiapp": "gunicorn",
    "uvicorn": "uvicorn",
    "hypercorn": "hypercorn",
    "granian": "granian",
    "waitress": "waitress-serve",
    "flask": "flask",
}
