"""`fungible dashboard`."""

from __future__ import annotations

from typing import Annotated

import typer

from fungible.cli.common import HERE, AppFolder, inherited_environment
from fungible.cli.running import client_of


def dashboard(
    app: AppFolder = HERE,
    port: Annotated[
        int,
        typer.Option(
            metavar="PORT",
            envvar="FUNGIBLE_DASHBOARD_PORT",
            min=0,
            max=65535,
            help="Port on this machine; 0 picks a free one.",
        ),
    ] = 0,
) -> int:
    """Show the running formation in a browser, until Ctrl-C: who serves what, how fast, what ends and why.

    The first line on stdout is the address to open. Whoever has it can scale and restart.
    """
    import asyncio

    from fungible.control.client import socket_of
    from fungible.control.dashboard.gateway import serve
    from fungible.control.stopped import known_app

    environment = inherited_environment()
    runs = client_of(app).is_there
    if not runs:
        known_app(app, environment)
    socket = socket_of(app, environment)

    def tell(url: str) -> None:
        print(url, flush=True)  # noqa: T201 - the first line on stdout is the address alone
        typer.echo("open this address in a browser; whoever has it can scale and restart. Ctrl-C ends it", err=True)
        if not runs:
            typer.echo("no formation of this app runs yet: the page waits for `fungible start`", err=True)

    asyncio.run(serve(socket, port, tell=tell))
    return 0
