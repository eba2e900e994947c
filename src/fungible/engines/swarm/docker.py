"""Docker's command line, asked: what it says as values, and what it refuses as one sentence."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from fungible.app.problem import Exit, Problem
from fungible.app.wording import plain


def docker(*words: str, given: str | None = None, both: bool = False, partly: bool = False) -> str:
    """What `docker WORDS` prints, with `given` on its stdin; with `both` what it prints on stderr as well.

    It speaks to the engine that Docker's own settings name (DOCKER_HOST, contexts). Raises Problem with its last line
    where it fails; with `partly` only where it prints nothing.
    """
    aside = subprocess.STDOUT if both else subprocess.PIPE
    try:
        done = subprocess.run(["docker", *words], stdout=subprocess.PIPE, stderr=aside, text=True, input=given or "")
    except OSError as error:
        raise Problem(
            f"docker cannot be run ({error.strerror}); install its command line", Exit.NOT_ALLOWED
        ) from None
    if done.returncode != 0 and not (partly and done.stdout.strip()):
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
        raise Problem(
            f"docker {' '.join(each for each in words[:2] if not each.startswith('-'))}: {plain(lines[-1])[:400]}",
            Exit.NOT_ALLOWED,
        )
    return done.stdout


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
