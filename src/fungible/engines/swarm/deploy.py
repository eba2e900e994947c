"""`fungible deploy swarm`: image, secrets, the release command, the stack, and the wait until all of it runs."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.app.procfile import RELEASE
from fungible.app.wording import plain
from fungible.engines.description import SCRATCH, USER, Description
from fungible.engines.swarm.docker import docker, documents
from fungible.engines.swarm.settling import wait_until_settled
from fungible.engines.swarm.stack import STACK, Published, stack_files

_PATIENCE = 60.0
"""Seconds beyond a type's boot time-out without any change."""
_RELEASE_LOOK = 0.5


@dataclass(frozen=True)
class Options:
    """What the command line says: where the router is reached, and whether the images come from a registry, where
    each node finds them."""

    published: Published
    push: bool


def deploy(description: Description, options: Options, tell: Callable[[str], None]) -> None:
    """Bring the formation onto the swarm; `tell` hears what goes on. Its image is in the engine already.

    Raises Problem: with exit 1 where the release command fails, or a service does not become ready (an update is
    rolled back by Swarm then, the processes of before serve on).
    """
    name = description.name
    if options.push:
        for image in (description.image, description.router):
            tell(f"pushing {image}")
            docker("push", "--quiet", image)
    named = _keep_secrets(description)
    files = stack_files(description, options.published, named)
    with tempfile.TemporaryDirectory(prefix="fungible-stack-") as folder:
        for path, text in files.items():
            target = Path(folder) / path
            target.parent.mkdir(exist_ok=True)
            target.write_text(text)
        if description.release_command is not None:
            _release(description, named, tell)
        tell(f"deploying {name} {description.release}")
        resolve = "always" if options.push else "never"
        docker("stack", "deploy", "--prune", "--resolve-image", resolve, "-c", str(Path(folder) / STACK), name)
    patience = _PATIENCE + max((each.boot_timeout + each.grace for each in description.workloads), default=0.0)
    wait_until_settled(name, patience, tell)
    _forget_secrets(name, set(named.values()))


def _keep_secrets(description: Description) -> dict[str, str]:
    """Variable -> the swarm's secret that holds it; made where it is missing. A secret is never changed: one of
    another release has another name."""
    there = {each["Name"] for each in documents("secret", "ls", "--filter", f"name={description.name}_")}
    named = {}
    for variable, value in description.secrets.items():
        named[variable] = f"{description.name}_{description.release}_{variable}"
        if named[variable] not in there:
            docker("secret", "create", "--label", f"fungible={description.name}", named[variable], "-", given=value)
    return named


def _forget_secrets(name: str, used: set[str]) -> None:
    """Remove those of releases before the last: what Swarm would roll back to still needs its own."""
    rows = documents("secret", "ls", "--filter", f"label=fungible={name}")
    rows.sort(key=lambda row: str(row["ID"]))
    releases: dict[str, list[str]] = {}
    for row in rows:
        releases.setdefault(str(row["Name"]).split("_")[1], []).append(str(row["Name"]))
    needed = {each.split("_")[1] for each in used}
    for release in [each for each in releases if each not in needed][:-1]:
        for each in releases[release]:
            with contextlib.suppress(Problem):  # in use by a service
                docker("secret", "rm", each)


def _release(description: Description, named: Mapping[str, str], tell: Callable[[str], None]) -> None:
    """Run the release command once, as a task of its own. Raises Problem (exit 1) with what it wrote where it
    fails."""
    tell(f"release command: {plain(description.release_command)}")
    service = f"{description.name}-{RELEASE}-{secrets.token_hex(3)}"
    words = ["service", "create", "--detach", "--quiet", "--name", service, "--restart-condition", "none"]
    words += ["--read-only", "--user", f"{USER}:{USER}", "--cap-drop", "ALL", "--no-resolve-image"]
    words += ["--mount", f"type=tmpfs,destination=/tmp,tmpfs-size={SCRATCH}"]
    for variable, value in {**description.config, **description.given}.items():
        words += ["--env", f"{variable}={value}"]
    for variable, secret in named.items():
        words += ["--secret", f"source={secret},target={variable},uid={USER},gid={USER},mode=0400"]
    docker(*words, description.image, RELEASE)
    try:
        state, error = _ended(service)
        with contextlib.suppress(Problem):
            for line in docker("service", "logs", "--raw", service, both=True).splitlines():
                tell(f"| {plain(line)}")
        if state != "complete":
            raise Problem(f"release: the command failed, so nothing was deployed ({plain(error)})", Exit.NO)
    finally:
        with contextlib.suppress(Problem):
            docker("service", "rm", service)


def _ended(service: str) -> tuple[str, str]:
    """How the only task of a service ended: `complete`, `failed` or `rejected`, and why."""
    while True:
        for row in documents("service", "ps", "--no-trunc", service):
            state = str(row["CurrentState"]).split()[0].lower()
            if state in ("complete", "failed", "rejected"):
                return state, str(row["Error"]).strip('"')
        time.sleep(_RELEASE_LOOK)
