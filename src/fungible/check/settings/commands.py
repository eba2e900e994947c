"""The commands by which processes start: in Procfiles, Dockerfiles, compose files and shell scripts."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import yaml

from fungible.check.settings.places import Place, place
from fungible.check.source import Source
from fungible.check.tree import Tree

_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*)\s*:\s*(.+)")
_INSTRUCTION = re.compile(r"\s*(CMD|ENTRYPOINT)\s+(.*)", re.IGNORECASE | re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_BEFORE = frozenset(
    {
        "exec",
        "env",
        "sudo",
        "nohup",
        "time",
        "nice",
        "command",
        "poetry",
        "pipenv",
        "uv",
        "uvx",
        "pdm",
        "hatch",
        "run",
    }
    | {"tini", "dumb-init", "newrelic-admin", "run-program", "ddtrace-run", "opentelemetry-instrument", "rye", "--"}
    | {"python", "python3", "python2", "-m", "-u", "-g", "then", "do", "else", "bash", "sh", "-c", "bin/start-nginx"}
)
_MOST = 100_000
SERVERS = ("gunicorn", "uvicorn", "hypercorn", "granian", "uwsgi", "daphne", "waitress-serve", "fastapi", "flask")
"""Programs that serve an app of Python."""


@dataclass(frozen=True)
class Command:
    """A simple command: `path` and `line` are where it stands, `role` the process type or service (`web`; "" where
    the file does not tell), `alone` whether it is the only one of its line."""

    path: str
    line: int
    role: str
    words: tuple[str, ...]
    alone: bool = True

    @cached_property
    def program(self) -> str:
        """The name of the program, without folders and without what is put before it (`exec`, `poetry run`)."""
        return self._start[0]

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """What follows the program."""
        return self.words[self._start[1] + 1 :]

    def option(self, *names: str) -> str | None:
        """The value of the last of these options that is given (`-w 4`, `-w4`, `--workers=4`), None where none is."""
        found = None
        for index, word in enumerate(self.arguments):
            for name in names:
                if word == name:
                    found = self.arguments[index + 1] if index + 1 < len(self.arguments) else ""
                elif name.startswith("--") and word.startswith(f"{name}="):
                    found = word[len(name) + 1 :]
                elif not name.startswith("--") and word.startswith(name) and word[len(name) :].isdigit():
                    found = word[len(name) :]
        return found

    @cached_property
    def _start(self) -> tuple[str, int]:
        for index, word in enumerate(self.words):
            name = word.rpartition("/")[2]
            if name not in _BEFORE and not _ASSIGNMENT.match(word):
                return name, index
        return "", len(self.words)


def commands(tree: Tree) -> Iterator[Command]:
    """The commands of a folder's files, without those for development and tests."""
    for source in tree.sources:
        if place(source.path) in (Place.TESTS, Place.DEVELOPMENT) or len(source.text) > _MOST:
            continue
        name = source.name.lower()
        if name == "procfile" or name.startswith("procfile."):
            yield from _of_procfile(source)
        elif (
            name in ("dockerfile", "containerfile") or name.startswith("dockerfile.") or name.endswith(".dockerfile")
        ):
            yield from _of_dockerfile(source)
        elif re.fullmatch(r"(docker-)?compose[\w.-]*\.ya?ml", name):
            yield from _of_compose(source)
        elif name.endswith((".sh", ".bash")):
            yield from _of_script(source)


def simple(text: str, path: str, line: int, role: str) -> Iterator[Command]:
    """The simple commands of a line for the shell; of one that cannot be split, none."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:
        return
    parts: list[list[str]] = [[]]
    for word in words:
        if word in (";", "&", "&&", "||", "|"):
            parts.append([])
        else:
            parts[-1].append(word)
    parts = [part for part in parts if part]
    for part in parts:
        inner = [each for each in part if each not in ("bash", "sh", "exec", "/bin/bash", "/bin/sh")]
        if len(inner) == 2 and inner[0] in ("-c", "-lc", "-ec") and " " in inner[1]:
            yield from simple(inner[1], path, line, role)
        else:
            yield Command(path, line, role, tuple(part), len(parts) == 1)


def _of_procfile(source: Source) -> Iterator[Command]:
    for number, text in enumerate(source.lines, 1):
        if found := _LINE.fullmatch(text.strip()):
            yield from simple(found[2], source.path, number, found[1])


def _of_dockerfile(source: Source) -> Iterator[Command]:
    last: dict[str, tuple[int, str]] = {}  # of several CMD only the last counts
    for number, text in _joined(source):
        if text.strip().upper().startswith("FROM "):
            last.clear()
        if found := _INSTRUCTION.fullmatch(text):
            last[found[1].upper()] = (number, found[2].strip())
    for number, text in last.values():
        yield from simple(_as_line(text), source.path, number, "")


def _as_line(text: str) -> str:
    if text.startswith("["):
        try:
            words = json.loads(text)
        except ValueError:
            return text
        return shlex.join(str(word) for word in words) if isinstance(words, list) else text
    return text


def _of_compose(source: Source) -> Iterator[Command]:
    try:
        root = yaml.compose(source.text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return
    for name, service in _pairs(_child(root, "services")):
        for key in ("entrypoint", "command"):
            node = _child(service, key)
            if isinstance(node, yaml.ScalarNode):
                text = " ".join(node.value.split())
            elif isinstance(node, yaml.SequenceNode):
                text = shlex.join(each.value for each in node.value if isinstance(each, yaml.ScalarNode))
            else:
                continue
            yield from simple(text, source.path, node.start_mark.line + 1, name)


def _pairs(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield key.value, value


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    return dict(_pairs(node)).get(key)


def _of_script(source: Source) -> Iterator[Command]:
    for number, text in _joined(source):
        if text.strip() and not text.lstrip().startswith("#"):
            yield from simple(text.strip(), source.path, number, "")


def _joined(source: Source) -> Iterator[tuple[int, str]]:
    """The lines, those that end in a backslash joined with the next, each with the number of its first."""
    start, text = 0, ""
    for number, line in enumerate(source.lines, 1):
        if not text:
            start = number
        elif line.lstrip().startswith("#"):
            continue
        if line.rstrip().endswith("\\"):
            text += line.rstrip()[:-1] + " "
            continue
        yield start, text + line
        text = ""
    if text:
        yield start, text
