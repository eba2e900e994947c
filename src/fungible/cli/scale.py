"""`fungible scale`."""

from __future__ import annotations

from typing import Annotated

import typer

from fungible.cli.common import HERE, AppFolder, Json
from fungible.cli.running import NoWait, operate


def scale(
    formation: Annotated[list[str], typer.Argument(metavar="TYPE=N...", help="How many of which type.")],
    app: AppFolder = HERE,
    no_wait: NoWait = False,
    json: Json = False,
) -> int:
    """Change how many processes of a type run, until the formation ends."""
    return operate(app, "/v1/scale", {"formation": formation}, as_json=json, wait=not no_wait)
