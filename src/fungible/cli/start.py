"""`fungible start`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fungible.app.formation import initial_formation, parse_formation
from fungible.app.load import load_app
from fungible.app.model import App
from fungible.cli.common import (
    HERE,
    AppFolder,
    BootTimeout,
    DrainTimeout,
    Isolation,
    MetricsHost,
    MetricsPort,
    StopTimeout,
    Web,
    inherited_environment,
    journey_of,
)


def start(
    formation: Annotated[
        list[str] | None, typer.Argument(metavar="[TYPE=N]...", help="How many of which type.")
    ] = None,
    app: AppFolder = HERE,
    web: Web = None,
    host: Annotated[
        str, typer.Option(metavar="HOST", envvar="FUNGIBLE_HOST", help="Address of the router.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            metavar="PORT", envvar="FUNGIBLE_PORT", min=0, max=65535, help="Port of the router; 0 picks a free one."
        ),
    ] = 5000,
    watch: Annotated[
        bool, typer.Option("--watch", envvar="FUNGIBLE_WATCH", help="Release the app's folder when it changes.")
    ] = False,
    shake: Annotated[
        bool,
        typer.Option("--shake", envvar="FUNGIBLE_SHAKE", help="Replace each web process once it has answered."),
    ] = False,
    isolation: Isolation = None,
    boot_timeout: BootTimeout = None,
    drain_timeout: DrainTimeout = None,
    stop_timeout: StopTimeout = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = None,
    json: Annotated[bool, typer.Option("--json", envvar="FUNGIBLE_JSON", help="Every event as a JSON line.")] = False,
) -> int:
    """Build if needed, release, and run the formation until Ctrl-C.

    The first line on stdout is the URL; logs and events go to stderr.
    """
    import asyncio

    from fungible.control.api import attend
    from fungible.runtime.start import Options
    from fungible.runtime.start import start as run_formation

    settings = {
        "isolation": isolation,
        "boot_timeout": boot_timeout,
        "drain_timeout": drain_timeout,
        "stop_timeout": stop_timeout,
        "metrics_port": metrics_port,
        "metrics_host": metrics_host,
    }

    def load(folder: Path) -> App:
        return load_app(folder, web=web, options=settings)

    loaded = load(app)
    counts = initial_formation(parse_formation(formation or [], loaded.types, loaded.singletons), loaded.types)
    if web is not None and "Procfile" not in loaded.sources:
        typer.echo(f"to keep it, write this line into a file called Procfile:\nweb: {web.strip()}", err=True)
    options = Options(counts, host, port, json, watch, shake)
    environment = inherited_environment()
    return asyncio.run(run_formation(loaded, options, environment, load=load, attend=attend, plan=journey_of))
