"""`fungible logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from fungible.app.problem import Problem
from fungible.cli.common import HERE, AppFolder
from fungible.cli.running import Engine, client_of, on_swarm


def logs(
    name: Annotated[str | None, typer.Argument(metavar="[TYPE or NAME]", help="A type, or a process.")] = None,
    app: AppFolder = HERE,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", envvar="FUNGIBLE_FOLLOW", help="Go on as more comes.")
    ] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", envvar="FUNGIBLE_LINES", min=0, max=5000, help="How many of the last.")
    ] = 100,
    engine: Engine = None,
    json: Annotated[bool, typer.Option("--json", envvar="FUNGIBLE_JSON", help="Every event as a JSON line.")] = False,
) -> int:
    """Show the last lines of the running formation's log."""
    if (there := on_swarm(app, engine)) is not None:
        from fungible.engines.swarm.formation import show_logs

        if json:
            raise Problem("--json: Swarm keeps lines of text, not events; leave it out")
        return show_logs(there.name, name, follow=follow, lines=lines)
    from fungible.control.log_lines import show_lines

    query = {"lines": str(lines), "follow": str(int(follow)), "people": str(int(not json))}
    query |= {"name": name} if name else {}
    show_lines(client_of(app).follow("/v1/logs", **query), as_json=json)
    return 0
