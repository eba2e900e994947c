"""The releases of a formation on Swarm: each one's stack is kept in the swarm itself, so whoever speaks to it can go
back to one. Swarm's own roll-back knows the last change of each service alone, and a `scale` is one."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from fungible.app.problem import Exit, Problem
from fungible.app.wording import few, plain
from fungible.engines.readable import readable
from fungible.engines.swarm.docker import docker, documents, inspected

KEPT = 5
LABEL = "fungible"
_LONGEST = 64
_APP = 30
"""Of a name of Swarm's, and of the app's name in it (characters)."""


@dataclass(frozen=True)
class Kept:
    """A release that can be gone back to: its name, and its `stack` as text."""

    release: str
    stack: str


def keep(name: str, release: str, stack: str) -> None:
    """Keep the stack of a release that runs now; releases of before that are more than `KEPT` are forgotten, with
    their secrets."""
    document: dict[str, Any] = yaml.safe_load(stack)
    for each in document.get("configs", {}).values():
        each.pop("file", None)  # they are there from now on
        each["external"] = True
    text = readable(document)
    with contextlib.suppress(Problem):  # the same release again: now the youngest
        docker("config", "rm", _named(name, release))
    docker("config", "create", "--label", f"{LABEL}={name}", _named(name, release), "-", given=text)
    there = releases_of(name)
    for old in there[KEPT:]:
        docker("config", "rm", _named(name, old.release))
    _forget_secrets(name, {each.release for each in there[:KEPT]})


def releases_of(name: str) -> list[Kept]:
    """The kept ones, youngest first."""
    rows = documents("config", "ls", "--filter", f"label={LABEL}={name}")
    found = inspected("config", [str(row["ID"]) for row in rows])
    found.sort(key=lambda each: str(each["CreatedAt"]), reverse=True)
    start = _named(name, "")
    return [
        Kept(str(each["Spec"]["Name"]).removeprefix(start), base64.b64decode(each["Spec"]["Data"]).decode())
        for each in found
    ]


def chosen(name: str, running: str | None, wanted: str | None) -> Kept:
    """The release to go back to: the one that is `wanted`, or the one before what is `running` (None: of several).
    Raises Problem where there is none."""
    there = releases_of(name)
    if wanted is not None:
        found = next((each for each in there if each.release == wanted), None)
        if found is None:
            raise Problem(f"{plain(wanted)}: it is not kept; kept are {few([each.release for each in there], KEPT)}")
        return found
    names = [each.release for each in there]
    before = there[names.index(running) + 1 :] if running in names else there
    if not before:
        kept = f"; kept are {few(names, KEPT)}" if names else ""
        raise Problem(f"swarm: no release before {running or 'this one'} is kept{kept}", Exit.NO)
    return before[0]


def with_counts(stack: str, counts: Mapping[str, int]) -> str:
    """The stack with so many of each type as run, in place of its own numbers."""
    document: dict[str, Any] = yaml.safe_load(stack)
    for kind, service in document["services"].items():
        if "replicas" in service["deploy"] and kind in counts:
            service["deploy"]["replicas"] = counts[kind]
    return readable(document)


def _forget_secrets(name: str, needed: set[str]) -> None:
    for row in documents("secret", "ls", "--filter", f"label={LABEL}={name}"):
        secret = str(row["Name"])
        if not any(secret.startswith(_start(name, release)) for release in needed):
            with contextlib.suppress(Problem):  # in use by somebody
                docker("secret", "rm", secret)


def secret_name(name: str, release: str, variable: str) -> str:
    """What the swarm's secret for a variable of a release is called."""
    start = _start(name, release)
    room = _LONGEST - len(start)
    return start + (variable if len(variable) <= room else hashlib.sha256(variable.encode()).hexdigest()[:room])


def _start(name: str, release: str) -> str:
    return f"{name[:_APP]}_{release}_"


def _named(name: str, release: str) -> str:
    return f"{name[:_APP]}_stack-{release}"
