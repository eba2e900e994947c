"""`fungible run`."""

from __future__ import annotations

from typing import Annotated

import typer

from fungible.app.load import load_app
from fungible.app.problem import Problem
from fungible.app.wording import nearest
from fungible.cli.common import HERE, AppFolder, Isolation, inherited_environment


def run(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The program and its arguments.")],
    app: AppFolder = HERE,
    type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="A process type: run with its port, socket and limits.")
    ] = None,
    isolation: Isolation = None,
) -> int:
    """Run a one-off process in the app's environment and sandbox; its exit code is ours."""
    import asyncio

    from fungible.runtime.run import run_command

    loaded = load_app(app, options={"isolation": isolation}, need_types=type is not None)
    if type is not None and type not in loaded.types:
        raise Problem(f"--type {type}: there is no such process type.{nearest(type, loaded.types)}")
    return asyncio.run(run_command(loaded, tuple(command), inherited_environment(), loaded.types.get(type or "")))
