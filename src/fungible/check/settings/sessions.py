"""FU202: sessions in a process's memory or on its own disk."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.settings.django_cache import is_local, named
from fungible.check.settings.django_settings import Settings
from fungible.check.settings.project import Project, leveled, owner
from fungible.check.settings.values import ABSENT, UNKNOWN, Answer, Made, Value, judge

FU202 = Rule(
    id="FU202",
    title="sessions are kept in one process",
    why="Whoever logs in at one process is nobody at the next, and everybody is logged out when a process ends.",
    mend="Keep sessions in a store that all processes share (fungible_kit has one for Django, Flask and Starlette),"
    " or in a signed cookie with a key from the environment.",
    topic="session-in-memory",
    wrong="""\
from flask import Flask
from flask_session import Session
app = Flask(__name__)
app.config["SESSION_TYPE"] = "filesystem"
Session(app)
""",
    right="""\
import os
import redis
from flask import Flask
from flask_session import Session
app = Flask(__name__)
app.config["SESSION_TYPE"] = "redis"
app.config["SESSION_REDIS"] = redis.from_url(os.environ["REDIS_URL"])
Session(app)
""",
)
RULES = (FU202,)

_ENGINES = "django.contrib.sessions.backends."
# aiohttp_session.SimpleCookieStorage and starsessions.CookieStore keep sessions with the client: no findings.
_MEMORY = {
    "starsessions.InMemoryStore": "starsessions.InMemoryStore",
    "starsessions.stores.InMemoryStore": "starsessions.InMemoryStore",
    "starsessions.stores.memory.InMemoryStore": "starsessions.InMemoryStore",
    "starsessions.backends.InMemoryBackend": "starsessions.InMemoryBackend",  # before 2.0
    "starsessions.InMemoryBackend": "starsessions.InMemoryBackend",
    "sanic_session.InMemorySessionInterface": "sanic_session.InMemorySessionInterface",
    "fastapi_sessions.backends.implementations.InMemoryBackend": "fastapi_sessions.InMemoryBackend",
    "fastapi_sessions.backends.implementations.in_memory_backend.InMemoryBackend": "fastapi_sessions.InMemoryBackend",
    "flask_session.filesystem.FileSystemSessionInterface": "flask_session's FileSystemSessionInterface",
    "flask_session.sessions.FileSystemSessionInterface": "flask_session's FileSystemSessionInterface",
}
_CACHELIB = {"FileSystemCache": "FileSystemCache", "SimpleCache": "SimpleCache"}


def find(project: Project) -> Iterator[Finding]:
    for settings in project.django:
        yield from _django(project, settings)
    yield from _flask(project)
    for call in project.named(*_MEMORY):
        message = f"sessions are kept in {_MEMORY[call.name or '']}"
        yield project.told(call, "FU202", Level.CERTAIN, message, owner(call))
    for call in project.named("sanic_session.Session"):
        interface = call.node_of("interface", 1)
        # Session(app) without an interface keeps sessions in memory.
        if interface is None and not call.spread and not any(each.method == "init_app" for each in project.calls):
            message = "sanic_session.Session has no interface, so that sessions are kept in memory"
            yield project.told(call, "FU202", Level.LIKELY, message, owner(call))
    yield from _litestar(project)
    yield from _beaker(project)
    yield from _cherrypy(project)


def _django(project: Project, settings: Settings) -> Iterator[Finding]:
    engine = settings.get("SESSION_ENGINE")
    where = settings.where("SESSION_ENGINE")
    if (answer := judge(engine, lambda each: each == _ENGINES + "file")) is not Answer.NO:
        message = "SESSION_ENGINE is django.contrib.sessions.backends.file"
        if _is_from_elsewhere(settings.get("SESSION_FILE_PATH")):
            answer = Answer.MAYBE  # it may be an attached folder
        yield project.bound(where, "FU202", leveled(answer, Level.CERTAIN), message, "SESSION_ENGINE")
    if (answer := judge(engine, lambda each: each == _ENGINES + "cache")) is not Answer.NO:
        alias = settings.get("SESSION_CACHE_ALIAS")
        cache = settings.get("CACHES", alias if isinstance(alias, str) else "default")
        local = is_local(cache)
        if local is not Answer.NO:
            both = Answer.ALWAYS if local is answer is Answer.ALWAYS else Answer.MAYBE
            message = f"sessions are kept in the cache, and the cache is {named(cache)}"
            yield project.bound(where, "FU202", leveled(both, Level.CERTAIN), message, "SESSION_ENGINE")


def _flask(project: Project) -> Iterator[Finding]:
    uses = list(project.named("flask_session.Session"))
    if not uses:
        return
    config = project.config
    for entry in config.entries("SESSION_TYPE"):
        value = entry.value
        if (answer := judge(value, lambda each: each == "filesystem")) is not Answer.NO:
            if all(_is_from_elsewhere(each.value) for each in config.entries("SESSION_FILE_DIR")) and list(
                config.entries("SESSION_FILE_DIR")
            ):
                continue
            yield entry.told("FU202", leveled(answer, Level.CERTAIN), 'SESSION_TYPE is "filesystem"', "SESSION_TYPE")
        if (answer := judge(value, lambda each: each == "cachelib")) is not Answer.NO:
            clients = list(config.entries("SESSION_CACHELIB"))
            # Without a client it is FileSystemCache("flask_session").
            kinds = [_cachelib(each.value) for each in clients] or ["FileSystemCache"]
            if kind := next((each for each in kinds if each), None):
                message = f'SESSION_TYPE is "cachelib" with {kind}'
                yield entry.told("FU202", leveled(answer, Level.LIKELY), message, "SESSION_TYPE")
    if not list(config.entries("SESSION_TYPE")) and not config.open:
        # What happens then depends on the version: files of cachelib's FileSystemCache, or an error (0.8).
        message = "flask_session has no SESSION_TYPE, which may be files in ./flask_session"
        yield project.told(uses[0], "FU202", Level.POSSIBLE, message, "SESSION_TYPE")


def _cachelib(value: Value) -> str | None:
    if not isinstance(value, Made) or value.name.rpartition(".")[2] not in _CACHELIB:
        return None
    folder = dict(value.keywords).get("cache_dir", value.arguments[0] if value.arguments else UNKNOWN)
    name = value.name.rpartition(".")[2]
    return None if name == "FileSystemCache" and _is_from_elsewhere(folder) else name


def _litestar(project: Project) -> Iterator[Finding]:
    apps = list(project.named("litestar.Litestar", "litestar.app.Litestar"))
    answers = [
        Answer.ALWAYS if call.node_of("stores") is None else judge(call.argument("stores"), _holds_memory)
        for call in apps
    ] or [Answer.ALWAYS]
    answer = next((each for each in (Answer.ALWAYS, Answer.MAYBE) if each in answers), Answer.NO)
    for call in project.named(
        "litestar.middleware.session.server_side.ServerSideSessionConfig",
        "litestar.middleware.session.ServerSideSessionConfig",
    ):
        if answer is not Answer.NO:
            message = "litestar's server-side sessions are kept in its default store, MemoryStore"
            yield project.told(call, "FU202", leveled(answer, Level.LIKELY), message, owner(call))


def _holds_memory(stores: Value) -> bool:
    """Whether the stores given to Litestar leave sessions in memory."""
    if stores is None or stores is ABSENT:
        return True
    return isinstance(stores, dict) and "sessions" not in stores and "**" not in stores


def _beaker(project: Project) -> Iterator[Finding]:
    for call in project.named("beaker.middleware.SessionMiddleware"):
        given = call.argument("config", 1)
        for kind in ("memory", "file", "dbm"):
            answer = judge(given, lambda each, kind=kind: _beaker_type(each) == kind)  # type: ignore[misc]
            if answer is not Answer.NO:
                message = f'beaker\'s session.type is "{kind}"'
                yield project.told(call, "FU202", leveled(answer, Level.LIKELY), message, owner(call))


def _beaker_type(options: Value) -> str | None:
    """The kind of store; beaker's default is files where there is a data_dir, else memory."""
    if not isinstance(options, dict) or "**" in options:
        return None
    given = {str(key).removeprefix("beaker.").removeprefix("session."): value for key, value in options.items()}
    folder = given.get("data_dir")
    kind = given.get("type", "file" if folder else "memory")
    if not isinstance(kind, str) or (kind in ("file", "dbm") and _is_from_elsewhere(folder)):
        return None
    return kind


def _cherrypy(project: Project) -> Iterator[Finding]:
    """CherryPy keeps sessions in RamSession where no storage_class is told."""
    if "cherrypy" not in project.imported:
        return
    for call in project.named("cherrypy.quickstart", "cherrypy.config.update", "cherrypy.tree.mount"):
        for argument in call.node.args:
            given = call.value(argument)
            tables = [given, *given.values()] if isinstance(given, dict) else []
            for table in tables:
                if not isinstance(table, dict) or table.get("tools.sessions.on") is not True or "**" in table:
                    continue
                if not {"tools.sessions.storage_class", "tools.sessions.storage_type"} & set(table):
                    message = "tools.sessions.on without a storage_class: CherryPy keeps sessions in memory"
                    yield project.told(call, "FU202", Level.LIKELY, message, "tools.sessions.on")


def _is_from_elsewhere(value: Value) -> bool:
    """Whether a path is not one of this source: from the environment, or not known."""
    return value is not ABSENT and value is not None and not isinstance(value, str)
