"""`fungible check`: from a folder to what is shown, and an exit code."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from fungible.app.checkout import place_in_checkout
from fungible.app.problem import Exit, Problem
from fungible.app.terminal import Progress, put_out, takes_colour
from fungible.app.wording import counted
from fungible.check.baseline import baseline_text, read_baseline
from fungible.check.check import Notice, Result, accept, accepted, check
from fungible.check.finding import Level
from fungible.check.reading import read
from fungible.check.report import to_github, to_json, to_sarif, to_text
from fungible.check.tree import Tree
from fungible.services.place import write_whole

FORMATS = ("text", "json", "sarif", "github")


@dataclass(frozen=True)
class Options:
    """What the command line says; `paths` are of the user's folder, and narrow down what is shown."""

    paths: tuple[Path, ...]
    format: str
    level: Level
    baseline: Path | None = None
    update_baseline: bool = False


def run(app: Path, options: Options) -> int:
    """Check a folder and print what is found; the exit code of the contract.

    Raises `Problem` for bad input; then nothing is on stdout.
    """
    if not app.is_dir():
        raise Problem(f"--app {app}: there is no such folder")
    baseline = options.baseline
    new = baseline is None or (options.update_baseline and not baseline.exists())
    known = frozenset() if new or baseline is None else read_baseline(baseline)
    files = read(app, options.paths)
    progress = Progress(True) if sys.stderr is not None and sys.stderr.isatty() else None
    if progress is not None:
        progress(f"checking {counted(len(files.tree.sources), 'file')} ...")
    result = check(files.tree, options.level, known, files.within)
    if progress is not None:
        progress.clear()
    if options.update_baseline and baseline is not None:
        known = accepted(result, known)
        try:
            write_whole(baseline.resolve(), baseline_text(known))
        except OSError as error:
            raise Problem(f"{baseline}: the baseline cannot be written: {error.strerror or error}") from error
        result = accept(result, known, files.within)
    result = replace(result, notices=(*map(Notice, files.notices), *result.notices))
    put_out(_rendered(app, options, result, files.tree))
    return Exit.NO if result.failed else Exit.DONE


def _rendered(app: Path, options: Options, result: Result, tree: Tree) -> str:
    prefix = f"{place_in_checkout(app)}/".lstrip("/")
    if options.format == "json":
        return json.dumps(to_json(result), ensure_ascii=False) + "\n"
    if options.format == "sarif":
        return json.dumps(to_sarif(result, prefix), ensure_ascii=False, indent=1) + "\n"
    if options.format == "github":
        return to_github(result, prefix)
    colour = takes_colour(sys.stdout is not None and sys.stdout.isatty())
    return to_text(result, tree, options.level, colour=colour)
