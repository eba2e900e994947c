"""FU208: libraries that cache in a process's memory or on its own disk."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.settings.calls import Call
from fungible.check.settings.project import Project, leveled, owner
from fungible.check.settings.values import Answer, Made, Mixed, Named, Value, judge, options

FU208 = Rule(
    id="FU208",
    title="a cache is local to a process",
    why="What one process changes or deletes, the caches of the others still answer with, until their entries end.",
    mend="Use a backend that all processes share (Redis, Valkey, Memcached), by a URL from the environment.",
    topic="cache",
    wrong="""\
from flask import Flask
from flask_caching import Cache
app = Flask(__name__)
cache = Cache(app, config={"CACHE_TYPE": "SimpleCache"})
""",
    right="""\
import os
from flask import Flask
from flask_caching import Cache
app = Flask(__name__)
cache = Cache(app, config={"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": os.environ["REDIS_URL"]})
""",
)
RULES = (FU208,)

# Flask-Caching without CACHE_TYPE is NullCache, which caches nothing: no finding.
_FLASK_MEMORY = ("SimpleCache", "simple")
_FLASK_FILES = ("FileSystemCache", "filesystem")
_MADE = {
    "fastapi_cache.backends.inmemory.InMemoryBackend": "fastapi_cache's InMemoryBackend",
    "fastapi_cache.backends.memory.InMemoryCacheBackend": "fastapi_cache's InMemoryCacheBackend",
    "fastapi_cache.backends.memory.CacheBackend": "fastapi_cache's memory backend",
    "aiocache.SimpleMemoryCache": "aiocache's SimpleMemoryCache",
    "aiocache.backends.memory.SimpleMemoryCache": "aiocache's SimpleMemoryCache",
    "cachelib.SimpleCache": "cachelib's SimpleCache",
    "cachelib.simple.SimpleCache": "cachelib's SimpleCache",
}
_CACHELIB_FILES = ("cachelib.FileSystemCache", "cachelib.file.FileSystemCache")
_DECORATORS = ("aiocache.cached", "aiocache.cached_stampede", "aiocache.multi_cached")
_DOGPILE = ("dogpile.cache.memory", "dogpile.cache.memory_pickle", "dogpile.cache.dbm")


def find(project: Project) -> Iterator[Finding]:
    yield from _flask(project)
    for call in project.named(*_MADE):
        if not _is_for_sessions(call):
            yield project.told(call, "FU208", Level.LIKELY, f"{_MADE[call.name or '']} is local", owner(call))
    for call in project.named(*_CACHELIB_FILES):
        answer = judge(call.argument("cache_dir", 0), lambda each: isinstance(each, str))
        if answer is not Answer.NO and not _is_for_sessions(call):
            message = "cachelib's FileSystemCache is on the local disk"
            yield project.told(call, "FU208", leveled(answer, Level.LIKELY), message, owner(call))
    yield from _aiocache(project)
    yield from _cashews(project)
    yield from _dogpile(project)
    yield from _beaker(project)
    yield from _constance(project)


def _flask(project: Project) -> Iterator[Finding]:
    calls = list(project.named("flask_caching.Cache", "flask_cache.Cache"))
    inits = [call for call in project.calls if call.method == "init_app" and call.node_of("config", 1) is not None]
    if not calls:
        return
    told = False
    for call in [*calls, *inits]:
        given = call.argument("config", 1)
        for name, level in _of_flask(given if isinstance(given, dict) else {}):
            told = True
            yield project.told(call, "FU208", level, f'CACHE_TYPE is "{name}"', "CACHE_TYPE")
    if told:
        return
    for entry in project.config.entries("CACHE_TYPE"):
        for name, level in _of_flask({"CACHE_TYPE": entry.value}):
            yield entry.told("FU208", level, f'CACHE_TYPE is "{name}"', "CACHE_TYPE")


def _of_flask(given: dict[object, Value]) -> Iterator[tuple[str, Level]]:
    kind = given.get("CACHE_TYPE")
    folder = given.get("CACHE_DIR", "")
    for names in (_FLASK_MEMORY, _FLASK_FILES):
        answer = judge(kind, lambda each, names=names: str(each).rpartition(".")[2] in names)  # type: ignore[misc]
        if answer is Answer.NO or (names is _FLASK_FILES and not isinstance(folder, str)):
            continue
        name = next(str(each) for each, _ in options(kind) if str(each).rpartition(".")[2] in names)
        yield name, leveled(answer, Level.LIKELY)


def _aiocache(project: Project) -> Iterator[Finding]:
    for call in project.named("aiocache.Cache", "aiocache.factory.Cache"):
        node = call.node_of("cache_class", 0)
        if (node is None and not call.spread) or _is_memory(call.value(node)):
            yield project.told(call, "FU208", Level.LIKELY, "aiocache's Cache is in memory", owner(call))
    for call in project.named(*_DECORATORS):
        node = call.node_of("cache")
        # Without `cache` or `alias` the decorator's default is Cache.MEMORY.
        if (node is None and call.node_of("alias") is None and not call.spread) or _is_memory(call.value(node)):
            level = Level.POSSIBLE if node is None else Level.LIKELY
            yield project.told(call, "FU208", level, f"aiocache's {call.method} caches in memory", owner(call))
    for call in project.named("aiocache.caches.set_config"):
        given = call.argument("config", 0)
        for alias, table in given.items() if isinstance(given, dict) else ():
            if isinstance(table, dict) and _is_memory(table.get("cache")):
                message = f"aiocache's cache {str(alias)!r} is SimpleMemoryCache"
                yield project.told(call, "FU208", Level.LIKELY, message, f"caches.{alias}")


def _is_memory(value: Value) -> bool:
    name = value.name if isinstance(value, Named | Made) else value if isinstance(value, str) else ""
    return name.endswith(("Cache.MEMORY", "SimpleMemoryCache"))


def _cashews(project: Project) -> Iterator[Finding]:
    for call in project.calls:
        if call.method != "setup" or not _is_cashews(call):
            continue
        answer = judge(call.argument("settings_url", 0), lambda each: str(each).startswith("mem://"))
        if answer is not Answer.NO:
            message = "cashews is set up with mem://"
            yield project.told(call, "FU208", leveled(answer, Level.LIKELY), message, "cache.setup")


def _is_cashews(call: Call) -> bool:
    value = call.value(call.receiver)
    made = isinstance(value, Made) and value.name == "cashews.Cache"
    return made or call.meaning(call.receiver) == "cashews.cache"


def _dogpile(project: Project) -> Iterator[Finding]:
    if "dogpile.cache" not in project.imported and "dogpile" not in project.imported:
        return
    for call in project.calls:
        if call.method != "configure":
            continue
        answer = judge(call.argument("backend", 0), lambda each: each in _DOGPILE)
        if answer is not Answer.NO:
            value = next(each for each, _ in options(call.argument("backend", 0)) if each in _DOGPILE)
            yield project.told(
                call, "FU208", leveled(answer, Level.LIKELY), f"the region's backend is {value}", owner(call)
            )


def _beaker(project: Project) -> Iterator[Finding]:
    for call in project.named("beaker.util.parse_cache_config_options"):
        given = call.argument("config", 0)
        kind = given.get("cache.type", given.get("type")) if isinstance(given, dict) else None
        if kind in ("memory", "file", "dbm") and not isinstance(given.get("cache.data_dir"), Mixed):  # type: ignore[attr-defined]
            yield project.told(call, "FU208", Level.LIKELY, f'beaker\'s cache.type is "{kind}"', owner(call))


def _constance(project: Project) -> Iterator[Finding]:
    """Settings that an admin changes, in the memory of one process."""
    for settings in project.django:
        answer = judge(
            settings.get("CONSTANCE_BACKEND"), lambda each: each == "constance.backends.memory.MemoryBackend"
        )
        if answer is not Answer.NO:
            message = "CONSTANCE_BACKEND is constance.backends.memory.MemoryBackend"
            where = settings.where("CONSTANCE_BACKEND")
            yield project.bound(where, "FU208", leveled(answer, Level.CERTAIN), message, "CONSTANCE_BACKEND")


def _is_for_sessions(call: Call) -> bool:
    """FU202 tells of what Flask-Session is given."""
    return "SESSION_CACHELIB" in call.module.source.lines[call.node.lineno - 1]
