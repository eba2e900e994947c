"""Docker's command line, asked: what it says as values, and what it refuses as one sentence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fungible.app.problem import Exit, Problem
from fungible.engines.command_line import ask


def docker(*words: str, given: str | None = None, both: bool = False, partly: bool = False) -> str:
    """What `docker WORDS` prints (see `ask`). It speaks to the engine that Docker's own settings name (DOCKER_HOST,
    contexts)."""
    return ask("docker", *words, given=given, both=both, partly=partly)


def documents(*words: str) -> list[dict[str, Any]]:
    """What it prints with `--format '{{json .}}'`, a document a line."""
    lines = docker(*words, "--format", "{{json .}}").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def inspected(kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """What it knows of these things (`service`, `task`, `config`); those that have gone meanwhile are passed over."""
    if not names:
        return []
    words = ("inspect", "--type", kind) if kind == "task" else (kind, "inspect")
    found: list[dict[str, Any]] = json.loads(docker(*words, *names, partly=True))
    return found


def check_swarm() -> None:
    """Raises Problem where the engine is no manager of a swarm."""
    state = docker("info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}").split()
    if state != ["active", "true"]:
        raise Problem(
            "the Docker engine here is no manager of a swarm; make it one (`docker swarm init`), or name another by "
            "DOCKER_HOST or `docker context use`",
            Exit.NOT_ALLOWED,
        )
