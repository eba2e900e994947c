"""FU206: queues of jobs, and their results, that live in one process or on its own disk."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.settings.calls import Call, Setting
from fungible.check.settings.project import Project, leveled, owner
from fungible.check.settings.urls import is_sqlite, scheme
from fungible.check.settings.values import Answer, Value, judge, options

FU206 = Rule(
    id="FU206",
    title="jobs or their results are kept in one process",
    why="A job that is queued at one process is seen by no other, neither by the workers nor where its state is asked"
    " for, and it is gone when the process ends.",
    mend="Give the queue a broker and a result backend that are services (Redis, Valkey, RabbitMQ, the database), by"
    " a URL from the environment.",
    topic="job-status",
    wrong="""\
from celery import Celery
app = Celery("shop", broker="memory://", backend="cache+memory://")
""",
    right="""\
import os
from celery import Celery
app = Celery("shop", broker=os.environ["BROKER_URL"], backend=os.environ["RESULT_URL"])
""",
)
RULES = (FU206,)

_CELERY = ("celery.Celery", "celery.app.Celery", "celery.app.base.Celery")
_BROKER_KEYS = ("broker_url", "BROKER_URL", "CELERY_BROKER_URL", "broker_read_url", "broker_write_url")
_RESULT_KEYS = ("result_backend", "CELERY_RESULT_BACKEND", "RESULT_BACKEND")
_HUEY = {
    "huey.MemoryHuey": ("MemoryHuey keeps jobs in memory", Level.CERTAIN),
    "huey.api.MemoryHuey": ("MemoryHuey keeps jobs in memory", Level.CERTAIN),
    "dramatiq.brokers.stub.StubBroker": ("dramatiq's StubBroker keeps jobs in memory", Level.CERTAIN),
    "taskiq.InMemoryBroker": ("taskiq's InMemoryBroker runs jobs in the process that sends them", Level.LIKELY),
}
_HUEY_FILES = {
    "huey.SqliteHuey": "huey.db",
    "huey.api.SqliteHuey": "huey.db",
    "huey.FileHuey": "",
    "huey.api.FileHuey": "",
}
_TASKS = {
    "django_tasks.backends.dummy.DummyBackend": Level.LIKELY,
    "django.tasks.backends.dummy.DummyBackend": Level.LIKELY,
    # Runs the task before the answer and keeps nothing; slow, and its results cannot be asked for.
    "django_tasks.backends.immediate.ImmediateBackend": Level.POSSIBLE,
    "django.tasks.backends.immediate.ImmediateBackend": Level.POSSIBLE,
}


def find(project: Project) -> Iterator[Finding]:
    for call in project.named(*_CELERY):
        for keyword, position, what in (("broker", 4, "broker"), ("backend", 3, "result backend")):
            value = call.argument(keyword, position)
            for level, message in _of_celery(value, what):
                yield project.told(call, "FU206", level, message, f"{owner(call)}.{keyword}")
    yield from _assigned(project)
    yield from _bound(project)
    for call in project.named(*_HUEY):
        message, level = _HUEY[call.name or ""]
        yield project.told(call, "FU206", level, message, owner(call))
    for call in project.named(*_HUEY_FILES):
        yield from _huey_of_file(project, call)
    yield from _django(project)


def _of_celery(value: Value, what: str) -> Iterator[tuple[Level, str]]:
    for bad, level in ((("memory", "cache+memory"), Level.CERTAIN), (("filesystem", "file"), Level.LIKELY)):
        answer = judge(value, lambda each, bad=bad: _is_of(each, bad))  # type: ignore[misc]
        if answer is not Answer.NO:
            yield leveled(answer, level), f"Celery's {what} is {_shown(value, bad)}"
    # SQLAlchemy as a broker or a backend (`sqla+sqlite://`, `db+sqlite://`), in a file of its own.
    answer = judge(value, lambda each: isinstance(each, str) and is_sqlite(each.partition("+")[2] or each))
    if answer is not Answer.NO:
        yield leveled(answer, Level.LIKELY), f"Celery's {what} is a local SQLite file"


def _is_of(value: Value, schemes: tuple[str, ...]) -> bool:
    if value == "memory" or value == "cache+memory":
        return value in schemes
    return isinstance(value, str) and scheme(value) in schemes


def _shown(value: Value, schemes: tuple[str, ...]) -> str:
    return next((each for each, _ in options(value) if isinstance(each, str) and _is_of(each, schemes)), "")


def _assigned(project: Project) -> Iterator[Finding]:
    """`app.conf.broker_url = …`, `app.conf.update(broker_url=…)`."""
    if "celery" not in project.imported:
        return
    for each in project.found:
        if isinstance(each, Setting) and (key := each.key) in (*_BROKER_KEYS, *_RESULT_KEYS):
            what = "result backend" if key in _RESULT_KEYS else "broker"
            for level, message in _of_celery(each.value, what):
                yield project.told(each, "FU206", level, message, str(key))
        elif isinstance(each, Call) and each.method == "update":
            for keyword in each.node.keywords:
                if keyword.arg in (*_BROKER_KEYS, *_RESULT_KEYS):
                    what = "result backend" if keyword.arg in _RESULT_KEYS else "broker"
                    for level, message in _of_celery(each.value(keyword.value), what):
                        yield project.told(each, "FU206", level, message, keyword.arg)


def _bound(project: Project) -> Iterator[Finding]:
    """Names of settings modules, of `celeryconfig.py` and of configuration classes."""
    for settings in project.django:
        for key in (*_BROKER_KEYS, *_RESULT_KEYS):
            what = "result backend" if key in _RESULT_KEYS else "broker"
            for level, message in _of_celery(settings.get(key), what):
                yield project.bound(settings.where(key), "FU206", level, message, key)
    if "celery" in project.imported and not project.django:
        for entry in project.config.entries(*_BROKER_KEYS, *_RESULT_KEYS):
            what = "result backend" if entry.key in _RESULT_KEYS else "broker"
            for level, message in _of_celery(entry.value, what):
                yield entry.told("FU206", level, message, entry.key)
    for module in project.modules:
        if module.source.name in ("celeryconfig.py", "celery_config.py"):
            for key, bound in project.names.of(module).items():
                if key in (*_BROKER_KEYS, *_RESULT_KEYS) and key.islower():
                    what = "result backend" if key in _RESULT_KEYS else "broker"
                    for level, message in _of_celery(bound.value, what):
                        yield project.bound(bound, "FU206", level, message, key)


def _huey_of_file(project: Project, call: Call) -> Iterator[Finding]:
    name = call.method
    keyword = "filename" if name == "SqliteHuey" else "path"
    default = _HUEY_FILES[call.name or ""]
    if call.spread:
        return
    value = default if call.node_of(keyword) is None else call.argument(keyword)
    answer = judge(value, lambda each: isinstance(each, str) and bool(each))
    if answer is not Answer.NO:
        shown = next((each for each, _ in options(value) if isinstance(each, str)), "")
        message = f"{name} keeps jobs in the local file {shown.removeprefix('./')}"
        yield project.told(call, "FU206", leveled(answer, Level.LIKELY), message, owner(call))


def _django(project: Project) -> Iterator[Finding]:
    for settings in project.django:
        backend = settings.get("TASKS", "default", "BACKEND")
        for name, level in _TASKS.items():
            answer = judge(backend, lambda each, name=name: each == name)  # type: ignore[misc]
            if answer is not Answer.NO:
                where = settings.where("TASKS")
                yield project.bound(where, "FU206", leveled(answer, level), f"TASKS uses {name}", "TASKS.default")
        huey = settings.get("HUEY", "huey_class")
        if (answer := judge(huey, lambda each: each == "huey.MemoryHuey")) is not Answer.NO:
            where = settings.where("HUEY")
            yield project.bound(where, "FU206", leveled(answer, Level.CERTAIN), "HUEY uses huey.MemoryHuey", "HUEY")
