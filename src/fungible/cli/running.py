"""What the verbs that speak to a running formation share."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fungible.app.load import load_app
from fungible.app.problem import Problem
from fungible.app.wording import plain
from fungible.cli.common import inherited_environment

if TYPE_CHECKING:
    from fungible.app.model import App
    from fungible.control.client import Client

NoWait = Annotated[
    bool, typer.Option("--no-wait", envvar="FUNGIBLE_NO_WAIT", help="Return at once, not when the roll has ended.")
]


Engine = Annotated[
    str | None,
    typer.Option(
        "--engine", metavar="ENGINE", envvar="FUNGIBLE_ENGINE", help="swarm: the one that was deployed there."
    ),
]


def on_swarm(app: Path, engine: str | None) -> App | None:
    """The app where its formation on Swarm is meant, None for the one on this machine. Raises Problem for another
    engine."""
    if engine is None:
        return None
    if engine != "swarm":
        raise Problem(f"--engine {plain(engine)}: swarm is the one that is known here")
    return load_app(app, need_types=False)


def client_of(app: Path) -> Client:
    """The client of the formation of the app in this folder."""
    from fungible.control.client import Client, socket_of

    return Client(socket_of(app, inherited_environment()))


def operate(app: Path, path: str, body: Mapping[str, Any], *, as_json: bool, wait: bool) -> int:
    """Ask for an operation and say what came of it; where it failed, with the last lines of what is to blame. Who
    waits at a terminal sees how far it is."""
    from fungible.control.client import Refused
    from fungible.control.progress import told_meanwhile

    client = client_of(app)
    try:
        with told_meanwhile(client, sys.stderr) if wait and not as_json else contextlib.nullcontext():
            document = client.post(path, {**body, "wait": wait})
    except Refused as refused:
        for line in refused.log:
            sys.stderr.write(f"| {line}\n")
        raise
    show(document, str(document["message"]), as_json=as_json)
    return 0


def show(document: object, text: str, *, as_json: bool) -> None:
    """A document on stdout, or what people read of it."""
    typer.echo(json.dumps(document, ensure_ascii=False) if as_json else text)
