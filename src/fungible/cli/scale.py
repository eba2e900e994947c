"""`fungible scale`."""

from __future__ import annotations

from typing import Annotated

import typer

from fungible.cli.common import HERE, AppFolder, Json
from fungible.cli.running import Engine, NoWait, on_swarm, operate, show


def scale(
    formation: Annotated[list[str], typer.Argument(metavar="TYPE=N...", help="How many of which type.")],
    app: AppFolder = HERE,
    engine: Engine = None,
    no_wait: NoWait = False,
    json: Json = False,
) -> int:
    """Change how many processes of a type run, until the formation ends."""
    if (there := on_swarm(app, engine)) is not None:
        from fungible.app.formation import parse_formation
        from fungible.engines.swarm.formation import scale as scale_there
        from fungible.engines.swarm.settling import settle

        told = scale_there(there.name, parse_formation(formation, there.types, there.singletons))
        if not no_wait:
            settle(there.name, lambda text: typer.echo(text, err=True))
        show({"message": told}, told, as_json=json)
        return 0
    return operate(app, "/v1/scale", {"formation": formation}, as_json=json, wait=not no_wait)
