"""`fungible check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fungible.app.problem import Exit, Problem
from fungible.cli.common import HERE, AppFolder


def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Files or folders; the app's folder otherwise.")
    ] = None,
    app: AppFolder = HERE,
    format: Annotated[
        str, typer.Option("--format", metavar="FORMAT", envvar="FUNGIBLE_FORMAT", help="text, json, sarif or github.")
    ] = "text",
    json: Annotated[bool, typer.Option("--json", envvar="FUNGIBLE_JSON", help="The same as --format json.")] = False,
    level: Annotated[
        str,
        typer.Option(
            metavar="LEVEL", envvar="FUNGIBLE_LEVEL", help="Show what is at least certain, likely or possible."
        ),
    ] = "likely",
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="FUNGIBLE_BASELINE",
            help="Accept the findings that this file knows: exit 0 when there is no other.",
        ),
    ] = None,
    update_baseline: Annotated[
        bool,
        typer.Option(
            "--update-baseline",
            envvar="FUNGIBLE_UPDATE_BASELINE",
            help="Write what is found now to the file of --baseline, and accept it.",
        ),
    ] = False,
    explain: Annotated[
        str | None, typer.Option(metavar="RULE", help="Print what a rule means, with an example, and do no more.")
    ] = None,
) -> int:
    """Find state that processes would keep, in source, settings and manifests, without running anything."""
    from fungible.check.catalogue import rule_named
    from fungible.check.command import FORMATS, Options, run
    from fungible.check.finding import Level
    from fungible.check.report import explained

    if explain is not None:
        typer.echo(explained(rule_named(explain)), nl=False)
        return Exit.DONE
    if format not in FORMATS:
        raise Problem(f"--format {format}: use one of {', '.join(FORMATS)}")
    if level not in list(Level):
        raise Problem(f"--level {level}: use one of {', '.join(reversed(Level))}")
    if update_baseline and baseline is None:
        raise Problem("--update-baseline needs the file: --baseline FILE")
    options = Options(tuple(paths or ()), "json" if json else format, Level(level), baseline, update_baseline)
    return run(app, options)
