"""`fungible run`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from fungible.app.load import load_app
from fungible.cli.common import HERE, AppFolder, Isolation
from fungible.runtime.run import run_command
from fungible.runtime.start import inherited_environment


def run(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The program and its arguments.")],
    app: AppFolder = HERE,
    isolation: Isolation = None,
) -> int:
    """Run a one-off process in the app's environment and sandbox; its exit code is ours."""
    loaded = load_app(app, options={"isolation": isolation}, need_types=False)
    return asyncio.run(run_command(loaded, tuple(command), inherited_environment()))
