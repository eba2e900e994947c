"""`fungible deploy swarm`: image, secrets, the release command, the stack, and the wait until all of it runs."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fungible.app.problem import Exit, Problem
from fungible.app.procfile import RELEASE
from fungible.app.wording import plain
from fungible.engines.description import SCRATCH, USER, Description
from fungible.engines.files import put
from fungible.engines.swarm.docker import docker, documents
from fungible.engines.swarm.formation import counts_of, running_release, services_of, tasks_of
from fungible.engines.swarm.history import LABEL, Kept, chosen, keep, releases_of, secret_name, with_counts
from fungible.engines.swarm.settling import settle
from fungible.engines.swarm.stack import STACK, Published, literal, stack_files

_RELEASE_LOOK = 0.5
_SEEN = 4.0
"""Seconds in which a router that has just started has asked for the names of the processes and looked at each: until
then it answers that they start. Nobody here can ask it: it may be on another network."""


@dataclass(frozen=True)
class Options:
    """Where the router is reached, and whether the swarm shall `resolve` the images in their registry, so that each
    node takes the very same."""

    published: Published
    resolve: bool


def deploy(description: Description, options: Options, tell: Callable[[str], None]) -> None:
    """Bring the formation onto the swarm; `tell` hears what goes on. Its image is in the engine already.

    Raises Problem: with exit 1 where the release command fails, or a service does not become ready: then all types
    go back to the release before, whose processes serve on meanwhile.
    """
    name = description.name
    named = _keep_secrets(description)
    files = stack_files(description, options.published, named)
    if description.release_command is not None:
        _release(description, named, tell)
    tell(f"deploying {name} {description.release}")
    before = _running(name)
    counts = counts_of(name)
    try:
        _bring(name, files, tell, resolve=options.resolve)
    except Problem as problem:
        if before is not None:
            # Swarm by itself goes back with the type that failed alone.
            tell(f"going back to {before.release}")
            try:
                _bring(name, {STACK: with_counts(before.stack, counts)}, tell, resolve=False)
            except Problem as another:
                raise Problem(f"{problem.message}\nfungible: on the way back: {another.message}", Exit.NO) from None
        raise
    if before is None and description.web is not None:
        time.sleep(_SEEN)
    keep(name, description.release, files[STACK])


def go_back(name: str, wanted: str | None, tell: Callable[[str], None], *, wait: bool) -> str:
    """Return to a release that is kept; its name. Raises Problem as `deploy` does, and where there is none."""
    services_of(name)  # raises Problem where nothing of it runs
    running = _running(name)
    kept = chosen(name, running.release if running is not None else None, wanted)
    tell(f"going back to {kept.release}")
    _bring(name, {STACK: kept.stack}, tell, resolve=False, wait=wait)
    return kept.release


def listed_releases(name: str) -> list[dict[str, Any]]:
    """The releases that can be gone back to, youngest first, for `releases`. Raises Problem where no stack runs."""
    release = running_release(tasks_of(name, services_of(name)))
    return [{"release": each.release, "running": each.release == release} for each in releases_of(name)]


def _running(name: str) -> Kept | None:
    """The release that runs, where one does and it is kept."""
    with contextlib.suppress(Problem):  # nothing runs yet
        release = running_release(tasks_of(name, services_of(name)))
        return next((each for each in releases_of(name) if each.release == release), None)
    return None


def _bring(
    name: str, files: Mapping[str, str], tell: Callable[[str], None], *, resolve: bool, wait: bool = True
) -> None:
    """Tell the swarm, and wait until it runs."""
    with tempfile.TemporaryDirectory(prefix="fungible-stack-") as folder:
        put(Path(folder), files, 0o600)
        _change_mode(name, files[STACK], tell)
        words = ["--prune", "--resolve-image", "always" if resolve else "never", "-c", str(Path(folder) / STACK)]
        docker("stack", "deploy", *words, name)
    if wait:
        settle(name, tell)


def _change_mode(name: str, stack: str, tell: Callable[[str], None]) -> None:
    """Remove the router where it is to be published in the other way: Swarm does not change that of a service."""
    with contextlib.suppress(Problem):  # nothing runs yet
        for kind, service in services_of(name).items():
            wanted = yaml.safe_load(stack)["services"].get(kind)
            is_global = "Global" in service["Spec"]["Mode"]
            if wanted is not None and is_global != (wanted["deploy"].get("mode") == "global"):
                tell(f"{kind} is published in another way, and so made anew")
                docker("service", "rm", f"{name}_{kind}")


def _keep_secrets(description: Description) -> dict[str, str]:
    """Variable -> the swarm's secret that holds it; made where it is missing. A secret is never changed: one of
    another release has another name."""
    there = {each["Name"] for each in documents("secret", "ls", "--filter", f"label={LABEL}={description.name}")}
    named = {}
    for variable, value in description.secrets.items():
        named[variable] = secret_name(description.name, description.release, variable)
        if named[variable] not in there:
            docker("secret", "create", "--label", f"{LABEL}={description.name}", named[variable], "-", given=value)
    return named


def _release(description: Description, named: Mapping[str, str], tell: Callable[[str], None]) -> None:
    """Run the release command once, as a task of its own. Raises Problem (exit 1) with what it wrote where it
    fails."""
    tell(f"release command: {plain(description.release_command)}")
    service = f"{description.name}-{RELEASE}-{secrets.token_hex(3)}"
    words = ["service", "create", "--detach", "--quiet", "--name", service, "--restart-condition", "none"]
    words += ["--read-only", "--user", f"{USER}:{USER}", "--cap-drop", "ALL", "--no-resolve-image"]
    words += ["--mount", f"type=tmpfs,destination=/tmp,tmpfs-size={SCRATCH}"]
    for variable, value in description.environment.items():
        words += ["--env", f"{variable}={literal(value)}"]
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
