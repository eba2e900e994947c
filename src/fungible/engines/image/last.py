"""The image that was made last: what an export names where nobody names one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from fungible.services.place import write_private

_FILE = "image.json"


@dataclass(frozen=True)
class Last:
    """The references of the app's image and of the router's."""

    image: str
    router: str


def remember(state: Path, last: Last) -> None:
    """Keep it in the app's state folder. Raises OSError."""
    write_private(state / _FILE, json.dumps(asdict(last)) + "\n")


def last_image(state: Path) -> Last | None:
    """What was kept; None where nothing readable was."""
    try:
        return Last(**json.loads((state / _FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
