"""Text files that users write by hand, as lines: what every one of them refuses, refused in one place."""

from __future__ import annotations

from fungible.app.problem import Problem

MAX_TEXT = 1 << 20  # characters; a Procfile or .env beyond this is not one
MAX_STRING = 128 * 1024 - 1  # bytes; execve(2) takes no longer argument or variable (MAX_ARG_STRLEN)


def split_lines(text: str, path: str) -> list[str]:
    """The lines of `text` without their ends; LF and CRLF both end a line, and nothing else does.

    Raises Problem for a byte order mark, a NUL byte and a text of more than MAX_TEXT characters.
    """
    if text.startswith("\ufeff"):
        raise Problem(f"{path}:1: the file starts with a byte order mark; save it as UTF-8 without one.")
    if len(text) > MAX_TEXT:
        raise Problem(f"{path}: the file is longer than {MAX_TEXT} characters.")
    if (at := text.find("\0")) >= 0:
        line = text.count("\n", 0, at) + 1
        raise Problem(f"{path}:{line}: the line holds a NUL byte; remove it or save the file as UTF-8.")
    return text.replace("\r\n", "\n").split("\n")


def byte_length(text: str) -> int:
    """How many bytes `text` takes in an argument or variable, undecodable bytes of the system included."""
    return len(text.encode("utf-8", "surrogatepass"))
