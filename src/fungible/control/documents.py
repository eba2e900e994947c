"""A formation and its releases as documents, and as tables for people."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fungible.app.model import WEB
from fungible.build.releases import Sealed
from fungible.runtime.process.memory import memory_of
from fungible.runtime.process.process import Process
from fungible.runtime.start import Running
from fungible.runtime.upkeep import Standing


async def formation_document(running: Running) -> dict[str, Any]:
    """The contract of `ps --json`; besides, how many of each type are wanted, which names wait after crashes, and the
    embedded servers."""
    formation = running.formation
    has_router = running.url() is not None
    in_flight = await running.router.in_flight() if has_router else {}
    requests = await running.router.requests() if has_router else {}
    processes = sorted(formation.processes.values(), key=lambda p: (p.type.name != WEB, p.type.name, p.number))
    now = formation.clock()
    return {
        "release": formation.release.name,
        "url": running.url(),
        "app": str(running.app.folder),
        "wanted": formation.wanted,
        "processes": [await _process(running, each, now, in_flight, requests) for each in processes],
        "resting": [
            {
                "name": f"{type}.{number}",
                "type": type,
                "crashes": streak.crashes,
                "next_start_s": round(streak.until - now, 1),
                "cause": formation.boots.crashes(formation.release.name, type, number).last_end,
            }
            for (type, number), streak in sorted(formation.resting().items())
        ],
        "services": [await _service(running, each) for each in running.upkeep.standings],
    }


async def _process(running: Running, process: Process, now: float, in_flight: Any, requests: Any) -> dict[str, Any]:
    facts = process.facts
    crashes = running.formation.boots.crashes(process.release.name, process.type.name, process.number)
    memory = await asyncio.to_thread(memory_of, facts.pid) if facts.pid is not None else None
    return {
        "name": process.name,
        "instance": process.instance,
        "type": process.type.name,
        "state": process.state.value,
        "pid": facts.pid,
        "release": process.release.name,
        "uptime_s": round(now - facts.born_at, 1),
        "restarts": crashes.count,
        "last_end": crashes.last_end,
        "memory_bytes": memory,
        "requests": requests.get(process.instance, 0),
        "in_flight": in_flight.get(process.instance, 0),
    }


async def _service(running: Running, standing: Standing) -> dict[str, Any]:
    now = running.upkeep.clock()
    memory = await asyncio.to_thread(memory_of, standing.pid) if standing.pid is not None else None
    return {
        "name": standing.name,
        "kind": standing.kind,
        "state": standing.state.value,
        "pid": standing.pid,
        "uptime_s": round(now - standing.since, 1) if standing.pid is not None else None,
        "restarts": standing.restarts,
        "last_end": standing.last_end,
        "memory_bytes": memory,
        "failure": None if standing.failure is None else running.tail.conceal(standing.failure),
        "next_start_s": None if standing.next_start is None else round(max(0.0, standing.next_start - now), 1),
    }


def release_document(release: Sealed, serves: bool) -> dict[str, Any]:
    """A release as `releases --json` shows it; the values of config vars are not in it."""
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(release.made_at))
    return {
        "name": release.name,
        "made_at": made,
        "reason": release.reason,
        "build": f"v{release.build}",
        "digest": release.sealed,
        "config": sorted(release.config),
        "serves": serves,
        "abandoned": release.abandoned,
    }
