"""When output is coloured."""

from __future__ import annotations

import os
from collections.abc import Mapping


def takes_colour(terminal: bool, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether what stands on a stream that is a `terminal` or none is coloured: not where NO_COLOR is set and not
    empty (no-color.org), nor on a dumb terminal."""
    return terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
