"""FU211: frameworks for pages that keep a client's session in the process by design."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.settings.commands import Command
from fungible.check.settings.project import Project, owner

FU211 = Rule(
    id="FU211",
    title="the web process keeps its clients' sessions by design",
    why="A client's widgets, uploads and socket live in one process: its next request fails at another, and all of it"
    " is gone when the process ends.",
    mend="Run it as a process type of its own with one process, and keep what must last in a store; or serve the"
    " pages from a framework without server-side sessions.",
    topic="session-in-memory",
    wrong="web: streamlit run app.py --server.port $PORT",
    right="web: gunicorn -b 0.0.0.0:$PORT shop:app",
)
RULES = (FU211,)

_PROGRAMS = {
    "streamlit": "run",
    "panel": "serve",
    "bokeh": "serve",
    "shiny": "run",
    "chainlit": "run",
    "solara": "run",
    "reflex": "run",
    "gradio": "",
    "voila": "",
    "mesop": "",
}
_RUNS = ("nicegui.ui.run", "nicegui.ui.run_with", "gradio.mount_gradio_app", "gradio.routes.mount_gradio_app")
_RUNS_MORE = ("panel.serve", "pn.serve", "chainlit.utils.mount_chainlit", "panel.io.server.serve", "shiny.run_app")
_NOT_SERVING = frozenset({"release", "worker", "clock", "scheduler", "beat", "build", "test", "tests"})


def find(project: Project) -> Iterator[Finding]:
    for command in project.commands:
        wanted = _PROGRAMS.get(command.program)
        if wanted is None or command.role in _NOT_SERVING or (wanted and wanted not in command.arguments[:1]):
            continue
        level = Level.LIKELY if _serves(command) else Level.POSSIBLE
        name = f"{command.program} {wanted}".strip()
        message = f"{f'the process type {command.role}' if command.role else 'the command'} runs {name}"
        yield Finding(
            "FU211", level, command.path, command.line, message, f"{command.role}.{command.program}".strip(".")
        )
    for call in project.named(*_RUNS, *_RUNS_MORE):
        yield project.told(
            call, "FU211", Level.LIKELY, f"{call.name} keeps a client's page in the process", owner(call)
        )
    for call in project.calls:
        if call.method == "launch" and "gradio" in call.module.imports.values() and not call.node.args:
            message = "gradio keeps a client's session and queue in the process"
            yield project.told(call, "FU211", Level.LIKELY, message, owner(call))


def _serves(command: Command) -> bool:
    """A Procfile's or compose file's service, or a Dockerfile's command; a script may be for anything."""
    return not command.path.endswith((".sh", ".bash"))
