"""Joins the verbs, and turns what goes wrong into one sentence and an exit code."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer

from fungible import __version__
from fungible.app.problem import Exit, Problem
from fungible.cli import (
    build,
    check,
    config,
    dashboard,
    deploy,
    doctor,
    export,
    image,
    logs,
    ps,
    record,
    release,
    restart,
    run,
    scale,
    start,
    verify,
)

# Whatever can be wrong with the words on a command line; some versions of Typer bring a Click of their own.
_UsageError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

app = typer.Typer(
    name="fungible",
    help="Execute an app as stateless, share-nothing processes, and verify that it is one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("start")(start.start)
app.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(run.run)
app.command("ps")(ps.ps)
app.command("scale")(scale.scale)
app.command("restart")(restart.restart)
app.command("stop")(restart.stop)
app.command("logs")(logs.logs)
app.command("dashboard")(dashboard.dashboard)
app.add_typer(config.config)
app.command("release")(release.release)
app.command("releases")(release.releases)
app.command("rollback")(release.rollback)
app.command("build")(build.build)
app.command("check")(check.check)
app.command("verify", cls=verify.VerifyCommand)(verify.verify)
app.command("record")(record.record)
app.command("image")(image.image)
app.command("export")(export.export)
app.add_typer(deploy.deploy)
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fungible {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Any process can serve any request."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the code of the documented contract."""
    code = _main(list(sys.argv[1:] if arguments is None else arguments))
    try:
        if sys.stdout is not None:  # as after `>&-`
            sys.stdout.flush()
    except OSError:  # whoever read it has left: that changes nothing of what was done
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def _main(arguments: list[str]) -> int:
    try:
        code = app(arguments, standalone_mode=False)
    except Problem as problem:
        return _say(problem.message, problem.exit)
    except typer.Exit as ended:
        return int(ended.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except _UsageError as error:
        if not arguments:
            sys.stderr.write(f"{error.format_message()}\n")
            return Exit.BAD_INPUT
        return _say(f"{_worded(error.format_message())} (fungible --help)", Exit.BAD_INPUT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.DONE
    except Exception as error:
        if os.environ.get("FUNGIBLE_DEBUG"):
            traceback.print_exc()
        return _say(f"internal error, please report it: {error!r} (FUNGIBLE_DEBUG=1 shows where)", Exit.NOT_ALLOWED)
    return int(code) if isinstance(code, int) else Exit.DONE


def _worded(message: str) -> str:
    """One line, without its full stop; a number and a range are called what people call them."""
    text = re.sub(r"is not a valid int(eger)?( range)?\b", "is not a whole number", " ".join(message.split()))
    return re.sub(r"is not in the range (\d+)<=x<=(\d+)", r"is not between \1 and \2", text).rstrip(".")


def _say(message: str, code: int) -> int:
    sys.stderr.write(f"fungible: {message}\n")
    return code
