"""Read a command line as the shell would, as far as that can be done without running anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_BRACED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+])([^{}$`\"'\\]*))?\}")
_OPERATORS = ("&&", "||", ";", "|", "&", "(", ")", "\n", "<<", ">>", "<", ">")
_SPACE = " \t"
_SHELLS = frozenset({"sh", "bash", "dash"})
_SCRIPT = re.compile(r"-[eux]*c\Z")
"""The options of a shell that runs its next word; others (a login shell's) read files before it."""
_CAREFUL = re.compile(r"-[eux]+\Z")
_FIRST_LINE = re.compile(r"#! *(?:/usr/bin/env +)?(?:/[^ ]*/)?([a-z]+)(?: +-[eux]+)? *\Z")
"""The first line of a shell's script that is run by its own name."""

Script = Callable[[str], "str | None"]
"""The text of a file, by its path as the line has it, relative to where the line runs; None where it has none."""


class Unreadable(ValueError):
    """The line needs a shell: a substitution, a pipe, a loop, an unclosed quote."""


@dataclass(frozen=True)
class Simple:
    """One simple command (POSIX.1-2017, shell language, 2.9.1): its words, and what was set before it ran.

    `assignments` are variables given to it, `folder` where it runs (None: where the line runs).
    """

    words: tuple[str, ...]
    assignments: Mapping[str, str]
    folder: str | None = None


@dataclass
class _Word:
    text: str = ""
    quoted: bool = False
    """Whether any part of it was quoted, so that it is a word even if empty."""


def no_script(path: str) -> str | None:
    """Scripts are not read."""
    return None


@dataclass
class _State:
    environment: dict[str, str]
    script: Script = no_script
    given: dict[str, str] = field(default_factory=dict)
    folder: str | None = None


def read_command(line: str, environment: Mapping[str, str], script: Script = no_script) -> Simple:
    """The last command of `line`, variables expanded, after `cd`, `export` and assignments joined to it by `&&`
    or `;`; where that is a shell with a command of its own (`bash -c '...'`, `sh start.sh`, `./start.sh`), what this
    one runs. Redirections are dropped. Raises Unreadable where anything else runs as well."""
    state = _State(dict(environment), script)
    result: Simple | None = None
    for command in _split(line):
        if result is not None:
            raise Unreadable("more than one command")
        result = _run(command, state)
    if result is None:
        raise Unreadable("no command")
    return result


def _run(raw: str, state: _State) -> Simple | None:
    """Take note of what a `cd`, `export` or bare assignment does, or give back the command."""
    words = _expand(raw, state.environment)
    own: dict[str, str] = {}
    while words and _ASSIGNMENT.match(words[0]):
        name, _, value = words.pop(0).partition("=")
        own[name] = value
    while words and words[0] in ("exec", "env", "command"):
        is_env = words.pop(0) == "env"
        while is_env and words and _ASSIGNMENT.match(words[0]):
            name, _, value = words.pop(0).partition("=")
            own[name] = value
        if words and words[0].startswith("-"):
            raise Unreadable("an option of exec or env")
    if not words:
        state.environment.update(own)
        # POSIX: a bare assignment reaches later commands only if the name is exported already.
        state.given.update({name: value for name, value in own.items() if name in state.environment})
        return None
    if words[0] == "export":
        for word in words[1:]:
            if not _ASSIGNMENT.match(word):
                continue
            name, _, value = word.partition("=")
            state.given[name] = state.environment[name] = value
        return None
    if words[0] == "cd":
        if len(words) != 2 or words[1].startswith("-"):
            raise Unreadable("cd")
        state.folder = _inside(state.folder, words[1])
        return None
    if words[0] == "set" and all(map(_CAREFUL.match, words[1:])):
        return None
    given = {**state.given, **own}
    run = _run_by_shell(words, state)
    if run is None:
        return Simple(tuple(words), given, state.folder)
    inner = read_command(run, {**state.environment, **given}, lambda path: state.script(_inside(state.folder, path)))
    folder = state.folder if inner.folder is None else _inside(state.folder, inner.folder)
    return Simple(inner.words, {**given, **inner.assignments}, folder)


def _run_by_shell(words: list[str], state: _State) -> str | None:
    """What these words have a shell run: its `-c`, or a script; None where they run something else. What a script is
    given besides is not looked at: where it reads that, it is unreadable."""
    if words[0].rpartition("/")[2] not in _SHELLS:
        text = state.script(_inside(state.folder, words[0])) if "/" in words[0] else None
        first = _FIRST_LINE.match(text.partition("\n")[0]) if text else None
        return text if first and first[1] in _SHELLS else None
    if len(words) == 3 and _SCRIPT.match(words[1]):
        return words[2]
    rest = [word for number, word in enumerate(words[1:]) if number or not _CAREFUL.match(word)]
    return state.script(_inside(state.folder, rest[0])) if rest and not rest[0].startswith("-") else None


def _inside(folder: str | None, path: str) -> str:
    """Where `cd path` leads from `folder`."""
    return path if path.startswith("/") or not folder else f"{folder}/{path}"


def _split(line: str) -> list[str]:
    """The commands of an and-list, unexpanded."""
    commands, start, position = [], 0, 0
    quote = ""
    while position < len(line):
        mark = line[position]
        if quote:
            if mark == "\\" and quote == '"':
                position += 1
            elif mark == quote:
                quote = ""
        elif mark in "'\"":
            quote = mark
        elif mark == "\\":
            position += 1
        elif mark == "`":
            raise Unreadable("a command substitution")
        elif mark == "#" and (position == 0 or line[position - 1] in " \t;\n"):
            end = line.find("\n", position)
            line = line[:position] + (line[end:] if end >= 0 else "")
            continue
        elif mark in ";\n" or line.startswith("&&", position):
            commands.append(line[start:position])
            position += 2 if mark == "&" else 1
            start = position
            continue
        elif mark in "|()" or (mark == "&" and (position == 0 or line[position - 1] not in "<>")):
            raise Unreadable(f"`{mark}`")
        position += 1
    if quote:
        raise Unreadable("a quote is not closed")
    commands.append(line[start:])
    return [command for command in commands if command.strip()]


def _expand(command: str, environment: Mapping[str, str]) -> list[str]:
    words: list[str] = []
    current: _Word | None = None
    position = 0

    def word() -> _Word:
        nonlocal current
        if current is None:
            current = _Word()
        return current

    def close() -> None:
        nonlocal current
        if current is not None and (current.text or current.quoted):
            words.append(current.text)
        current = None

    while position < len(command):
        mark = command[position]
        if mark in _SPACE or mark == "\n":
            close()
        elif mark == "'":
            end = command.index("'", position + 1)
            word().quoted = True
            word().text += command[position + 1 : end]
            position = end
        elif mark == '"':
            text, position = _double_quoted(command, position + 1, environment)
            word().quoted = True
            word().text += text
        elif mark == "\\":
            position += 1
            if position < len(command) and command[position] != "\n":
                word().text += command[position]
        elif mark == "$":
            value, position = _variable(command, position, environment)
            if value is None:
                word().text += "$"
            else:
                position -= 1
                parts = re.split(r"[ \t\n]+", value)  # an unquoted value is split into words
                word().text += parts[0]
                for part in parts[1:]:
                    close()
                    word().text += part
        elif mark in "<>":
            if current is not None and current.text.isdigit() and not current.quoted:
                current = None
            close()
            position = _skip_redirection(command, position)
            continue
        else:
            word().text += mark
        position += 1
    close()
    return words


def _double_quoted(command: str, position: int, environment: Mapping[str, str]) -> tuple[str, int]:
    """The text up to the closing quote, and the closing quote's place."""
    text = ""
    while position < len(command):
        mark = command[position]
        if mark == '"':
            return text, position
        if mark == "\\" and position + 1 < len(command) and command[position + 1] in '$`"\\\n':
            position += 1
            text += "" if command[position] == "\n" else command[position]
        elif mark == "`":
            raise Unreadable("a command substitution")
        elif mark == "$":
            value, after = _variable(command, position, environment)
            text += "$" if value is None else value
            position = after - 1 if value is not None else position
        else:
            text += mark
        position += 1
    raise Unreadable("a quote is not closed")


def _variable(command: str, position: int, environment: Mapping[str, str]) -> tuple[str | None, int]:
    """The value of the variable at a `$` and where it ends; None where the dollar stands for itself."""
    after = command[position + 1 : position + 2]
    if after == "(":
        raise Unreadable("a command substitution")
    if after == "{":
        match = _BRACED.match(command, position + 2)
        if match is None:
            raise Unreadable("a parameter expansion")
        name, operator, default = match.groups()
        value = environment.get(name)
        missing = value is None or ((operator or "").startswith(":") and not value)
        if operator is None:
            return value or "", match.end()
        if operator.endswith("-"):
            return (default if missing else value or ""), match.end()
        return ("" if missing else default), match.end()
    name_match = _NAME.match(command, position + 1)
    if name_match:
        return environment.get(name_match[0], ""), name_match.end()
    if after and after in "0123456789@*#?$!-":
        raise Unreadable("a shell parameter")
    return None, position


def _skip_redirection(command: str, position: int) -> int:
    """Where a redirection at `position` ends: `> file`, `2>&1`, `>>"file"`."""
    if command.startswith("<<", position):
        raise Unreadable("a here-document")
    match = re.compile(r"[<>]{1,2}\|?&?[ \t]*(?:\"[^\"]*\"|'[^']*'|[^\s<>;&|\"']+)").match(command, position)
    if match is None:
        raise Unreadable("a redirection")
    return match.end()
