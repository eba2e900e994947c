"""A formation that runs on Swarm, seen and operated: what `ps`, `scale`, `logs` and `rollback` do with it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fungible.app.problem import Exit, Problem
from fungible.app.wording import listed, nearest, plain
from fungible.engines.swarm.docker import docker, documents, inspected

STACK_LABEL = "com.docker.stack.namespace"
_STATES = {
    **dict.fromkeys(("new", "pending", "assigned", "accepted", "ready", "preparing", "allocated"), "starting"),
    "starting": "starting",
    "running": "ready",
    **dict.fromkeys(("shutdown", "complete", "remove", "orphaned"), "stopped"),
    **dict.fromkeys(("failed", "rejected"), "failed"),
}


@dataclass(frozen=True)
class Task:
    """A process on Swarm. `state` is `starting`, `ready`, `stopped` or `failed`; `wanted` whether it should run."""

    name: str
    type: str
    id: str
    node: str
    state: str
    wanted: bool
    image: str
    error: str

    def document(self) -> dict[str, Any]:
        """For a machine; the fields of `ps --json` that Swarm knows."""
        return {
            "name": self.name,
            "instance": self.id,
            "type": self.type,
            "state": self.state,
            "node": self.node,
            "release": self.image.rpartition(":")[2],
            "error": self.error or None,
        }


def services_of(name: str) -> dict[str, dict[str, Any]]:
    """What Swarm knows of the stack's services, by process type. Raises Problem where there is no such stack."""
    found = documents("service", "ls", "--filter", f"label={STACK_LABEL}={name}")
    services = {each["Spec"]["Name"]: each for each in inspected("service", [each["ID"] for each in found])}
    if not services:
        raise Problem(f"swarm: no stack {plain(name)} runs there; `fungible deploy swarm` makes it", Exit.NOT_ALLOWED)
    return {each.removeprefix(f"{name}_"): service for each, service in services.items()}


def tasks_of(name: str) -> list[Task]:
    """The processes that run or should, by name, and of each the last that failed if none does."""
    found = []
    for row in documents("stack", "ps", "--no-trunc", name):
        state = str(row["CurrentState"]).split()[0].lower()
        named = str(row["Name"]).removeprefix(f"{name}_")
        found.append(
            Task(
                name=named,
                type=named.partition(".")[0],
                id=str(row["ID"]),
                node=str(row["Node"]),
                state=_STATES.get(state, state),
                wanted=str(row["DesiredState"]).lower() in ("running", "ready"),
                image=str(row["Image"]),
                error=str(row["Error"]).strip('"'),
            )
        )
    return found


def shown(tasks: Sequence[Task]) -> str:
    """The table that people read."""
    rows = [("NAME", "STATE", "NODE", "RELEASE", "")]
    rows += [(each.name, each.state, each.node, each.image.rpartition(":")[2], each.error) for each in tasks]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def scale(name: str, counts: Mapping[str, int]) -> str:
    """Run so many of each type. Raises Problem for a type that is none, and where Swarm refuses."""
    services = services_of(name)
    for kind in counts:
        if kind not in services:
            raise Problem(f"{plain(kind)}: the stack has {listed(sorted(services))}.{nearest(kind, services)}")
        if "Replicated" not in services[kind]["Spec"]["Mode"]:
            raise Problem(f"{plain(kind)}: one runs on each node; it cannot be scaled")
    docker("service", "scale", "--detach", *(f"{name}_{kind}={count}" for kind, count in counts.items()))
    return ", ".join(f"{kind}={count}" for kind, count in counts.items())


def roll_back(name: str) -> list[str]:
    """Return each service that was updated to what it was before; the names of their types."""
    back = []
    for kind, service in services_of(name).items():
        if service.get("PreviousSpec"):
            docker("service", "rollback", "--detach", f"{name}_{kind}")
            back.append(kind)
    if not back:
        raise Problem(f"swarm: no service of {plain(name)} was updated; there is nothing to roll back to", Exit.NO)
    return back


def follow_logs(name: str, what: str | None, *, follow: bool, lines: int | None) -> int:
    """Turn into `docker service logs` of a type or of one process; returns only where that fails."""
    services = services_of(name)
    kind, _, slot = (what or "").partition(".")
    if what is None:
        raise Problem(f"swarm: name the type whose logs you want: {listed(sorted(services))}")
    if kind not in services:
        raise Problem(f"{plain(kind)}: the stack has {listed(sorted(services))}.{nearest(kind, services)}")
    target = f"{name}_{kind}"
    if slot:
        chosen = next((each for each in tasks_of(name) if each.name == what), None)
        if chosen is None:
            raise Problem(f"{plain(what)}: there is no such process; `fungible ps --engine swarm` lists them")
        target = chosen.id
    words = ["docker", "service", "logs", "--no-task-ids", "--timestamps"]
    words += ["--follow"] if follow else []
    words += ["--tail", str(lines)] if lines is not None else []
    os.execvp("docker", [*words, target])
