"""What the proof by booting found, noted beside the build: the same build is not booted again."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass

from fungible.app.model import ProcessType
from fungible.build.store import Build

_PROVED = "boot.json"


@dataclass(frozen=True)
class Boot:
    """How many pages were fetched, and how many files that they load; what could not be judged, a line each. `reused`
    where this build has been proved before."""

    pages: int
    assets: int
    unproved: tuple[str, ...] = ()
    reused: bool = False


def known_boot(build: Build, web: ProcessType) -> Boot | None:
    """What was found of this build with this command, None where it has not been booted."""
    try:
        data = json.loads((build.content.parent / _PROVED).read_text())
        if (data["command"], data["ready"]) != (web.command, web.ready):
            return None
        return Boot(data["pages"], data["assets"], tuple(data["unproved"]), True)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note_boot(build: Build, web: ProcessType, boot: Boot) -> None:
    """Note what was found."""
    with contextlib.suppress(OSError):
        text = json.dumps({"command": web.command, "ready": web.ready, **asdict(boot)})
        (build.content.parent / _PROVED).write_text(text)
