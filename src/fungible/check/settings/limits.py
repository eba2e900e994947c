"""FU207: rate limits that every process counts for itself."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.settings.calls import Call
from fungible.check.settings.config import Config
from fungible.check.settings.project import Project, leveled, owner
from fungible.check.settings.urls import scheme
from fungible.check.settings.values import Answer, Value, judge

FU207 = Rule(
    id="FU207",
    title="rate limits are counted in one process",
    why="With N processes a client may do N times as much, and a count is forgotten when its process ends.",
    mend="Give the limiter a storage that all processes share, by a URL from the environment"
    ' (`storage_uri=os.environ["REDIS_URL"]`).',
    topic="counter-or-limiter",
    wrong="""\
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
app = Flask(__name__)
limiter = Limiter(get_remote_address, app=app, default_limits=["200 per day"])
""",
    right="""\
import os
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
app = Flask(__name__)
limiter = Limiter(get_remote_address, app=app, default_limits=["200 per day"], storage_uri=os.environ["REDIS_URL"])
""",
)
RULES = (FU207,)

_FLASK = ("flask_limiter.Limiter", "flask_limiter.extension.Limiter")
_SLOWAPI = ("slowapi.Limiter", "slowapi.extension.Limiter")
_KEYS = ("RATELIMIT_STORAGE_URI", "RATELIMIT_STORAGE_URL")  # the second until Flask-Limiter 3
_MEMORY = {
    "limits.storage.MemoryStorage": "limits' MemoryStorage",
    "limits.storage.memory.MemoryStorage": "limits' MemoryStorage",
    "limits.aio.storage.MemoryStorage": "limits' MemoryStorage",
    "limits.aio.storage.memory.MemoryStorage": "limits' MemoryStorage",
    "ratelimit.backends.simple.MemoryBackend": "asgi-ratelimit's MemoryBackend",
    "quart_rate_limiter.store.MemoryStore": "quart_rate_limiter's MemoryStore",
    "pyrate_limiter.InMemoryBucket": "pyrate_limiter's InMemoryBucket",
}


def find(project: Project) -> Iterator[Finding]:
    config = project.config
    for call in project.named(*_FLASK):
        yield from _flask(project, config, call)
    for call in project.named(*_SLOWAPI):
        yield from _slowapi(project, call)
    for call in project.named("limits.storage.storage_from_string", "limits.util.storage_from_string"):
        yield from _of_url(project, call, call.argument("storage_string", 0), "limits' storage")
    for call in project.named("quart_rate_limiter.RateLimiter"):
        if not call.spread and call.node_of("store", 2) is None and not _is_off(call):
            message = "quart_rate_limiter has no store, so that it counts in memory"
            yield project.told(call, "FU207", Level.LIKELY, message, owner(call))
    if project.serves:
        for call in project.named(*_MEMORY):
            yield project.told(
                call, "FU207", Level.LIKELY, f"{_MEMORY[call.name or '']} counts in memory", owner(call)
            )


def _flask(project: Project, config: Config, call: Call) -> Iterator[Finding]:
    if _is_off(call):
        return
    if call.node_of("in_memory_fallback_enabled") is not None or call.node_of("in_memory_fallback") is not None:
        fallback = call.argument("in_memory_fallback_enabled")
        if fallback is not False and fallback is not None:
            message = "Flask-Limiter counts in memory when its storage cannot be reached (in_memory_fallback)"
            yield project.told(call, "FU207", Level.POSSIBLE, message, f"{owner(call)}.in_memory_fallback")
    node = call.node_of("storage_uri")
    if node is not None and call.value(node) is not None:
        yield from _of_url(project, call, call.value(node), "Flask-Limiter's storage_uri")
        return
    entries = [entry for entry in config.entries(*_KEYS) if entry.value is not None]
    for entry in entries:
        if (answer := judge(entry.value, _is_memory)) is not Answer.NO:
            message = f"{entry.key} is memory://"
            yield entry.told("FU207", leveled(answer, Level.CERTAIN), message, entry.key)
    if not entries and not call.spread:
        message = "Flask-Limiter has no storage_uri, so that it counts in memory"
        level = Level.POSSIBLE if config.open else Level.LIKELY
        yield project.told(call, "FU207", level, message, owner(call))


def _slowapi(project: Project, call: Call) -> Iterator[Finding]:
    if _is_off(call) or call.spread:
        return
    node = call.node_of("storage_uri")
    if node is not None and call.value(node) is not None:
        yield from _of_url(project, call, call.value(node), "slowapi's storage_uri")
        return
    if call.node_of("config_filename") is not None:
        return
    # Where the source says nothing, slowapi asks the environment and .env for RATELIMIT_STORAGE_URL.
    told = any("RATELIMIT_STORAGE_URL" in source.text for source in project.tree.sources)
    message = "slowapi has no storage_uri, so that it counts in memory"
    yield project.told(call, "FU207", Level.POSSIBLE if told else Level.LIKELY, message, owner(call))


def _of_url(project: Project, call: Call, url: Value, what: str) -> Iterator[Finding]:
    if (answer := judge(url, _is_memory)) is not Answer.NO:
        yield project.told(call, "FU207", leveled(answer, Level.CERTAIN), f"{what} is memory://", owner(call))


def _is_memory(value: Value) -> bool:
    return isinstance(value, str) and scheme(value) in ("memory", "async+memory")


def _is_off(call: Call) -> bool:
    return call.node_of("enabled") is not None and call.argument("enabled") is False
