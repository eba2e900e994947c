"""Metrics of a formation in the text format of Prometheus (exposition format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from fungible.runtime.events import Event
from fungible.runtime.router.access_log import Requests

TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Counts:
    """Counts what happens, from the events of a bus. Labels are few: no path, no instance."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.causes: Counter[str] = Counter()
        self.retries = 0
        self.ends: Counter[tuple[str, str]] = Counter()
        self.starts: Counter[str] = Counter()
        self.rolls: Counter[str] = Counter()
        self.router_deaths = 0
        self._buckets = [0] * (len(_BOUNDS) + 1)
        self._seconds = 0.0
        self._queued = 0.0

    def __call__(self, event: Event) -> None:
        """Count an event."""
        data = event.data
        type = (event.process or "").rpartition(".")[0]
        if event.kind == "process.starting":
            self.starts[type] += 1
        elif event.kind == "process.ended":
            cause = str(data.get("cause") or ("crashed" if data.get("crashed") else "stopped"))
            self.ends[type, cause] += 1
        elif event.kind in ("release.rolled", "release.abandoned"):
            self.rolls[event.kind.removeprefix("release.")] += 1
        elif event.kind == "router.died":
            self.router_deaths += 1

    def take_requests(self, requests: Requests) -> None:
        """Count requests that ended."""
        for outcome, count in requests.outcomes:
            type = outcome.upstream.name.rpartition(".")[0] if outcome.upstream else "none"
            method = outcome.method if outcome.method in _METHODS else "other"
            self.requests[type, method, str(outcome.status or 0)] += count
            if outcome.cause:
                self.causes[outcome.cause] += count
            self.retries += outcome.retries * count
            seconds = outcome.total_ms / 1000
            self._buckets[bisect_left(_BOUNDS, seconds)] += count
            self._seconds += seconds * count
            self._queued += outcome.queue_ms / 1000 * count

    def lines(self) -> Iterable[str]:
        """What was counted."""
        requests = {
            _labels(type=type, method=method, status=status): count
            for (type, method, status), count in self.requests.items()
        }
        yield from metric("fungible_requests_total", "counter", "Requests that ended.", requests)
        causes = {_labels(cause=cause): count for cause, count in self.causes.items()}
        yield from metric(
            "fungible_request_failures_total", "counter", "Requests that no process answered in full.", causes
        )
        yield from metric(
            "fungible_request_retries_total", "counter", "Requests sent to a second process.", {"": self.retries}
        )
        yield from metric(
            "fungible_request_queue_seconds_total", "counter", "Time spent waiting for a process.", {"": self._queued}
        )
        name, total = "fungible_request_seconds", 0
        yield f"# HELP {name} From the request to the end of its answer."
        yield f"# TYPE {name} histogram"
        for bound, count in zip([*map(str, _BOUNDS), "+Inf"], self._buckets, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {round(self._seconds, 6)}"
        yield f"{name}_count {total}"
        starts = {_labels(type=type): count for type, count in self.starts.items()}
        yield from metric("fungible_process_starts_total", "counter", "Processes started.", starts)
        ends = {_labels(type=type, cause=cause): count for (type, cause), count in self.ends.items()}
        yield from metric("fungible_process_ends_total", "counter", "Processes ended, by cause.", ends)
        rolls = {_labels(outcome=outcome): count for outcome, count in self.rolls.items()}
        yield from metric("fungible_releases_total", "counter", "Releases rolled or abandoned.", rolls)
        deaths = {"": self.router_deaths}
        yield from metric("fungible_router_deaths_total", "counter", "Routers that died and were replaced.", deaths)


def formation_lines(document: Mapping[str, Any]) -> Iterable[str]:
    """What the document of `ps` says at this moment."""
    processes = document["processes"]
    wanted = {_labels(type=type): count for type, count in document["wanted"].items()}
    yield from metric("fungible_processes_wanted", "gauge", "Processes wanted.", wanted)
    states = Counter(_labels(type=each["type"], state=each["state"]) for each in processes)
    yield from metric("fungible_processes", "gauge", "Processes, by state.", states)
    # In a roll two processes may have one name.
    memory: Counter[str] = Counter()
    in_flight: Counter[str] = Counter()
    for each in processes:
        memory[_labels(process=each["name"])] += each["memory_bytes"] or 0
        if each["type"] == "web":
            in_flight[_labels(process=each["name"])] += each["in_flight"]
    yield from metric("fungible_process_memory_bytes", "gauge", "Memory that a process has for itself.", memory)
    yield from metric("fungible_in_flight", "gauge", "Requests that a process has now.", in_flight)
    requests = {_labels(process=each["name"]): each["requests"] for each in processes if each["type"] == "web"}
    help = "Requests that a process has answered since its start."
    yield from metric("fungible_process_requests_total", "counter", help, requests)
    uptime = {_labels(process=each["name"]): each["uptime_s"] for each in processes}
    yield from metric("fungible_process_uptime_seconds", "gauge", "Since the start of a process.", uptime)
    restarts = {_labels(process=each["name"]): each["restarts"] for each in processes}
    help = "Starts of a process after it had crashed."
    yield from metric("fungible_process_restarts_total", "counter", help, restarts)
    resting = Counter({_labels(type=type): 0 for type in document["wanted"]})
    resting.update(_labels(type=each["type"]) for each in document["resting"])
    yield from metric("fungible_processes_resting", "gauge", "Processes that wait after crashes.", resting)
    services = [(_labels(service=each["name"], kind=each["kind"]), each) for each in document["services"]]
    up = {labels: int(each["state"] == "ready") for labels, each in services}
    yield from metric("fungible_service_up", "gauge", "Whether an embedded backing service answers.", up)
    again = {labels: each["restarts"] for labels, each in services}
    help = "Starts of an embedded backing service after it had ended by itself."
    yield from metric("fungible_service_restarts_total", "counter", help, again)
    held = {labels: each["memory_bytes"] for labels, each in services if each["memory_bytes"] is not None}
    help = "Memory that an embedded backing service has for itself."
    yield from metric("fungible_service_memory_bytes", "gauge", help, held)
    release = {_labels(release=document["release"]): 1}
    yield from metric("fungible_release", "gauge", "The release that serves.", release)


def router_lines(is_up: bool, queued: int, dropped: int) -> Iterable[str]:
    """What the router says at this moment: whether it runs, how many requests wait for a process, and how many lines
    of its log it dropped, so that counts are too low by so many."""
    yield from metric("fungible_router_up", "gauge", "Whether the router runs.", {"": int(is_up)})
    yield from metric("fungible_router_queue", "gauge", "Requests that wait for a process now.", {"": queued})
    help = "Requests that were not counted: lines that this router dropped from its log."
    yield from metric("fungible_router_uncounted_total", "counter", help, {"": dropped})


def metric(name: str, type: str, help: str, values: Mapping[str, float]) -> Iterable[str]:
    """One metric: `values` by labels as `{a="b"}`."""
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {type}"
    for labels, value in values.items():
        yield f"{name}{labels} {round(value, 6)}"


def _labels(**labels: str) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{inside}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
