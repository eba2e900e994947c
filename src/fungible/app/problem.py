"""What goes wrong and is not our bug: one sentence for the user, and the exit code that goes with it."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of every command (documented in docs/running.md)."""

    DONE = 0
    NO = 1
    BAD_INPUT = 2
    NOT_ALLOWED = 3
    NOT_JUDGED = 4
    INTERRUPTED = 130


class Problem(Exception):
    """Something that the user can mend; shown as one sentence, never as a traceback.

    `message` says what is wrong, where (file:line or field) and how to mend it. `exit` is the exit code of
    the command that meets it: `BAD_INPUT` for a wrong file, option or value, `NOT_ALLOWED` where this machine
    or the environment refuses.
    """

    def __init__(self, message: str, exit: Exit = Exit.BAD_INPUT) -> None:
        super().__init__(message)
        self.message = message
        self.exit = exit
