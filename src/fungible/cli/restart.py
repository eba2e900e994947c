"""`fungible restart` and `fungible stop`."""

from __future__ import annotations

from typing import Annotated

import typer

from fungible.cli.common import HERE, AppFolder, Json
from fungible.cli.running import NoWait, client_of, operate, show


def restart(
    name: Annotated[str | None, typer.Argument(metavar="[TYPE or NAME]", help="A type, or a process.")] = None,
    app: AppFolder = HERE,
    no_wait: NoWait = False,
    json: Json = False,
) -> int:
    """Replace processes, each when its successor is ready: all, those of a type, or one (web.1)."""
    return operate(app, "/v1/restart", {"name": name}, as_json=json, wait=not no_wait)


def stop(app: AppFolder = HERE, json: Json = False) -> int:
    """Stop the formation; returns when it has ended."""
    client_of(app).stop()
    show({"message": "stopped"}, "stopped", as_json=json)
    return 0
