"""FU201: Django's cache in a process's memory or on its own disk, and who relies on it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.settings.calls import Call
from fungible.check.settings.django_settings import Settings
from fungible.check.settings.project import Project, leveled
from fungible.check.settings.values import ABSENT, UNKNOWN, Answer, Value, judge, options

FU201 = Rule(
    id="FU201",
    title="Django's cache is local to a process",
    why="Every process counts, locks and remembers for itself: limits are multiplied by the number of processes, and"
    " what one deletes the others keep.",
    mend="Set CACHES to a cache that all processes share (Redis, Valkey, Memcached, the database), by a URL from the"
    " environment.",
    topic="cache",
    wrong="""\
INSTALLED_APPS = ["rest_framework", "shop"]
ROOT_URLCONF = "shop.urls"
REST_FRAMEWORK = {"DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"]}
""",
    right="""\
import os
INSTALLED_APPS = ["rest_framework", "shop"]
ROOT_URLCONF = "shop.urls"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": os.environ["CACHE_URL"]}}
REST_FRAMEWORK = {"DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"]}
""",
)
RULES = (FU201,)

_LOCAL = ("locmem.LocMemCache", "filebased.FileBasedCache")
_CACHE = ("django.core.cache.cache", "django.core.cache.caches")
# What only makes sense where all see it. `set` and `get` alone may keep what is the same everywhere.
_COORDINATES = frozenset(
    {"incr", "decr", "add", "delete", "delete_many", "clear", "aincr", "aadd", "adelete", "touch"}
)


def find(project: Project) -> Iterator[Finding]:
    for settings in project.django:
        local = is_local(settings.get("CACHES", "default"))
        if local is Answer.NO:
            continue
        users = list(_users(project, settings))
        where = settings.where("CACHES")
        name = named(settings.get("CACHES", "default"))
        message = f"the default cache is {name}"
        if users:
            message += f", and {'; '.join(user for user, _ in users)}"
        level = max((level for _, level in users), default=Level.POSSIBLE)
        yield project.bound(where, "FU201", leveled(local, level), message, "CACHES.default")


def is_local(cache: Value) -> Answer:
    """Whether the settings of a cache (a value of CACHES) keep it in one process; Django's default is LocMemCache."""
    answers = [_is_local(each) for each, _ in options(cache)]
    sure = judge(cache, lambda _: True) is Answer.ALWAYS and all(each is Answer.ALWAYS for each in answers)
    if sure:
        return Answer.ALWAYS
    return Answer.MAYBE if any(each is not Answer.NO for each in answers) else Answer.NO


def named(backend: Value) -> str:
    """How messages name the cache."""
    for value, _ in options(backend):
        if isinstance(value, dict) and isinstance(found := value.get("BACKEND"), str) and found.endswith(_LOCAL):
            return found.rpartition(".")[2]
    return "LocMemCache (CACHES is not set)"


def _is_local(cache: Value) -> Answer:
    if cache is ABSENT:
        return Answer.ALWAYS
    backend = cache.get("BACKEND", UNKNOWN) if isinstance(cache, dict) else UNKNOWN
    return judge(backend, lambda each: isinstance(each, str) and each.endswith(_LOCAL))


def _users(project: Project, settings: Settings) -> Iterator[tuple[str, Level]]:
    """Who relies on the cache being shared, in words for the message, and how sure that is."""
    engine = judge(settings.get("SESSION_ENGINE"), lambda each: each == "django.contrib.sessions.backends.cached_db")
    if engine is not Answer.NO:
        yield "sessions are read from the cache (cached_db)", leveled(engine, Level.LIKELY)
    if throttled := _throttled(project, settings):
        yield throttled
    uses = any(name in project.imported for name in ("django_ratelimit.decorators", "ratelimit.decorators"))
    if uses and settings.get("RATELIMIT_USE_CACHE") in (ABSENT, "default"):
        yield "django-ratelimit counts in the cache", Level.LIKELY
    handler = judge(settings.get("AXES_HANDLER"), lambda each: each == "axes.handlers.cache.AxesCacheHandler")
    if handler is not Answer.NO and settings.get("AXES_CACHE") in (ABSENT, "default"):
        yield "django-axes counts failed logins in the cache", leveled(handler, Level.LIKELY)
    for app, message in (
        ("waffle", "django-waffle keeps flags and switches in the cache"),
        # Failed logins always, which other forms depends on its version.
        ("allauth.account", "django-allauth counts its rate limits in the cache"),
        ("cachalot", "django-cachalot keeps the answers of queries in the cache"),
        ("dynamic_preferences", "django-dynamic-preferences keeps preferences in the cache"),
        ("wagtailcache", "wagtail-cache keeps pages in the cache"),
    ):
        if found := settings.lists("INSTALLED_APPS", app):
            yield message, Level.LIKELY if found[1] else Level.POSSIBLE
    if call := next(_coordinating(project), None):
        place = f"{call.module.path}:{call.node.lineno}"
        yield f"{place} calls cache.{call.method}()", Level.LIKELY


def _throttled(project: Project, settings: Settings) -> tuple[str, Level] | None:
    if not settings.lists("INSTALLED_APPS", "rest_framework"):
        return None
    classes = judge(
        settings.get("REST_FRAMEWORK", "DEFAULT_THROTTLE_CLASSES"), lambda each: isinstance(each, list) and bool(each)
    )
    message = "REST framework's throttles count in the cache"
    if classes is not Answer.NO:
        return message, leveled(classes, Level.LIKELY)
    for module in project.modules:
        for name, made in module.classes.items():
            node = made.attributes.get("throttle_classes")
            if isinstance(node, ast.List | ast.Tuple) and node.elts:
                return f"{message} ({name}.throttle_classes)", Level.LIKELY
    return None


def _coordinating(project: Project) -> Iterator[Call]:
    """Calls of Django's cache that only make sense where all processes see them."""
    for call in project.calls:
        if call.method not in _COORDINATES or call.conditional:
            continue
        receiver = call.receiver
        if isinstance(receiver, ast.Subscript):
            key = receiver.slice
            if isinstance(key, ast.Constant) and key.value == "default" and call.meaning(receiver.value) == _CACHE[1]:
                yield call
        elif call.meaning(receiver) == _CACHE[0]:
            yield call
