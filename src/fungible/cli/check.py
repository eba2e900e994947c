"""`fungible check`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from fungible.app.problem import Exit, Problem
from fungible.app.wording import counted
from fungible.cli.common import HERE, AppFolder

FORMATS = ("text", "json", "sarif", "github")


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
    return _run(app, paths or [], "json" if json else format, Level(level), baseline, update_baseline)


def _run(app: Path, paths: list[Path], format: str, level: str, baseline: Path | None, update: bool) -> int:
    from dataclasses import replace
    from json import dumps

    from fungible.app.terminal import takes_colour
    from fungible.check.baseline import baseline_text, read_baseline
    from fungible.check.check import Notice, accept, accepted
    from fungible.check.check import check as run_check
    from fungible.check.finding import Level
    from fungible.check.reading import read
    from fungible.check.report import to_github, to_json, to_sarif, to_text

    if not app.is_dir():
        raise Problem(f"--app {app}: there is no such folder")
    new = baseline is None or (update and not baseline.exists())
    known = frozenset() if new or baseline is None else read_baseline(baseline)
    read_files = read(app, paths)
    with _progress(f"checking {counted(len(read_files.tree.sources), 'file')} ..."):
        result = run_check(read_files.tree, Level(level), known, read_files.within)
    if update and baseline is not None:
        known = accepted(result, known)
        _replace(baseline, baseline_text(known))
        result = accept(result, known, read_files.within)
    result = replace(result, notices=(*map(Notice, read_files.notices), *result.notices))
    if format == "json":
        _print(dumps(to_json(result), ensure_ascii=False) + "\n")
    elif format == "sarif":
        _print(dumps(to_sarif(result, _prefix(app)), ensure_ascii=False, indent=1) + "\n")
    elif format == "github":
        _print(to_github(result, _prefix(app)))
    else:
        text = to_text(
            result, read_files.tree, Level(level), colour=takes_colour(sys.stdout is not None and sys.stdout.isatty())
        )
        _print(text)
    return Exit.NO if result.failed else Exit.DONE


def _print(text: str) -> None:
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Problem(f"the output cannot be written: {error.strerror or error}", Exit.NOT_ALLOWED) from error


def _replace(path: Path, text: str) -> None:
    """Write a file whole, or leave it as it was."""
    target = path.resolve()
    new = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(target)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise Problem(f"{path}: the baseline cannot be written: {error.strerror or error}") from error


@contextmanager
def _progress(text: str) -> Iterator[None]:
    """Say what takes time, while it does, where somebody looks."""
    if not sys.stderr.isatty():
        yield
        return
    sys.stderr.write(text)
    sys.stderr.flush()
    try:
        yield
    finally:
        sys.stderr.write("\r\033[K")
        sys.stderr.flush()


def _prefix(app: Path) -> str:
    """The app's folder as seen from the root of its checkout, with a final `/`; nothing where that is not known."""
    here = app.resolve()
    root = next((each for each in (here, *here.parents) if (each / ".git").exists()), here)
    return "" if root == here else f"{here.relative_to(root).as_posix()}/"
