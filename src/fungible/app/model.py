"""What an app declares, joined: process types with their settings, `.env`, and the release command."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.app.dotenv import Assignment
from fungible.app.procfile import ProcfileLine
from fungible.app.settings import Settings, TypeSettings

WEB = "web"  # the process type that receives requests

_LONGEST_NAME = 40


@dataclass(frozen=True)
class ProcessType:
    """A process type with everything decided: the Procfile's line, `types.<name>`, and the defaults.

    Times are in seconds, `memory` in bytes, `cpu` in processors. `line` is the Procfile's, 0 for a command
    that was given elsewhere. `listen` is `port`, `unix` or None; `stop_signal` has no SIG before it;
    `max_in_flight` and `max_requests` are 0 for no limit.
    """

    name: str
    command: str
    line: int
    processes: int
    ready: str | None
    callable: str | None
    listen: str | None
    max_in_flight: int
    singleton: bool
    stop_signal: str
    max_age: float | None
    max_requests: int
    memory: int | None
    cpu: float | None
    files: int | None
    boot_timeout: float
    drain_timeout: float
    stop_timeout: float


@dataclass(frozen=True)
class App:
    """An app: its `folder` (resolved), its `name` (letters, digits and `-`), its process `types` in the order
    of the Procfile, and what else it declares. `sources` are the files of the folder that were read; `declared` if
    one of them makes it an app: a Procfile, or settings."""

    folder: Path
    name: str
    types: Mapping[str, ProcessType]
    settings: Settings
    dotenv: tuple[Assignment, ...]
    release_command: str | None
    sources: tuple[str, ...]
    declared: bool

    @property
    def state_name(self) -> str:
        """The name of the app's state folder: unlike the app's name, no two folders share it."""
        return f"{self.name}-{hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:8]}"

    @property
    def singletons(self) -> frozenset[str]:
        """The names of the types of which at most one process may run."""
        return frozenset(name for name, process_type in self.types.items() if process_type.singleton)


def declare_type(line: ProcfileLine, own: TypeSettings, settings: Settings) -> ProcessType:
    """The process type of a Procfile's line: its `own` settings, and for times that these leave open the
    app's."""

    def time(name: str) -> float:
        value: float | None = getattr(own, name)
        inherited: float = getattr(settings, name)
        return inherited if value is None else value

    return ProcessType(
        name=line.name,
        command=line.command,
        line=line.line,
        processes=own.processes,
        ready=own.ready,
        callable=own.callable,
        listen=own.listen or ("port" if line.name == WEB else None),
        max_in_flight=own.max_in_flight,
        singleton=own.singleton,
        stop_signal=own.stop_signal,
        max_age=own.max_age,
        max_requests=own.max_requests,
        memory=own.memory,
        cpu=own.cpu,
        files=own.files,
        boot_timeout=time("boot_timeout"),
        drain_timeout=time("drain_timeout"),
        stop_timeout=time("stop_timeout"),
    )


def app_name(*candidates: str) -> str:
    """The first of `candidates` that leaves something when all but letters, digits and `-` is taken out
    (names of projects normalised as in PEP 503), at most 40 characters; else `app`."""
    for candidate in candidates:
        name = re.sub(r"[^a-z0-9]+", "-", candidate.lower()[:_LONGEST_NAME]).strip("-")
        if name:
            return name
    return "app"
