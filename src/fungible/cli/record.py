"""`fungible record`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from fungible.app.load import load_app
from fungible.cli.common import HERE, AppFolder, inherited_environment


def record(
    to: Annotated[
        Path, typer.Option("--to", metavar="FILE", envvar="FUNGIBLE_TO", help="The workload file, .yaml or .json.")
    ],
    app: AppFolder = HERE,
    port: Annotated[
        int,
        typer.Option(
            metavar="PORT", envvar="FUNGIBLE_PORT", min=0, max=65535, help="Port of the proxy; 0 picks a free one."
        ),
    ] = 0,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="FUNGIBLE_URL",
            help="Where the app answers.",
            show_default="the running formation",
        ),
    ] = None,
    assets: Annotated[
        bool, typer.Option("--assets/--no-assets", envvar="FUNGIBLE_ASSETS", help="Record static files, too.")
    ] = True,
) -> int:
    """Stand in front of the running formation and write what is sent to it as a workload, until Ctrl-C.

    The first line on stdout is the address to use instead of the app's own.
    """
    from fungible.verify.record.record import Options
    from fungible.verify.record.record import record as run_record

    loaded = None if url is not None else load_app(app, need_types=False)
    return asyncio.run(run_record(loaded, Options(to, port, url, assets), inherited_environment()))
