"""FU301, FU302 and FU303: what servers are told: one worker, preloading, and memory that a machine shares."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.settings.places import Place, place
from fungible.check.settings.project import Project, owner
from fungible.check.settings.values import Made

FU301 = Rule(
    id="FU301",
    title="the number of workers is pinned to one",
    why="One worker hides state that is kept in it: the app breaks on the day on which there are two.",
    mend="Run `fungible verify`; where it finds no difference, scale. Under `fungible start` one worker in each"
    " process is right, as web=N makes the processes.",
    topic=None,
    wrong="web: gunicorn --workers 1 -b 0.0.0.0:$PORT shop:app",
    right="web: gunicorn -b 0.0.0.0:$PORT shop:app",
)
FU302 = Rule(
    id="FU302",
    title="preloading hides a secret that is made at import",
    why="Workers that are forked after the import share the secret, those of a second machine or of the next start do"
    " not.",
    mend="Take the secret from the environment, and fail at the start where it is missing.",
    topic="secret-at-import",
    wrong="""\
import secrets
SECRET_KEY = secrets.token_hex(32)
preload_app = True
""",
    right="""\
import os
SECRET_KEY = os.environ["SECRET_KEY"]
preload_app = True
""",
)
FU303 = Rule(
    id="FU303",
    title="processes share memory of one machine",
    why="What is kept there is seen by the workers of one machine, and by no process elsewhere; it is gone at the"
    " next start.",
    mend="Use a store that all processes reach: a cache, a lock or a counter in Redis, Valkey or the database.",
    topic="session-in-memory",
    wrong="""\
import uwsgi
def seen(key):
    return uwsgi.cache_get(key)
""",
    right="""\
from django.core.cache import cache
def seen(key):
    return cache.get(key)
""",
)
RULES = (FU301, FU302, FU303)

_WORKERS = {
    "gunicorn": ("--workers", "-w"),
    "uvicorn": ("--workers",),
    "fastapi": ("--workers",),
    "hypercorn": ("--workers", "-w"),
    "granian": ("--workers",),
    "uwsgi": ("--processes", "--workers", "-p"),
}
_SECRETS = re.compile(r"(?i)(^|_)(secret|secret_key|jwt_key|signing_key|fernet_key|session_key|token_key)($|_)")
_RANDOM = ("secrets.", "os.urandom", "uuid.uuid", "random.", "cryptography.fernet.Fernet.generate_key")
_RANDOM_ENDS = ("get_random_secret_key", "generate_key", "token_hex", "token_urlsafe", "urandom")
_UWSGI = re.compile(r"uwsgi\.(cache_\w+|sharedarea_\w+|lock|unlock|is_locked|queue_\w+)")
_INI_SHARES = ("cache2", "cache", "sharedarea", "queue")
_SHARED = {
    f"multiprocessing.{name}": name
    for name in ("Manager", "Value", "Array", "RawValue", "RawArray", "managers.SyncManager", "Queue", "Lock")
} | {
    "multiprocessing.shared_memory.SharedMemory": "SharedMemory",
    "multiprocessing.managers.SharedMemoryManager": "it",
}
_INI_LINE = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=\s*(.*?)\s*")


def find(project: Project) -> Iterator[Finding]:
    yield from _pinned(project)
    yield from _preloaded(project)
    yield from _shared(project)


def workers(project: Project) -> Iterator[tuple[str, int]]:
    """How many workers servers are told to start, each with where (`Procfile:1`)."""
    for command in project.commands:
        given = command.option(*_WORKERS[command.program]) if command.program in _WORKERS else None
        if given and given.isdecimal() and len(given) < 6:
            yield f"{command.path}:{command.line}", int(given)
    for path, line, key, value in (*_gunicorn(project), *_uwsgi(project)):
        if key in ("workers", "processes") and str(value).isdecimal() and len(str(value)) < 6:
            yield f"{path}:{line}", int(str(value))


def _pinned(project: Project) -> Iterator[Finding]:
    for where, count in workers(project):
        if count == 1:
            path, _, line = where.rpartition(":")
            yield Finding(
                "FU301", Level.POSSIBLE, path, int(line), "the server is told to start one worker", "workers"
            )


def _gunicorn(project: Project) -> Iterator[tuple[str, int, str, object]]:
    for module in project.modules:
        if module.source.name in ("gunicorn.conf.py", "gunicorn_conf.py", "gunicorn_config.py", "gunicorn.py") or (
            "preload_app" in module.bindings
        ):
            for key, bound in project.names.of(module).items():
                if not isinstance(bound.value, bool) or key == "preload_app":
                    yield bound.path, bound.line, key, bound.value


def _uwsgi(project: Project) -> Iterator[tuple[str, int, str, str]]:
    for source in project.tree.named("*uwsgi*.ini", "*uwsgi*.cfg"):
        if place(source.path) in (Place.PRODUCTION, Place.ASIDE):
            for number, line in enumerate(source.lines, 1):
                if (found := _INI_LINE.fullmatch(line)) and not line.lstrip().startswith((";", "#")):
                    yield source.path, number, found[1], found[2]


def _preloaded(project: Project) -> Iterator[Finding]:
    places = [(path, line) for path, line, key, value in _gunicorn(project) if key == "preload_app" and value is True]
    for command in project.commands:
        if command.program == "gunicorn" and "--preload" in command.arguments:
            places.append((command.path, command.line))
    if not places:
        return
    for module in project.modules:
        for name, bound in project.names.of(module).items():
            value = bound.value
            if bound.path == module.path and _SECRETS.search(name) and isinstance(value, Made) and _is_random(value):
                message = f"the app is preloaded, and {module.path}:{bound.line} makes {name} with {value.name}"
                yield Finding("FU302", Level.POSSIBLE, *places[0], message, name)
                return


def _is_random(value: Made) -> bool:
    return value.name.startswith(_RANDOM) or value.name.endswith(_RANDOM_ENDS)


def _shared(project: Project) -> Iterator[Finding]:
    for path, line, key, value in _uwsgi(project):
        if key in _INI_SHARES and value:
            message = f"uwsgi is told {key} = {value}"
            yield Finding("FU303", Level.LIKELY, path, line, message, key)
    for call in project.calls:
        if call.name and _UWSGI.fullmatch(call.name):
            yield project.told(call, "FU303", Level.LIKELY, f"{call.name}() is seen by one machine", call.name)
        elif (
            call.name in _SHARED
            and project.serves
            and any(each is call.node for each in call.module.bindings.values())
        ):
            message = f"multiprocessing's {_SHARED[call.name]} is seen by the processes of one machine"
            yield project.told(call, "FU303", Level.LIKELY, message, owner(call))
