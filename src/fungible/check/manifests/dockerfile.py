"""FU501 in Dockerfiles: `VOLUME` in the image of an app that serves the web."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from fungible.check.finding import Finding, Level
from fungible.check.manifests.project import Project
from fungible.check.manifests.stores import STORE_PORTS, is_store
from fungible.check.manifests.volumes import WEB_PORTS, WEB_SERVER, writable_level

_NAMED = ("Dockerfile*", "*.dockerfile", "Containerfile*", "*.Dockerfile")
_INSTRUCTION = re.compile(r"^\s*([A-Za-z]+)\s+(.*)$")
_DOCUMENT = re.compile(r"(?:^|\s)\d*<<-?[\"']?([A-Za-z_]\w*)")


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined. `line` counts from 1."""

    name: str
    value: str
    line: int
    column: int


def instructions(text: str) -> Iterator[Instruction]:
    """The instructions of a Dockerfile; what stands in a document (`RUN <<END`) is none."""
    held, first = "", 0
    ends: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if ends:
            if stripped == ends[0]:
                ends.pop(0)
            continue
        if stripped.startswith("#") or (not stripped and held):
            continue
        first = first or number
        held += line
        if stripped.endswith("\\"):
            held = held.rstrip()[:-1] + " "
            continue
        if match := _INSTRUCTION.match(held):
            if match[1].upper() in ("RUN", "COPY", "ADD"):
                ends = _DOCUMENT.findall(match[2])
            yield Instruction(match[1].upper(), match[2].strip(), first, match.start(1) + 1)
        held, first = "", 0


def find(project: Project) -> Iterator[Finding]:
    """The volumes of the last stage and of those that it is made from."""
    for source in project.tree.named(*_NAMED):
        if re.search(r"(?im)^\s*VOLUME\s", source.text):
            yield from _volumes(source.path, list(_last(instructions(source.text))))


def _last(said: Iterator[Instruction]) -> tuple[Instruction, ...]:
    """The instructions of the image, by following FROM through the stages."""
    stages: dict[str, tuple[Instruction, ...]] = {}
    name = ""
    current: tuple[Instruction, ...] = ()
    for each in said:
        if each.name == "FROM":
            stages[name] = current
            words = [word for word in each.value.split() if not word.startswith("--")]
            name = words[2].lower() if len(words) > 2 and words[1].lower() == "as" else str(each.line)
            current = (*stages.get(words[0].lower() if words else "", ()), each)
        elif len(current) < 1000:
            current = (*current, each)
    return current


def _volumes(path: str, said: list[Instruction]) -> Iterator[Finding]:
    exposed = {port for each in said if each.name == "EXPOSE" for port in re.findall(r"\d+", each.value)}
    kept = [target for each in said if each.name == "VOLUME" for target in _paths(each.value)]
    if exposed & STORE_PORTS or any(is_store(f"/{each}") for each in (path, *kept)):
        return
    if any(each.name == "FROM" and is_store(each.value) for each in said):
        return
    serves = bool(exposed & WEB_PORTS) or any(
        each.name in ("CMD", "ENTRYPOINT") and WEB_SERVER.search(re.sub(r"[\[\]\",]+", " ", each.value))
        for each in said
    )
    for each in said:
        levels = [writable_level(target) for target in _paths(each.value)] if each.name == "VOLUME" else []
        sure = max((level for level in levels if level is not None), default=None)
        if sure is not None:
            level = sure if serves else Level.POSSIBLE
            message = f"`VOLUME {each.value[:80]}` keeps files of a process on the disk of one machine"
            yield Finding("FU501", level, path, each.line, message, "VOLUME", each.column)


def _paths(value: str) -> list[str]:
    if value.startswith("["):
        try:
            read = json.loads(value)
        except ValueError:
            return []
        return [each for each in read if isinstance(each, str)]
    return value.split()
