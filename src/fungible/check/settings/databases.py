"""FU204: a database on a process's own disk or in its memory."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.settings.calls import Call
from fungible.check.settings.config import Entry
from fungible.check.settings.django_settings import Settings
from fungible.check.settings.project import Project, leveled, owner
from fungible.check.settings.urls import is_memory, is_sqlite
from fungible.check.settings.values import ABSENT, SPREAD, UNKNOWN, Answer, Value, judge, options

FU204 = Rule(
    id="FU204",
    title="the database is a local file or in memory",
    why="Every process, or every machine, has rows of its own, and they are gone with it.",
    mend="Take the database from a URL in the environment (DATABASE_URL); a SQLite file in a folder that is attached"
    " is such a URL as well.",
    topic="files",
    wrong="""\
from fastapi import FastAPI
from sqlalchemy import create_engine
engine = create_engine("sqlite:///./shop.db")
app = FastAPI()
""",
    right="""\
import os
from fastapi import FastAPI
from sqlalchemy import create_engine
engine = create_engine(os.environ["DATABASE_URL"])
app = FastAPI()
""",
)
RULES = (FU204,)

# Full name -> keyword and position of the URL or path.
_BY_URL = {
    "sqlalchemy.create_engine": ("url", 0),
    "sqlalchemy.engine.create_engine": ("url", 0),
    "sqlmodel.create_engine": ("url", 0),
    "sqlalchemy.ext.asyncio.create_async_engine": ("url", 0),
    "sqlmodel.ext.asyncio.create_async_engine": ("url", 0),
    "databases.Database": ("url", 0),
    "tortoise.contrib.fastapi.register_tortoise": ("db_url", 2),
    "tortoise.contrib.fastapi.RegisterTortoise": ("db_url", 2),
    "tortoise.contrib.sanic.register_tortoise": ("db_url", 2),
    "tortoise.contrib.starlette.register_tortoise": ("db_url", 2),
    "tortoise.Tortoise.init": ("db_url", 2),
    "playhouse.db_url.connect": ("url", 0),
    "dataset.connect": ("url", 0),
}
_BY_PATH = {
    "peewee.SqliteDatabase": ("database", 0),
    "playhouse.sqlite_ext.SqliteExtDatabase": ("database", 0),
    "playhouse.sqliteq.SqliteQueueDatabase": ("database", 0),
    "playhouse.apsw_ext.APSWDatabase": ("database", 0),
    "playhouse.pool.PooledSqliteDatabase": ("database", 0),
}
_KEYS = ("SQLALCHEMY_DATABASE_URI", "SQLALCHEMY_BINDS")


def find(project: Project) -> Iterator[Finding]:
    for settings in project.django:
        yield from _django(project, settings)
    for name, (keyword, position) in _BY_URL.items():
        for call in project.named(name):
            yield from _of_url(project, call, call.argument(keyword, position))
    for name, (keyword, position) in _BY_PATH.items():
        for call in project.named(name):
            yield from _of_path(project, call, call.argument(keyword, position))
    if any(name in project.imported for name in ("flask_sqlalchemy", "flask_appbuilder", "flask_sqlalchemy_lite")):
        for entry in project.config.entries(*_KEYS):
            yield from _of_entry(entry)


def _django(project: Project, settings: Settings) -> Iterator[Finding]:
    for alias in _aliases(settings.get("DATABASES")):
        engine = settings.get("DATABASES", alias, "ENGINE")
        sqlite = judge(engine, lambda each: isinstance(each, str) and each.endswith(("sqlite3", "spatialite")))
        name = settings.get("DATABASES", alias, "NAME")
        if sqlite is Answer.NO or name is ABSENT:
            continue
        # The variants of a conditional database are judged whole: SQLite with a place here, or a server.
        whole = judge(settings.get("DATABASES", alias), _is_local_database)
        if whole is Answer.NO:
            continue
        memory = any(each == ":memory:" for each, _ in options(name))
        message = f"the database {alias!r} is SQLite {'in memory' if memory else _at(name)}"
        level = Level.CERTAIN if memory else Level.LIKELY
        yield project.bound(
            settings.where("DATABASES"), "FU204", leveled(whole, level), message, f"DATABASES.{alias}"
        )


def _aliases(databases: Value) -> list[str]:
    tables = [each for each, _ in options(databases) if isinstance(each, dict)]
    return sorted({alias for table in tables for alias in table if isinstance(alias, str) and alias != SPREAD})


def _is_local_database(value: Value) -> bool:
    if not isinstance(value, dict):
        return False
    engine = value.get("ENGINE", UNKNOWN)
    sqlite = judge(engine, lambda each: isinstance(each, str) and each.endswith(("sqlite3", "spatialite")))
    return sqlite is Answer.ALWAYS and judge(value.get("NAME", UNKNOWN), _is_path) is Answer.ALWAYS


def _of_url(project: Project, call: Call, url: Value) -> Iterator[Finding]:
    answer = judge(url, is_sqlite)
    if answer is Answer.NO:
        return
    memory = judge(url, is_memory) is answer
    message = f"{call.method} is given {_shown(url)}, a database {'in memory' if memory else 'on the local disk'}"
    yield project.told(call, "FU204", leveled(answer, _level(project, call, memory)), message, owner(call))


def _of_path(project: Project, call: Call, path: Value) -> Iterator[Finding]:
    answer = judge(path, _is_path)
    if answer is Answer.NO:
        return
    memory = judge(path, lambda each: each == ":memory:") is answer
    message = f"{call.method} is a database {'in memory' if memory else _at(path)}"
    yield project.told(call, "FU204", leveled(answer, _level(project, call, memory)), message, owner(call))


def _level(project: Project, call: Call, memory: bool) -> Level:
    """One in memory, made once for the process, is certain; one that a function makes may be for a moment."""
    if not project.serves:
        return Level.POSSIBLE
    return Level.CERTAIN if memory and call.function is None else Level.LIKELY


def _of_entry(entry: Entry) -> Iterator[Finding]:
    urls = entry.value if entry.key.endswith("URI") else None
    if (answer := judge(urls, is_sqlite)) is not Answer.NO:
        level = Level.CERTAIN if judge(urls, is_memory) is Answer.ALWAYS else Level.LIKELY
        yield entry.told("FU204", leveled(answer, level), f"{entry.key} is {_shown(urls)}", entry.key)


def _is_path(value: Value) -> bool:
    return isinstance(value, str) and value != ""


def _at(path: Value) -> str:
    found = next((each for each, _ in options(path) if isinstance(each, str)), "")
    return f"in the local file {found.removeprefix('./')}"


def _shown(url: Value) -> str:
    return next((each for each, _ in options(url) if isinstance(each, str) and is_sqlite(each)), "a URL")
