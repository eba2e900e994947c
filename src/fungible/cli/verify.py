"""`fungible verify`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from fungible.app.load import load_app
from fungible.app.problem import Problem
from fungible.app.quantity import parse_duration
from fungible.cli.common import HERE, AppFolder, Isolation, Web
from fungible.runtime.start import inherited_environment

FORMATS = ("text", "json", "sarif", "junit")
MODES = ("auto", "fork", "boot")


def verify(
    workloads: Annotated[list[Path] | None, typer.Argument(metavar="[WORKLOAD]...", help="Workload files.")] = None,
    app: AppFolder = HERE,
    web: Web = None,
    format: Annotated[str, typer.Option("--format", envvar="FUNGIBLE_FORMAT", help="text or json.")] = "text",
    json: Annotated[bool, typer.Option("--json", envvar="FUNGIBLE_JSON", help="The same as --format json.")] = False,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", envvar="FUNGIBLE_BUDGET", help="Stop adding worlds after this time.")
    ] = None,
    mode: Annotated[str, typer.Option(envvar="FUNGIBLE_MODE", help="auto, fork or boot.")] = "auto",
    no_masks: Annotated[bool, typer.Option("--no-masks", help="Leave the split worlds out.")] = False,
    isolation: Isolation = None,
) -> int:
    """Run the app's own traffic in many worlds, and say whether it keeps state in its processes, and where."""
    from fungible.verify.experiment import Wishes
    from fungible.verify.verify import Options
    from fungible.verify.verify import verify as run_verify

    if format not in FORMATS:
        raise Problem(f"--format {format}: use one of {', '.join(FORMATS)}")
    if mode not in MODES:
        raise Problem(f"--mode {mode}: use one of {', '.join(MODES)}")
    seconds = None
    if budget is not None:
        try:
            seconds = parse_duration(budget)
        except ValueError as error:
            raise Problem(f"--budget {budget}: {error}") from None
    loaded = load_app(app, web=web, options={"isolation": isolation})
    options = Options(
        workloads=tuple(workloads or ()),
        format="json" if json else format,
        wishes=Wishes(budget=seconds, masks=not no_masks),
    )
    return asyncio.run(run_verify(loaded, options, inherited_environment()))
