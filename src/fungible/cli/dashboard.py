"""`fungible dashboard`."""

from __future__ import annotations

from typing import Annotated

import typer

from fungible.cli.common import HERE, AppFolder, inherited_environment


def dashboard(
    app: AppFolder = HERE,
    port: Annotated[
        int,
        typer.Option(
            envvar="FUNGIBLE_DASHBOARD_PORT", min=0, max=65535, help="Port on this machine; 0 picks a free one."
        ),
    ] = 0,
) -> int:
    """Show the running formation in a browser, until Ctrl-C: who serves what, how fast, what ends and why.

    The first line on stdout is the address to open. Whoever has it can scale and restart.
    """
    import asyncio

    from fungible.control.client import socket_of
    from fungible.control.dashboard.gateway import serve

    socket = socket_of(app, inherited_environment())

    def tell(url: str) -> None:
        print(url, flush=True)  # noqa: T201 - the first line on stdout is the address alone
        typer.echo("open this address in a browser; whoever has it can scale and restart. Ctrl-C ends it", err=True)

    asyncio.run(serve(socket, port, tell=tell))
    return 0
