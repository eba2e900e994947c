"""`fungible verify`: from an app and its workloads to findings, a report and an exit code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fungible.app.checkout import place_in_checkout
from fungible.app.model import App
from fungible.app.problem import Exit, Problem
from fungible.app.terminal import Progress, put_out, takes_colour
from fungible.services.place import write_whole
from fungible.verify.experiment import Experiment, Wishes
from fungible.verify.findings import Findings
from fungible.verify.record.command import check_command, record_command, unjudged
from fungible.verify.report import mask_of, redact, to_html, to_json, to_junit, to_sarif, to_text
from fungible.verify.report.baseline import accept, baseline_text, mended, read_baseline
from fungible.verify.report.fingerprint import fingerprint
from fungible.verify.report.save import TEST_MARK, minimal_text, minimal_workload, numbered, saved_test
from fungible.verify.report.text import Paint, unpainted
from fungible.verify.workload.file import Workload, load_workload
from fungible.verify.world.ground import prepare_ground
from fungible.verify.world.laboratory import Laboratory

_TONES = {"red": "31;1", "green": "32;1", "yellow": "33", "dim": "2", "bold": "1"}
CODES = {"no_difference": Exit.DONE, "stateful": Exit.NO, "not_judged": Exit.NOT_JUDGED}


@dataclass(frozen=True)
class Options:
    """What the command line says. `web` is the command that it gave in place of the Procfile's, `disposable` the
    config vars whose stores may be written."""

    workloads: tuple[Path, ...]
    format: str
    wishes: Wishes
    report: Path | None = None
    save_minimal: Path | None = None
    save_test: Path | None = None
    baseline: Path | None = None
    update_baseline: bool = False
    web: str | None = None
    command: tuple[str, ...] = ()
    disposable: tuple[str, ...] = ()


async def verify(app: App, options: Options, operating_system: Mapping[str, str]) -> int:
    """Run the experiment for every workload and print the report; the exit code of the contract.

    Raises Problem for bad input and for what the environment does not allow; then nothing is on stdout.
    """
    settings = () if options.command else app.settings.verify.workload
    paths = options.workloads or tuple(app.folder / path for path in settings)
    if not paths and not options.command:
        raise Problem(
            "no workload: name a file (fungible verify workload.yaml), set `workload` under [tool.fungible.verify], "
            "make one with fungible record, or name a command that tests the app at $FUNGIBLE_URL "
            "(fungible verify -- pytest tests/e2e)"
        )
    workloads = [load_workload(path) for path in paths]
    _check_targets(options)
    if options.command:
        check_command(options.command, operating_system)
    reads = options.baseline is not None and not options.update_baseline
    known = read_baseline(options.baseline) if reads and options.baseline is not None else frozenset()
    progress = Progress(sys.stderr.isatty())
    found: list[Findings] = []
    told: list[Findings] = []
    async with prepare_ground(app, operating_system, disposable=options.disposable, say=progress) as ground:
        environment = ground.given.environment(dict(ground.lanes[0].urls))
        tested = None
        if options.command:
            tested = await record_command(ground, options.command, operating_system, say=progress)
            workloads.append(tested.workload)
        for workload in workloads:
            laboratory = Laboratory(ground)
            if tested is not None and tested.reasons and workload is tested.workload:
                raw = unjudged(ground, tested)
            else:
                raw = await Experiment(laboratory, workload, options.wishes, say=progress).run()
            raw = replace(raw, warnings=(*raw.warnings, *ground.warnings()))
            raw = replace(raw, workload=raw.workload or workload, source=_source(workload, app.folder))
            found.append(raw)
            told.append(redact(raw, mask_of(environment, raw.workload, app.folder)))
    progress.clear()
    if options.update_baseline and all(each.verdict != "not_judged" for each in told):
        known = frozenset(fingerprint(difference) for each in told for difference in each.differences)
    told = [accept(each, known) for each in told]
    for line in _write_files(app, options, found, told):
        sys.stderr.write(f"{line}\n")
    for gone in mended(told, known):
        if all(each.verdict != "not_judged" for each in told):
            sys.stderr.write(
                f"not found any more: {' '.join(gone)}; --update-baseline takes it out of the baseline\n"
            )
    terminal = sys.stdout is not None and sys.stdout.isatty()
    put_out(_rendered(app, options.format, told, painter(terminal, operating_system)))
    return worst(told)


def worst(found: Sequence[Findings]) -> int:
    """A difference that no baseline knows goes before not judged, not judged before none."""
    if any(not difference.known for each in found for difference in each.differences):
        return Exit.NO
    return Exit.NOT_JUDGED if any(each.verdict == "not_judged" for each in found) else Exit.DONE


def painter(terminal: bool, environment: Mapping[str, str]) -> Paint:
    """Colours on a terminal that takes them."""
    if not takes_colour(terminal, environment):
        return unpainted
    return lambda text, tone: f"\x1b[{_TONES[tone]}m{text}\x1b[0m"


def _source(workload: Workload, folder: Path) -> str | None:
    """The workload's file as the report names it: within the app's folder, or its name alone."""
    if workload.path is None:
        return None
    path = workload.path.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _rendered(app: App, format: str, told: Sequence[Findings], paint: Paint) -> str:
    if format == "json":
        documents = [to_json(each) for each in told]
        return json.dumps(documents[0] if len(documents) == 1 else documents, indent=1) + "\n"
    if format == "sarif":
        prefix = place_in_checkout(app.folder)
        log = to_sarif(told, own=lambda path: (app.folder / path).is_file(), prefix=prefix)
        return json.dumps(log, indent=1) + "\n"
    if format == "junit":
        return to_junit(told)
    return "\n".join(to_text(each, paint) for each in told)


def _check_targets(options: Options) -> None:
    """Whether the files can be written, before the experiment takes its time."""
    baseline = options.baseline if options.update_baseline else None
    for flag, path in (
        ("--report", options.report),
        ("--save-minimal", options.save_minimal),
        ("--save-test", options.save_test),
        ("--baseline", baseline),
    ):
        if path is None:
            continue
        if path.is_dir():
            raise Problem(f"{flag} {path}: this is a folder; name a file")
        if not path.parent.is_dir():
            raise Problem(f"{flag} {path}: there is no folder {path.parent}; make it first")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise Problem(f"{flag} {path}: this cannot be written")
    if options.save_minimal is not None and options.save_minimal.suffix.lower() == ".har":
        raise Problem(f"--save-minimal {options.save_minimal}: a workload is written as .yaml or .json")
    if options.save_test is not None and options.save_test.exists() and not _is_ours(options.save_test):
        raise Problem(f"--save-test {options.save_test}: there is another file; name a new one")


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(TEST_MARK)) == TEST_MARK.encode()
    except OSError:
        return False


def _write_files(app: App, options: Options, found: Sequence[Findings], told: Sequence[Findings]) -> list[str]:
    """Write what was asked for; returns what to say about it."""
    said = []
    if options.report is not None:
        _write(options.report, to_html(told))
        said.append(f"report written: {options.report}")
    if options.update_baseline and options.baseline is not None:
        if any(each.verdict == "not_judged" for each in told):
            said.append(f"{options.baseline} is left as it is, since not everything was judged")
        else:
            _write(options.baseline, baseline_text(told))
            said.append(f"baseline written: {options.baseline}")
    cases = [
        (difference, minimal_workload(raw.workload, difference.case.kept, raw.variables))
        for raw, shown in zip(found, told, strict=True)
        if raw.workload is not None
        for difference in shown.differences
        if not difference.known or options.update_baseline
    ]
    if options.save_minimal is not None:
        for number, (difference, workload) in enumerate(cases, start=1):
            path = numbered(options.save_minimal, number)
            _write(path, minimal_text(difference, workload, path.name))
            said.append(f"minimal workload written: {path}")
    if options.save_test is not None and cases:
        way = Path(os.path.relpath(app.folder, options.save_test.resolve().parent)).as_posix()
        _write(options.save_test, saved_test(cases, way, options.web))
        said.append(f"test written: {options.save_test}")
    if not cases and (options.save_minimal or options.save_test):
        said.append("no new difference, so there is nothing to save")
    return said


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path.resolve(), text.encode("utf-8", "backslashreplace").decode())
    except OSError as error:
        raise Problem(f"{path}: this cannot be written: {error.strerror or error}") from error
