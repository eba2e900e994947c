"""What stands on a terminal: when it is coloured, a line that says what goes on, and output that must arrive."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from fungible.app.problem import Exit, Problem


def takes_colour(terminal: bool, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether what stands on a stream that is a `terminal` or none is coloured: not where NO_COLOR is set and not
    empty (no-color.org), nor on a dumb terminal."""
    return terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


class Progress:
    """One line on stderr that says what goes on, on a terminal; plain lines elsewhere."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal

    def __call__(self, text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text}" if self._terminal else f"{text}\n")
        sys.stderr.flush()

    def clear(self) -> None:
        """Remove the line."""
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def put_out(text: str) -> None:
    """Write to stdout, all of it now; nothing where it is closed. Raises `Problem` where it takes no more (a full
    disk), and BrokenPipeError where whoever read it has left."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Problem(f"the output cannot be written: {error.strerror or error}", Exit.NOT_ALLOWED) from error
