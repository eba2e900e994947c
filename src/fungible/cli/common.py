"""Options that several verbs take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fungible.app.model import App
    from fungible.runtime.build.journey import Journey

AppFolder = Annotated[
    Path,
    typer.Option("--app", metavar="DIR", envvar="FUNGIBLE_APP", help="The app's folder.", show_default="current"),
]
Json = Annotated[bool, typer.Option("--json", envvar="FUNGIBLE_JSON", help="One JSON document on stdout.")]
Isolation = Annotated[
    str | None,
    typer.Option(
        "--isolation",
        metavar="LEVEL",
        envvar="FUNGIBLE_ISOLATION",
        help="auto, full, copy, readonly, scratch or none.",
    ),
]
BootTimeout = Annotated[
    str | None,
    typer.Option(metavar="TIME", envvar="FUNGIBLE_BOOT_TIMEOUT", help="How long a process may take to be ready."),
]
DrainTimeout = Annotated[
    str | None,
    typer.Option(metavar="TIME", envvar="FUNGIBLE_DRAIN_TIMEOUT", help="How long it may finish what it has."),
]
StopTimeout = Annotated[
    str | None,
    typer.Option(metavar="TIME", envvar="FUNGIBLE_STOP_TIMEOUT", help="How long it may take to stop, before KILL."),
]
MetricsPort = Annotated[
    str | None,
    typer.Option(
        metavar="PORT", envvar="FUNGIBLE_METRICS_PORT", help="Where Prometheus may ask; 0 picks a free one."
    ),
]
MetricsHost = Annotated[
    str | None,
    typer.Option(metavar="HOST", envvar="FUNGIBLE_METRICS_HOST", help="Address of that port; 127.0.0.1 otherwise."),
]
Web = Annotated[
    str | None,
    typer.Option("--web", metavar="COMMAND", envvar="FUNGIBLE_WEB", help="The web command, without a Procfile."),
]
HERE = Path()


def journey_of(app: App) -> Journey | None:
    """What the app's workload does, for the proof of a build."""
    from fungible.verify.journey import journey_of  # of no use where nothing is proved

    return journey_of(app)


def inherited_environment() -> dict[str, str]:
    """The operating system's environment, as processes inherit it."""
    return dict(os.environ)
