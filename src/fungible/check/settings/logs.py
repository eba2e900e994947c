"""FU214: logs in files of a process's own disk."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.settings.calls import Call
from fungible.check.settings.project import Project, leveled, owner
from fungible.check.settings.values import UNKNOWN, Answer, Value, judge, options

FU214 = Rule(
    id="FU214",
    title="logs are written to a local file",
    why="The log of one process is on its own disk, nobody reads them together, and it is gone with the process.",
    mend="Log to standard output (logging.StreamHandler) and let what runs the processes gather it.",
    topic="files",
    wrong="""\
import logging
from fastapi import FastAPI
logging.basicConfig(filename="shop.log")
app = FastAPI()
""",
    right="""\
import logging
from fastapi import FastAPI
logging.basicConfig()
app = FastAPI()
""",
)
RULES = (FU214,)

_HANDLERS = ("FileHandler", "RotatingFileHandler", "TimedRotatingFileHandler", "WatchedFileHandler")
_CLASSES = (
    *(f"logging.{name}" for name in ("FileHandler", "handlers.FileHandler")),
    *(f"logging.handlers.{name}" for name in _HANDLERS[1:]),
    "concurrent_log_handler.ConcurrentRotatingFileHandler",
)
_BUILT_IN = ("/dev/", "/proc/")


def find(project: Project) -> Iterator[Finding]:
    for call in project.named(*_CLASSES):
        yield from _told(project, call.argument("filename", 0), f"{call.method} writes", owner(call), call)
    for call in project.named("logging.basicConfig"):
        if call.node_of("filename") is not None:
            yield from _told(project, call.argument("filename"), "logging.basicConfig writes", "basicConfig", call)
    for call in project.calls:
        if call.method == "add" and call.meaning(call.receiver) == "loguru.logger":
            yield from _told(project, call.argument("sink", 0), "loguru writes", "logger.add", call)
    for call in project.named("logging.config.dictConfig"):
        for name, path in _handlers(call.argument("config", 0)):
            yield from _told(project, path, f"the handler {name!r} writes", f"LOGGING.{name}", call)
    for settings in project.django:
        for name, path in _handlers(settings.get("LOGGING")):
            if (answer := judge(path, _is_file)) is not Answer.NO:
                message = f"the handler {name!r} writes logs to {_shown(path)}"
                where = settings.where("LOGGING")
                yield project.bound(where, "FU214", leveled(answer, Level.LIKELY), message, f"LOGGING.{name}")


def _told(project: Project, path: Value, what: str, symbol: str, call: Call) -> Iterator[Finding]:
    if (answer := judge(path, _is_file)) is not Answer.NO:
        level = leveled(answer, Level.LIKELY) if project.serves and not call.in_main else Level.POSSIBLE
        yield project.told(call, "FU214", level, f"{what} logs to {_shown(path)}", symbol)


def _handlers(config: Value) -> Iterator[tuple[str, Value]]:
    """The handlers of a logging configuration that write to files and that a logger uses, with their paths."""
    for each, _ in options(config):
        if not isinstance(each, dict) or not isinstance(handlers := each.get("handlers"), dict):
            continue
        used = set(_used(each))
        for name, handler in handlers.items():
            if not isinstance(handler, dict) or (used and name not in used):
                continue
            kind = handler.get("class", handler.get("()", UNKNOWN))
            filters = handler.get("filters")
            if isinstance(filters, list) and "require_debug_true" in filters:
                continue
            if isinstance(kind, str) and kind.rpartition(".")[2] in _HANDLERS:
                yield str(name), handler.get("filename", UNKNOWN)


def _used(config: dict[object, Value]) -> Iterator[str]:
    loggers = config.get("loggers")
    tables = [config.get("root"), *(loggers.values() if isinstance(loggers, dict) else ())]
    for table in tables:
        names = table.get("handlers") if isinstance(table, dict) else None
        yield from (name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def _is_file(value: Value) -> bool:
    return isinstance(value, str) and value != "" and not value.startswith(_BUILT_IN)


def _shown(path: Value) -> str:
    return next((each.removeprefix("./") for each, _ in options(path) if isinstance(each, str)), "a file")
