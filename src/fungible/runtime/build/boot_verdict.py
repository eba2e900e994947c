"""What is said of a process that does not do without a packager or a writable disk. Pure, but for the notes of who
asked for a packager."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.app.wording import few, plain
from fungible.runtime.build.packagers_off import PackagersOff
from fungible.runtime.process.step import StepFailed

_REFUSED = re.compile(r"(?:Permission denied|EACCES)\b.*'([^']+)'")
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


def check_called(off: PackagersOff) -> None:
    """Raises Problem where a packager was asked for."""
    name = off.first_called()
    if name is not None:
        raise Problem(
            f"proof: the web process runs `{name}` while it serves: let a build command do that, and serve what it "
            "writes",
            Exit.NO,
        )


def check_disk(failed: Sequence[str], lines: Iterable[str], folder: Path) -> None:
    """Raises Problem where pages `failed` for the disk is read-only: they would work once on a disk of a process's
    own. `lines` are the process's output, `folder` is the app's."""
    where = wrote_at(lines, folder)
    if where is not None and failed:
        raise Problem(
            f"proof: GET {plain(failed[0])} fails on a read-only disk: {where} writes into the app's folder while a "
            "page is made. Let a build command write that, or keep it in a backing service",
            Exit.NO,
        )


def needs_disk(what: str, instead: str, wrote: Sequence[str]) -> Problem:
    """What to say of that which is done only where the process may write, and has written these files: `what` is so
    on a read-only disk, and what `instead` elsewhere."""
    return Problem(
        f"proof: {what} on a read-only disk, and {instead} where the app may write {few(wrote)}: let a build command "
        "write that, or keep it in a backing service",
        Exit.NO,
    )


def writes_at_boot(where: str) -> Problem:
    """What to say of a process that never answered, for the disk took no writes."""
    return Problem(
        f"proof: the web process does not boot from the build: {where} writes into the app's folder, which no "
        "process may rely on: let a build command write there",
        Exit.NO,
    )


def no_boot(how: str, instance: str) -> StepFailed:
    """What to say of the process `instance` that never answered; `how` it came to that."""
    return StepFailed(f"proof: the web process does not boot from the build: it {how}", Exit.NO, instance)


def wrote_at(lines: Iterable[str], folder: Path) -> str | None:
    """Where the app's own code was when the disk refused to be written to, by the last traceback that says so;
    `folder` is where the process sees the app. Below level full the refusal is Landlock's: of a path in it."""
    place, found = "the app", None
    for line in lines:
        match = _FRAME.search(line)
        if match is not None and match[1].startswith(f"{folder}/") and "/site-packages/" not in match[1]:
            place = f"{match[1][len(str(folder)) + 1 :]}:{match[2]}"
        elif "Read-only file system" in line or "EROFS" in line or _is_refused_in(line, folder):
            found = place
    return found


def _is_refused_in(line: str, folder: Path) -> bool:
    match = _REFUSED.search(line)
    return match is not None and (not match[1].startswith("/") or match[1].startswith(f"{folder}/"))
