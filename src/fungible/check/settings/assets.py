"""FU213: stylesheets and scripts that are made while the app runs."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.settings.calls import Call, Setting
from fungible.check.settings.commands import SERVERS
from fungible.check.settings.project import Project, leveled, owner
from fungible.check.settings.values import ABSENT, Answer, Value, judge

FU213 = Rule(
    id="FU213",
    title="assets are made at run time",
    why="The process that answers with a page makes the file that it names; the process that is asked for the file"
    " does not have it.",
    mend="Make assets in the build stage (`fungible build`, `manage.py compress`, `flask assets build`) and switch"
    " making them at run time off.",
    topic="assets-at-run-time",
    wrong="""\
from flask import Flask
from flask_assets import Environment
app = Flask(__name__)
assets = Environment(app)
""",
    right="""\
from flask import Flask
from flask_assets import Environment
app = Flask(__name__)
assets = Environment(app)
assets.auto_build = False
""",
)
RULES = (FU213,)

_ENVIRONMENTS = ("flask_assets.Environment", "webassets.Environment", "webassets.env.Environment")


def find(project: Project) -> Iterator[Finding]:
    yield from _compressor(project)
    yield from _webassets(project)
    yield from _collected(project)


def _compressor(project: Project) -> Iterator[Finding]:
    for settings in project.django:
        if not (app := settings.lists("INSTALLED_APPS", "compressor")):
            continue
        # Defaults: COMPRESS_ENABLED is not DEBUG, COMPRESS_OFFLINE is False.
        off = judge(settings.get("COMPRESS_ENABLED"), lambda each: each is False)
        offline = judge(settings.get("COMPRESS_OFFLINE"), lambda each: each is ABSENT or each is False)
        if off is Answer.ALWAYS or offline is Answer.NO:
            continue
        sure = app[1] and off is Answer.NO and offline is Answer.ALWAYS
        message = "django-compressor makes files while requests are served: COMPRESS_OFFLINE is not True"
        where = settings.where("COMPRESS_OFFLINE", "COMPRESS_ENABLED")
        yield project.bound(where, "FU213", Level.LIKELY if sure else Level.POSSIBLE, message, "COMPRESS_OFFLINE")


def _webassets(project: Project) -> Iterator[Finding]:
    environments = list(project.named(*_ENVIRONMENTS))
    if not environments:
        return
    told: list[Value] = [
        each.value
        for each in project.found
        if isinstance(each, Setting) and each.key in ("auto_build", "ASSETS_AUTO_BUILD")
    ]
    told.extend(entry.value for entry in project.config.entries("ASSETS_AUTO_BUILD"))
    told.extend(call.argument("auto_build") for call in environments if call.node_of("auto_build") is not None)
    # auto_build is True where nothing is told. What a build made is kept where it is newer than its sources.
    answers = [judge(each, lambda one: one is True) for each in told] or [Answer.ALWAYS]
    if Answer.NO in answers:
        return
    built = any(
        "assets" in command.arguments[:2] and "build" in command.arguments for command in project.commands
    ) or any("assets build" in source.text for source in project.tree.named("Dockerfile*", "Makefile", "*.toml"))
    level = Level.POSSIBLE if built else leveled(answers[0], Level.LIKELY)
    for call in environments:
        message = f"{_library(call)} makes bundles while requests are served: auto_build is not False"
        yield project.told(call, "FU213", level, message, owner(call))


def _library(call: Call) -> str:
    return "Flask-Assets" if (call.name or "").startswith("flask_assets") else "webassets"


def _collected(project: Project) -> Iterator[Finding]:
    """`collectstatic` in the line that starts a server: each process makes its own copy before it serves."""
    for command in project.commands:
        if "collectstatic" not in command.arguments or command.role in ("release", "build"):
            continue
        beside = [each for each in project.commands if (each.path, each.line) == (command.path, command.line)]
        script = command.path.endswith(".sh")
        near = [each for each in project.commands if each.path == command.path] if script else beside
        if any(each.program in SERVERS for each in near):
            message = "collectstatic runs in the command that starts the web process"
            yield Finding("FU213", Level.POSSIBLE, command.path, command.line, message, "collectstatic")
