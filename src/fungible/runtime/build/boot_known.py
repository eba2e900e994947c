"""What the proof by booting found, noted beside the build, and beside a release of it: neither is booted again."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from fungible.app.model import ProcessType

_PROVED = "boot.json"


@dataclass(frozen=True)
class Boot:
    """How many pages were looked at, and how many files that they load; what could not be judged, a line each.
    `reused` where this build has been proved before; `requests` are those of a workload."""

    pages: int
    assets: int
    unproved: tuple[str, ...] = ()
    reused: bool = False
    requests: int = 0


def known_boot(content: Path, web: ProcessType, *, ours: bool) -> Boot | None:
    """What was found of the build in `content` with this command, None where it has not been booted. Where all its
    stores are `ours` to write to, more is proved: what was found without does not do."""
    try:
        data = json.loads((content.parent / _PROVED).read_text())
        if (data["command"], data["ready"]) != (web.command, web.ready) or (ours and not data["ours"]):
            return None
        return Boot(data["pages"], data["assets"], tuple(data["unproved"]), True, data["requests"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note_boot(content: Path, web: ProcessType, boot: Boot, *, ours: bool) -> None:
    """Note what was found."""
    with contextlib.suppress(OSError):
        text = json.dumps({"command": web.command, "ready": web.ready, "ours": ours, **asdict(boot)})
        (content.parent / _PROVED).write_text(text)


def carry_boot(content: Path, to: Path) -> None:
    """Keep what was found of the build in `content` beside the release in `to`: it may last longer."""
    with contextlib.suppress(OSError):
        shutil.copyfile(content.parent / _PROVED, to.parent / _PROVED)
