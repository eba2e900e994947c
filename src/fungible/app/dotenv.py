"""The `.env` file: assignments of variables, quote-aware, with `${NAME}` for what is known.

The rules, in short: `export` is allowed; `#` starts a comment at the start of a line or after white space;
single quotes keep everything; double quotes may hold line ends and the escapes \\n \\t \\" \\\\ \\$;
`${NAME}` is replaced except in single quotes; `$NAME` without braces, and quotes inside an unquoted value,
stay as they are. The last of two assignments to a name wins, as in a shell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fungible.app.lines import MAX_STRING, byte_length, split_lines
from fungible.app.problem import Problem
from fungible.app.wording import nearest

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEAD = re.compile(r"[ \t]*(?:export[ \t]+)?([^=\s]*)[ \t]*=")
_COMMENT = re.compile(r"(?<=\s)#.*")
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "$": "$"}
_LONGEST_NAME = 255
_MOST_BYTES = 1 << 20  # of all values together; execve(2) takes about twice that


@dataclass(frozen=True)
class Reference:
    """`${NAME}` in a value."""

    name: str


@dataclass(frozen=True)
class Assignment:
    """`name` is set in `line` (from 1) to its `parts`, joined: literal text and references."""

    name: str
    parts: tuple[str | Reference, ...] = field(repr=False)  # may be secret
    line: int


def parse_dotenv(text: str, path: str) -> tuple[Assignment, ...]:
    """The assignments of a `.env` file in their order; `path` is how messages name the file.

    Raises Problem, with file and line, for the first line that is neither blank, a comment nor an assignment.
    """
    lines = split_lines(text, path)
    found: list[Assignment] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.strip() == "" or line.lstrip().startswith("#"):
            at += 1
            continue
        assignment, at = _parse_assignment(lines, at, path)
        found.append(assignment)
    return tuple(found)


def resolve(assignments: Iterable[Assignment], known: Mapping[str, str], path: str) -> dict[str, str]:
    """The values of `assignments`, each reference replaced by the value of an earlier line, else of `known`.

    Raises Problem, with `path` and line, for a reference to neither and for values that no process could be
    given.
    """
    values: dict[str, str] = {}
    total = 0
    for assignment in assignments:
        where = f"{path}:{assignment.line}"
        pieces: list[str] = []
        length = len(assignment.name) + 1
        for part in assignment.parts:
            piece = part if isinstance(part, str) else _look_up(part.name, values, known, where)
            length += byte_length(piece)
            if length > MAX_STRING:  # checked piece by piece: references can double a value with each line
                raise Problem(f"{where}: the value of {assignment.name} is longer than a variable can be.")
            pieces.append(piece)
        values[assignment.name] = "".join(pieces)
        total += length
        if total > _MOST_BYTES:
            raise Problem(f"{where}: the values up to this line exceed {_MOST_BYTES} bytes, too many for a process.")
    return values


def _look_up(name: str, values: Mapping[str, str], known: Mapping[str, str], where: str) -> str:
    for names in (values, known):
        if name in names:
            return names[name]
    hint = nearest(name, (*values, *known))
    raise Problem(
        f"{where}: ${{{name}}} is not set by an earlier line, a service or the environment.{hint}"
        " To keep it as text, use single quotes."
    )


def _parse_assignment(lines: list[str], at: int, path: str) -> tuple[Assignment, int]:
    """The assignment that starts in `lines[at]`, and the index of the line after it."""
    where = f"{path}:{at + 1}"
    head = _HEAD.match(lines[at])
    if head is None:
        raise Problem(f"{where}: the line is no assignment; write NAME=VALUE, or `#` before a comment.")
    name = head[1]
    if not VARIABLE.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise Problem(
            # What stands there is not shown: it may be a line of a secret whose quotes are missing.
            f"{where}: what stands before `=` is no name of a variable; use letters, digits and `_`, no digit"
            " first, and quotes around a value of several lines."
        )
    rest = lines[at][head.end() :]
    value = rest.lstrip(" \t")
    parts: tuple[str | Reference, ...]
    if value[:1] in ("'", '"'):
        raw, after = _quoted(lines, at, len(lines[at]) - len(value), path)
        parts = (raw,) if value[0] == "'" else _expand(raw, where, escapes=True)
    else:
        after = at + 1
        parts = _expand(_COMMENT.sub("", rest, count=1).strip(), where, escapes=False)
    return Assignment(name=name, parts=tuple(part for part in parts if part != ""), line=at + 1), after


def _quoted(lines: list[str], at: int, column: int, path: str) -> tuple[str, int]:
    """What stands between the quote at `column` of `lines[at]` and its partner, and the index of the line
    after."""
    quote = lines[at][column]
    closing = re.compile(r"[^']*" if quote == "'" else r'(?:[^"\\]|\\.)*\\?')
    pieces: list[str] = []
    start = column + 1
    for index in range(at, len(lines)):
        match = closing.match(lines[index], start)
        end = match.end() if match else start
        pieces.append(lines[index][start:end])
        if lines[index][end : end + 1] == quote:
            trailing = lines[index][end + 1 :]
            if _COMMENT.sub("", trailing, count=1).strip():
                raise Problem(
                    f"{path}:{index + 1}: there is text after the closing quote of the value that starts in"
                    f" line {at + 1}; put the whole value in quotes, or a space before a comment."
                )
            return "\n".join(pieces), index + 1
        start = 0
    raise Problem(f"{path}:{at + 1}: the quote {quote} is never closed.")


def _expand(raw: str, where: str, *, escapes: bool) -> tuple[str | Reference, ...]:
    """`raw` cut at its references; with `escapes`, backslashes of double quotes undone."""
    parts: list[str | Reference] = []
    literal: list[str] = []
    position = 0
    special = re.compile(r"\\|\$\{" if escapes else r"\$\{")
    while match := special.search(raw, position):
        literal.append(raw[position : match.start()])
        if match[0] == "\\":
            following = raw[match.end() : match.end() + 1]
            literal.append(_ESCAPES.get(following, "\\" + following))
            position = match.end() + len(following)
            continue
        closing = raw.find("}", match.end())
        name = raw[match.end() : closing] if closing >= 0 else ""
        if not VARIABLE.fullmatch(name):
            raise Problem(
                f"{where}: `${{` must be followed by the name of a variable and `}}`; to keep it as text, use"
                " single quotes."
            )
        parts.extend(("".join(literal), Reference(name)))
        literal = []
        position = closing + 1
    parts.append("".join(literal) + raw[position:])
    return tuple(parts)
