"""`fungible verify`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from fungible.app.load import load_app
from fungible.app.problem import Exit, Problem
from fungible.app.quantity import parse_duration
from fungible.cli.common import HERE, AppFolder, Isolation, Web, inherited_environment

FORMATS = ("text", "json", "sarif", "junit")
MODES = ("auto", "fork", "boot")
COMMAND = "fungible.command"


class VerifyCommand(TyperCommand):
    """What stands behind `--` is the user's own command, not a workload."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the command out before the options are read."""
        if "--" in args:
            at = args.index("--")
            ctx.meta[COMMAND] = tuple(args[at + 1 :])
            if not ctx.meta[COMMAND]:
                raise Problem("name the command behind `--`, as in: fungible verify -- pytest tests/e2e")
            args = args[:at]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line says so."""
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND ...]"]


def verify(
    context: typer.Context,
    workloads: Annotated[list[Path] | None, typer.Argument(metavar="[WORKLOAD]...", help="Workload files.")] = None,
    app: AppFolder = HERE,
    web: Web = None,
    format: Annotated[
        str, typer.Option("--format", metavar="FORMAT", envvar="FUNGIBLE_FORMAT", help="text, json, sarif or junit.")
    ] = "text",
    json: Annotated[bool, typer.Option("--json", envvar="FUNGIBLE_JSON", help="The same as --format json.")] = False,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", envvar="FUNGIBLE_BUDGET", help="Stop adding worlds after this time.", show_default="6m"
        ),
    ] = None,
    mode: Annotated[str, typer.Option(metavar="MODE", envvar="FUNGIBLE_MODE", help="auto, fork or boot.")] = "auto",
    no_masks: Annotated[bool, typer.Option("--no-masks", help="Leave the split worlds out.")] = False,
    isolation: Isolation = None,
    disposable: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            envvar="FUNGIBLE_DISPOSABLE",
            help="A config var whose store may be written and put back; can be given several times.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", envvar="FUNGIBLE_REPORT", help="Write the report as one HTML file as well."),
    ] = None,
    save_minimal: Annotated[
        Path | None,
        typer.Option(
            "--save-minimal",
            metavar="FILE",
            envvar="FUNGIBLE_SAVE_MINIMAL",
            help="Write the smallest workload that shows the difference (.yaml or .json); further ones to FILE-2 …",
        ),
    ] = None,
    save_test: Annotated[
        Path | None,
        typer.Option(
            "--save-test",
            metavar="FILE",
            envvar="FUNGIBLE_SAVE_TEST",
            help="Write a pytest file that is red until the differences are mended.",
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="FUNGIBLE_BASELINE",
            help="Accept the differences that this file knows: exit 0 when there is no other.",
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
        str | None,
        typer.Option(metavar="CLASS", help="Print how to mend a class that a report names, and do no more."),
    ] = None,
) -> int:
    """Run the app's own traffic in many worlds, and say whether it keeps state in its processes, and where.

    With -- COMMAND the traffic is what that command (pytest tests/e2e) sends to $FUNGIBLE_URL.
    """
    if explain is not None:
        from fungible.verify.report.explanation import explanation

        typer.echo(explanation(explain), nl=False)
        return Exit.DONE

    from fungible.verify.experiment import Wishes
    from fungible.verify.verify import Options
    from fungible.verify.verify import verify as run_verify

    if format not in FORMATS:
        raise Problem(f"--format {format}: use one of {', '.join(FORMATS)}")
    if mode not in MODES:
        raise Problem(f"--mode {mode}: use one of {', '.join(MODES)}")
    if update_baseline and baseline is None:
        raise Problem("--update-baseline needs the file: --baseline FILE")
    try:
        seconds = None if budget is None else parse_duration(budget)
    except ValueError as error:
        raise Problem(f"--budget {budget}: {error}") from None
    loaded = load_app(app, web=web, options={"isolation": isolation})
    options = Options(
        workloads=tuple(workloads or ()),
        format="json" if json else format,
        wishes=Wishes(budget=seconds, masks=not no_masks, mode=mode),
        report=report,
        save_minimal=save_minimal,
        save_test=save_test,
        baseline=baseline,
        update_baseline=update_baseline,
        web=web,
        command=context.meta.get(COMMAND, ()),
        disposable=tuple(disposable or ()),
    )
    return asyncio.run(run_verify(loaded, options, inherited_environment()))
