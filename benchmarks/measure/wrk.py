"""Load by wrk: as fast as its connections are answered, for some seconds."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from measure.peers import program
from measure.processes import cpu_seconds

_SCRIPT = Path(__file__).with_suffix(".lua")


@dataclass(frozen=True)
class Measured:
    """What wrk saw: requests a second, milliseconds of the median and of the 99th percentile, failures.

    `cpu_us`: processor time of each watched group of processes, in microseconds a request.
    """

    rate: float
    p50: float
    p99: float
    failed: int
    cpu_us: dict[str, float]


def wrk(
    port: int, path: str, seconds: float, connections: int, watch: dict[str, list[int]] | None = None
) -> Measured:
    """Load on 127.0.0.1:`port` over kept connections. `seconds` is rounded up to whole ones, as wrk has it."""
    tool = program("wrk")
    if tool is None:
        raise SystemExit("this benchmark cannot go on without wrk")
    watched = watch or {}
    before = {name: cpu_seconds(pids) for name, pids in watched.items()}
    command = [tool, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(_SCRIPT)]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, timeout=seconds + 60
    )
    if done.returncode:
        raise SystemExit(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
    found = json.loads(done.stdout.splitlines()[-1])
    if not found["requests"]:
        raise SystemExit(f"wrk: nothing answers on port {port}")
    used = {name: cpu_seconds(pids) - before[name] for name, pids in watched.items()}
    requests = max(1, found["requests"])
    return Measured(
        rate=found["requests"] / (found["us"] / 1e6),
        p50=found["p50"] / 1000,
        p99=found["p99"] / 1000,
        failed=found["failed"],
        cpu_us={name: seconds * 1e6 / requests for name, seconds in used.items()},
    )
