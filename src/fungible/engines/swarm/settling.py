"""Wait until Swarm runs what it was told, or says why it does not."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fungible.app.problem import Exit, Problem
from fungible.app.wording import plain
from fungible.engines.swarm.docker import docker
from fungible.engines.swarm.formation import Task, services_of, tasks_of

_LOOK = 0.5
_CRASHES = 3
_LINES = 20
_PATIENCE = 90.0
"""Seconds without any change, beyond the time that a process may take to boot."""


@dataclass(frozen=True)
class Seen:
    """A service at one look: how many tasks it has that are ready and as it wants them now, how many it should have,
    how many others have not gone yet, and what Swarm says of its update (`completed`, `updating`, `paused`,
    `rollback_started` …; empty: none)."""

    kind: str
    ready: int
    wanted: int
    others: int
    update: str

    @property
    def settled(self) -> bool:
        """Whether nothing more is to come."""
        return self.ready == self.wanted and not self.others and self.update in ("", "completed")

    @property
    def turned_back(self) -> bool:
        """Whether Swarm gave the update up."""
        return self.update.startswith("rollback") or self.update == "paused"


def look(services: Mapping[str, Mapping[str, Any]], tasks: list[Task]) -> tuple[Seen, ...]:
    """What there is of each service."""
    seen = []
    for kind, service in sorted(services.items()):
        there = [each for each in tasks if each.type == kind and each.wanted]
        mine = [each for each in there if each.current]
        mode = service["Spec"]["Mode"]
        wanted = int(mode["Replicated"].get("Replicas", 0)) if "Replicated" in mode else max(1, len(mine))
        update = str((service.get("UpdateStatus") or {}).get("State", ""))
        seen.append(Seen(kind, sum(each.state == "ready" for each in mine), wanted, len(there) - len(mine), update))
    return tuple(seen)


def _wait_until_settled(name: str, patience: float, tell: Callable[[str], None]) -> None:
    """Wait, for `patience` seconds after the last change at most; `tell` hears how far it is.

    Raises Problem (exit 1) where Swarm gave an update up, or a service does not get its tasks; with the last lines
    that the tasks wrote.
    """
    last: tuple[Seen, ...] = ()
    told = ""
    changed = time.monotonic()
    while True:
        services = services_of(name)
        tasks = tasks_of(name, services)
        seen = look(services, tasks)
        if bad := next((each for each in seen if each.turned_back), None):
            failure = _failure(name, bad, "the new release did not become ready")
            _await_end_of_turn(name, patience)
            raise failure
        if all(each.settled for each in seen):
            return
        if (given_up := _crashing(seen, tasks)) is not None:
            raise _failure(name, given_up, f"{_CRASHES} processes in a row ended before they were ready")
        if seen != last:
            last, changed = seen, time.monotonic()
            if (text := ", ".join(f"{each.kind} {each.ready} of {each.wanted}" for each in seen)) != told:
                told = text
                tell(text)
        if time.monotonic() - changed > patience:
            missing = next(each for each in seen if not each.settled)
            raise _failure(name, missing, f"it has {missing.ready} of {missing.wanted} after {patience:.0f} s")
        time.sleep(_LOOK)


def _await_end_of_turn(name: str, patience: float) -> None:
    """Wait until Swarm has ended what it began to go back with: told something else meanwhile, it may leave more
    tasks than there should be."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        services = services_of(name)
        seen = look(services, tasks_of(name, services))
        turning = any(each.update in ("rollback_started", "updating") for each in seen)
        if not turning and not any(each.others for each in seen if each.turned_back):
            return
        time.sleep(_LOOK)


def settle(name: str, tell: Callable[[str], None]) -> None:
    """Wait as long as the health checks of the stack may take (see `_wait_until_settled`)."""
    checks = (each["Spec"]["TaskTemplate"]["ContainerSpec"].get("Healthcheck") for each in services_of(name).values())
    boot = max((int((each or {}).get("StartPeriod", 0)) / 1e9 for each in checks), default=0.0)
    _wait_until_settled(name, _PATIENCE + boot, tell)


def _last_lines(tasks: list[Task]) -> list[str]:
    """What the first of these tasks wrote that wrote anything."""
    for each in tasks[:4]:
        with contextlib.suppress(Problem):  # its node may be gone
            if lines := docker("service", "logs", "--raw", "--tail", str(_LINES), each.id, both=True).splitlines():
                return lines
    return []


def _crashing(seen: tuple[Seen, ...], tasks: list[Task]) -> Seen | None:
    """A service none of whose tasks is ready, and of which several have failed already."""
    for each in seen:
        failed = [task for task in tasks if task.type == each.kind and task.state == "failed" and task.current]
        if each.ready == 0 and each.wanted and not each.update and len(failed) >= _CRASHES:
            return each
    return None


def _failure(name: str, seen: Seen, sentence: str) -> Problem:
    tasks = [each for each in tasks_of(name, services_of(name)) if each.type == seen.kind]
    failed = [each for each in tasks if each.error]
    unready = [each for each in tasks if each.wanted and each.state != "ready"]
    said = f" ({plain(failed[0].error)})" if failed else ""
    log = "".join(f"\n| {plain(line)}" for line in _last_lines([*failed[:2], *unready]))
    return Problem(f"{seen.kind}: {sentence}{said}{log}", Exit.NO)
