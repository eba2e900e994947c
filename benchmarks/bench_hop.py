"""What the router costs: throughput, p50, p99 of a no-op and of a 5 ms endpoint, direct, through it, through nginx.

usage: bench_hop.py [--scale X]; writes benchmarks/results/hop.json. One formation; wrk asks its process directly,
asks the router, and asks nginx in front of the very same process. Every round asks each once, so that a bad moment
meets them all, and each round begins with another one, so that none is always measured right after the same other;
ratios are of a round. Client, router and server share the machine's cores: what a hop costs here, it costs in
processor time, which is counted as well.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from measure.formation import Home, formation, home
from measure.nginx import nginx
from measure.peers import SERVERS, program
from measure.processes import descendants
from measure.result import arguments, machine, ratios, say, spread, times, versions, write
from measure.wrk import Measured, wrk

ENDPOINTS = {
    "no-op": ("/", 16),
    "waits 5 ms": ("/wait?ms=5", 16),
    "computes 5 ms": ("/compute?ms=5", 4),
}
SECONDS = 2.0
ROUNDS = 16
WARM = 1.0
UNLOGGED = "nginx without a log"

Arm = Callable[[str, float, int], Measured]


def measure(
    folder: Home, *, unix: bool, endpoints: list[str], rounds: int, seconds: float, server: str
) -> dict[str, Any]:
    """Endpoint -> arm -> figures, with one process over TCP or over a Unix socket."""
    found: dict[str, dict[str, list[Measured]]] = {}
    peer = SERVERS[server]
    command = peer.unix_line("$FUNGIBLE_SOCKET") if unix else peer.line("$PORT", 1)
    folder.write(f"web: {command}\n", '[types.web]\nlisten = "unix"\n' if unix else "")
    with ExitStack() as stack:
        ours = stack.enter_context(formation(folder, "web=1"))
        (address,) = ours.addresses(1)
        served = [pid for root in ours.pids() for pid in (root, *descendants(root))]
        router, supervisor = [ours.router_pid], [ours.pid]
        arms: dict[str, Arm] = {}

        def arm(name: str, port: int, **watch: list[int]) -> None:
            groups = {"server": served, **watch}
            arms[name] = lambda path, time, connections: wrk(port, path, time, connections, groups)

        if not unix:
            arm("direct", int(address))
        arm("router", ours.port, proxy=router, supervisor=supervisor)
        if program("nginx"):
            for name, log in (("nginx", True), (UNLOGGED, False)):
                port, pids = stack.enter_context(nginx(folder.base / name.replace(" ", "-"), [address], log=log))
                arm(name, port, proxy=pids)
        for endpoint in endpoints:
            path, connections = ENDPOINTS[endpoint]
            # What a log line costs shows where nothing else costs anything.
            asked = {name: run for name, run in arms.items() if endpoint == "no-op" or name != UNLOGGED}
            found[endpoint] = {name: [] for name in asked}
            for run in asked.values():
                run(path, WARM, connections)
            for number in range(rounds):
                say(f"{'unix' if unix else 'tcp'} {endpoint}: round {number + 1} of {rounds}")
                for name, run in turned(asked, number).items():
                    found[endpoint][name].append(run(path, seconds, connections))
    return {
        endpoint: {"connections": ENDPOINTS[endpoint][1], "arms": {name: row(name, arms) for name in arms}}
        for endpoint, arms in found.items()
    }


def turned(asked: dict[str, Arm], number: int) -> dict[str, Arm]:
    """The order of a round: rounds begin with each in turn, forwards and then backwards."""
    names = list(asked)
    first = number % len(names)
    order = names[first:] + names[:first]
    backwards = number // len(names) % 2
    return {name: asked[name] for name in (reversed(order) if backwards else order)}


def row(name: str, arms: dict[str, list[Measured]]) -> dict[str, Any]:
    """The figures of an arm, and its ratios to the others of the same rounds."""
    own = arms[name]
    figures: dict[str, Any] = {
        "requests_per_second": spread([m.rate for m in own], 0),
        "p50_ms": spread([m.p50 for m in own]),
        "p99_ms": spread([m.p99 for m in own]),
        "failed": sum(m.failed for m in own),
        "cpu_us_per_request": {
            group: round(statistics.median(m.cpu_us[group] for m in own), 1) for group in own[0].cpu_us
        },
    }
    for other, theirs in arms.items():
        if other != name:
            figures[f"throughput_over_{other}"] = ratios([m.rate for m in own], [m.rate for m in theirs])
            figures[f"p99_over_{other}"] = ratios([m.p99 for m in own], [m.p99 for m in theirs])
    return figures


def main() -> None:
    """Measure and write the result file."""
    options = arguments(__doc__ or "", ("--server", {"default": "granian", "choices": list(SERVERS)}))
    load = os.getloadavg()[0]
    rounds = times(ROUNDS, options.scale)
    seconds = max(1.0, SECONDS * min(1, options.scale * 2))
    if not all(map(program, ("wrk", options.server))):
        return  # it has been said what is missing; the other benchmarks go on
    with home() as folder:
        tcp = measure(
            folder, unix=False, endpoints=list(ENDPOINTS), rounds=rounds, seconds=seconds, server=options.server
        )
    with home() as folder:
        unix = measure(folder, unix=True, endpoints=["no-op"], rounds=rounds, seconds=seconds, server=options.server)
    result = {
        "question": "What does the hop through the router cost?",
        "server": options.server,
        "rounds": rounds,
        "seconds_each": seconds,
        "tcp": tcp,
        "unix": unix,
        "versions": versions([options.server, "nginx", "wrk"]),
        "machine": machine(load),
    }
    write("hop", result, options.dry)


if __name__ == "__main__":
    main()
