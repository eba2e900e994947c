"""`fungible verify`: from an app and its workloads to findings, a report and an exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.app.model import App
from fungible.app.problem import Exit, Problem
from fungible.verify.experiment import Experiment, Wishes
from fungible.verify.findings import Findings
from fungible.verify.ground import prepare_ground
from fungible.verify.laboratory import Laboratory
from fungible.verify.report import to_json, to_text
from fungible.verify.workload import load_workload

_TONES = {"red": "31;1", "green": "32;1", "yellow": "33", "dim": "2", "bold": "1"}
CODES = {"no_difference": Exit.DONE, "stateful": Exit.NO, "not_judged": Exit.NOT_JUDGED}


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    workloads: tuple[Path, ...]
    format: str
    wishes: Wishes


async def verify(app: App, options: Options, operating_system: Mapping[str, str]) -> int:
    """Run the experiment for every workload and print the report; the exit code of the contract.

    Raises Problem for bad input and for what the environment does not allow; then nothing is on stdout.
    """
    paths = options.workloads or tuple(app.folder / path for path in app.settings.verify.workload)
    if not paths:
        raise Problem(
            "no workload: name a file (fungible verify workload.yaml), set `workload` under [tool.fungible.verify], "
            "or make one with fungible record"
        )
    workloads = [load_workload(path) for path in paths]
    progress = _Progress(sys.stderr.isatty())
    found: list[Findings] = []
    async with prepare_ground(app, operating_system, say=progress) as ground:
        for workload in workloads:
            laboratory = Laboratory(ground)
            found.append(await Experiment(laboratory, workload, options.wishes, say=progress).run())
    progress.clear()
    if options.format == "json":
        documents = [to_json(each) for each in found]
        sys.stdout.write(json.dumps(documents[0] if len(documents) == 1 else documents, indent=1) + "\n")
    else:
        sys.stdout.write("\n".join(to_text(each, _painter()) for each in found))
    return worst(found)


def worst(found: list[Findings]) -> int:
    """A difference goes before not judged, not judged before none."""
    codes = {CODES[each.verdict] for each in found}
    return next((code for code in (Exit.NO, Exit.NOT_JUDGED) if code in codes), Exit.DONE)


def _painter() -> Callable[[str, str], str]:
    if not sys.stdout.isatty():
        return lambda text, _: text
    return lambda text, tone: f"\x1b[{_TONES[tone]}m{text}\x1b[0m"


class _Progress:
    """One line that says what goes on, on a terminal; plain lines elsewhere."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal

    def __call__(self, text: str) -> None:
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{text}")
        else:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def clear(self) -> None:
        """Remove the line."""
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
