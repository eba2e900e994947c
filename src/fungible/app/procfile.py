"""The Procfile: one line a process type, `name: command`.

Grammar after Heroku's Procfile and dokku's procfile-util: a type's name has letters, digits, `-` and `_`, at
most 63 of them, and any bad line fails the whole file, because a line that is skipped is a process that
silently does not run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fungible.app.lines import MAX_STRING, byte_length, split_lines
from fungible.app.problem import Problem
from fungible.app.wording import shown

RELEASE = "release"  # reserved: its command runs once per release, it is not a process type

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_MERGE_MARKERS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MOST_TYPES = 200
_USUAL = ("web", "worker", "clock", "scheduler", "beat", "release")


@dataclass(frozen=True)
class ProcfileLine:
    """One line of a Procfile: the type's `name`, its `command`, and its `line` number from 1."""

    name: str
    command: str
    line: int


def parse_procfile(text: str, path: str) -> tuple[ProcfileLine, ...]:
    """The lines of a Procfile in their order, `release` among them; `path` is how messages name the file.

    Blank lines and lines that start with `#` are skipped. Raises Problem, with file and line, for the first
    line that is none of these, and for a file that declares nothing.
    """
    found: dict[str, ProcfileLine] = {}
    for number, raw in enumerate(split_lines(text, path), 1):
        if raw.strip() == "" or raw.lstrip().startswith("#"):
            continue
        entry = _parse_line(raw, number, path, "worker" if "web" in found else "web")
        if (earlier := found.get(entry.name)) is not None:
            raise Problem(
                f"{path}:{number}: the process type {shown(entry.name)} is already declared in line"
                f" {earlier.line}; rename or remove one of them."
            )
        if len(found) == _MOST_TYPES:
            raise Problem(f"{path}:{number}: the file declares more than {_MOST_TYPES} process types.")
        found[entry.name] = entry
    if not found:
        raise Problem(
            f"{path}: the file declares no process type; write a line such as"
            " `web: gunicorn -b 127.0.0.1:$PORT shop:app`."
        )
    return tuple(found.values())


def check_command(command: str, where: str) -> None:
    """Raises Problem, starting with `where`, for a command that no shell could be given."""
    if not command.strip():
        raise Problem(f"{where}: the command is empty; write the command that starts the process.")
    if "\0" in command:
        raise Problem(f"{where}: the command holds a NUL byte; remove it.")
    if control := _CONTROL.search(command):
        raise Problem(
            f"{where}: the command holds the control character {shown(control[0])}; a command is one line of text."
        )
    if byte_length(command) > MAX_STRING:
        raise Problem(f"{where}: the command is longer than {MAX_STRING} bytes; put it into a script.")
    if _ends_in_continuation(command):
        raise Problem(
            f"{where}: the command ends with a backslash, but a command is one line; write it whole in one"
            " line or put it into a script."
        )


def _parse_line(raw: str, number: int, path: str, missing: str) -> ProcfileLine:
    where = f"{path}:{number}"
    if raw.startswith(_MERGE_MARKERS):
        raise Problem(f"{where}: the line is a merge conflict marker; resolve the conflict.")
    if raw[0].isspace():
        raise Problem(f"{where}: the line starts with white space; a process type starts in the first column.")
    name, colon, command = raw.partition(":")
    if _NAME.fullmatch(name.rstrip()) and name != name.rstrip() and colon:
        raise Problem(
            f"{where}: there is white space before the colon; write {shown(f'{name.rstrip()}: {command.strip()}')}."
        )
    # `shop:app` or `http://` of a command: after a type's colon there is mostly a blank.
    if not colon or (not _NAME.fullmatch(name) and " " in name and command[:1].strip()):
        raise Problem(
            f"{where}: the line has no colon after a process type; write {_with_colon(raw.strip(), missing)}, or `#`"
            " before a comment."
        )
    if not _NAME.fullmatch(name):
        raise Problem(
            f"{where}: {shown(name)} is no name for a process type; use 1 to 63 letters, digits, `-` and `_`,"
            " the first a letter or digit."
        )
    check_command(command, where)
    return ProcfileLine(name=name, command=command.strip(), line=number)


def _with_colon(line: str, missing: str) -> str:
    """The line as it may have been meant; `missing` is the type to write where the line seems to name none."""
    word, _, command = line.replace("=", " ", 1).partition(" ")
    if word in _USUAL or not command:
        return shown(f"{word}: {command.strip() or 'COMMAND'}") if _NAME.fullmatch(word) else "`name: command`"
    return shown(f"{missing}: {line}")


def _ends_in_continuation(command: str) -> bool:
    stripped = command.rstrip(" \t")
    return (len(stripped) - len(stripped.rstrip("\\"))) % 2 == 1
