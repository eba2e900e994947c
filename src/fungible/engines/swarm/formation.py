"""A formation that runs on Swarm, seen and operated: what `ps`, `scale`, `logs` and `rollback` do with it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fungible.app.problem import Exit, Problem
from fungible.app.wording import listed, nearest, plain
from fungible.engines.swarm.docker import docker, documents, inspected

_STACK_LABEL = "com.docker.stack.namespace"
_STATES = {
    **dict.fromkeys(("new", "pending", "assigned", "accepted", "ready", "preparing", "allocated"), "starting"),
    "starting": "starting",
    "running": "ready",
    **dict.fromkeys(("shutdown", "complete", "remove", "orphaned"), "stopped"),
    **dict.fromkeys(("failed", "rejected"), "failed"),
}


@dataclass(frozen=True)
class Task:
    """A process on Swarm. `state` is `starting`, `ready`, `stopped` or `failed`; `wanted` whether it should run,
    `current` whether it is as its service is now. `release` is None for the router, which is of none."""

    name: str
    type: str
    id: str
    node: str
    state: str
    wanted: bool
    current: bool
    release: str | None
    error: str

    def document(self) -> dict[str, Any]:
        """For a machine; the fields of `ps --json` that Swarm knows."""
        return {
            "name": self.name,
            "instance": self.id,
            "type": self.type,
            "state": self.state,
            "node": self.node,
            "release": self.release,
            "error": self.error or None,
        }


def services_of(name: str) -> dict[str, dict[str, Any]]:
    """What Swarm knows of the stack's services, by process type. Raises Problem where there is no such stack."""
    found = documents("service", "ls", "--filter", f"label={_STACK_LABEL}={name}")
    services = {each["Spec"]["Name"]: each for each in inspected("service", [each["ID"] for each in found])}
    if not services:
        raise Problem(f"swarm: no stack {plain(name)} runs there; `fungible deploy swarm` makes it", Exit.NOT_ALLOWED)
    return {each.removeprefix(f"{name}_"): service for each, service in services.items()}


def counts_of(name: str) -> dict[str, int]:
    """How many of each type there should be now; nothing where no stack runs."""
    with contextlib.suppress(Problem):
        modes = {kind: each["Spec"]["Mode"].get("Replicated") for kind, each in services_of(name).items()}
        return {kind: int(mode.get("Replicas", 0)) for kind, mode in modes.items() if mode is not None}
    return {}


def tasks_of(name: str, services: Mapping[str, Mapping[str, Any]]) -> list[Task]:
    """The processes that run or should, and those that did, as Swarm lists them: by name, the youngest first."""
    rows = documents("stack", "ps", "--no-trunc", name)
    known = {each["ID"]: each for each in inspected("task", [str(row["ID"]) for row in rows])}
    found = []
    for row in rows:
        named = str(row["Name"]).removeprefix(f"{name}_")
        kind = named.partition(".")[0]
        task = known.get(row["ID"])
        if task is None or kind not in services:  # gone meanwhile
            continue
        state = str(task["Status"]["State"]).lower()
        runs = task["Spec"]["ContainerSpec"]
        found.append(
            Task(
                name=named,
                type=kind,
                id=str(row["ID"]),
                node=str(row["Node"]),
                state=_STATES.get(state, state),
                wanted=str(task["DesiredState"]).lower() in ("running", "ready"),
                current=_said(runs) == _said(services[kind]["Spec"]["TaskTemplate"]["ContainerSpec"]),
                release=_release_in(runs.get("Env") or ()),
                error=str(task["Status"].get("Err", "")),
            )
        )
    return found


def running_release(tasks: Sequence[Task]) -> str | None:
    """The release that all processes are of; None where they are of several."""
    releases = {each.release for each in tasks if each.wanted} - {None}
    return releases.pop() if len(releases) == 1 else None


def formation_document(tasks: Sequence[Task]) -> dict[str, Any]:
    """What `ps --json` prints: the processes that run or should."""
    processes = [each.document() for each in tasks if each.wanted]
    return {"release": running_release(tasks), "processes": processes}


def shown(tasks: Sequence[Task]) -> str:
    """The table that people read: what runs or should, and what failed before it."""
    tasks = [each for each in tasks if each.wanted or each.state == "failed"]
    rows = [("NAME", "STATE", "NODE", "RELEASE", "")]
    rows += [(each.name, each.state, each.node, each.release or "", each.error) for each in tasks]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def scale(name: str, counts: Mapping[str, int]) -> str:
    """Run so many of each type. Raises Problem for a type that is none, and where Swarm refuses."""
    services = services_of(name)
    for kind in counts:
        if kind not in services:
            raise Problem(f"{plain(kind)}: the stack has {listed(sorted(services))}.{nearest(kind, services)}")
    docker("service", "scale", "--detach", *(f"{name}_{kind}={count}" for kind, count in counts.items()))
    return ", ".join(f"{kind}={count}" for kind, count in counts.items())


def show_logs(name: str, what: str | None, *, follow: bool, lines: int) -> int:
    """Show the last lines of all types, of one, or of one process, as Docker has them; its exit code."""
    services = services_of(name)
    kinds = sorted(services) if what is None else [what.partition(".")[0]]
    if kinds[0] not in services:
        raise Problem(f"{plain(kinds[0])}: the stack has {listed(sorted(services))}.{nearest(kinds[0], services)}")
    targets = [f"{name}_{kind}" for kind in kinds]
    if what is not None and "." in what:
        targets = [each.id for each in tasks_of(name, services) if each.name == what][:1]
        if not targets:
            raise Problem(f"{plain(what)}: there is no such process; `fungible ps --engine swarm` lists them")
    words = ["docker", "service", "logs", "--timestamps", "--tail", str(lines), *(["--follow"] if follow else [])]
    # Docker follows one at a time: so one of its commands for each, all on our own streams.
    running = [subprocess.Popen([*words, target]) for target in targets]
    return max(each.wait() for each in running)


def _said(spec: object) -> object:
    """A specification without what is empty in it: of a service and of a task, Docker fills in different defaults."""
    if isinstance(spec, dict):
        return {name: kept for name, value in spec.items() if (kept := _said(value))}
    return [_said(each) for each in spec] if isinstance(spec, list) else spec


def _release_in(environment: Sequence[str]) -> str | None:
    start = "FUNGIBLE_RELEASE="
    return next((each.removeprefix(start) for each in environment if each.startswith(start)), None)
