"""What a sandboxed process costs in CPU time, at each isolation level, next to a plain one.

usage: bench_spawn.py [ROUNDS]; writes benchmarks/results/spawn.json. Measured is what the supervisor and all that it
started used (getrusage(2)), for the command `true`: how long it takes depends on what else the machine does, the CPU
time much less. Every round measures every row once, so that a bad moment meets them all; the least of a row is what
to compare, and how far its median lies above says how noisy the machine was.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from fungible.sandbox.probe import probe
from fungible.sandbox.spawn import Message, end_zygote, spawn
from fungible.sandbox.spec import Spec

BATCH = 20
PLAIN = "posix_spawn"
FIRST = "the first, with the start of the zygote"
RESULT = Path(__file__).parent / "results" / "spawn.json"


def used() -> float:
    """CPU milliseconds of this process and of all that it has waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages) * 1000


async def plain() -> None:
    """The least that a process costs: fork and exec in one, without a copy of this process."""
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


class Spawning:
    """Spawns `true` at `level`, each in a folder of its own below `base`."""

    def __init__(self, base: Path, level: str, layer: str) -> None:
        self._base, self._level, self._layer = base, level, layer
        self._number = 0

    async def __call__(self) -> None:
        """One process, until nothing of it is left."""
        self._number += 1
        private = self._base / f"{self._level}-{self._number}"
        private.mkdir()
        app = str(self._base / "app")
        heard: list[Message] = []
        spec = Spec(self._level, ("/bin/true",), {}, str(private), source=app, target=app, host_name="web-1",
                    hidden=(str(self._base),), layer=self._layer)  # fmt: skip
        await spawn(spec, heard.append).gone
        if [message.data["status"] for message in heard if message.kind == "exited"] != [0]:
            raise SystemExit(f"a process at level {self._level} failed: {heard}")


async def batch(once: Callable[[], Awaitable[None]], count: int) -> tuple[float, float]:
    """CPU and elapsed milliseconds of `count` processes, and of what was started for them."""
    before, begin = used(), time.monotonic()
    for _ in range(count):
        await once()
    took = (time.monotonic() - begin) * 1000
    end_zygote()  # only when it has ended is its time, with that of all that it forked, among ours
    return used() - before, took


async def measure(rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """CPU and elapsed milliseconds of one process, by row, one figure for each round."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        base = Path(folder)
        (base / "app").mkdir()
        (base / "app" / "a.txt").write_text("a\n")
        abilities = await probe(folder)
        end_zygote()
        rows: dict[str, Callable[[], Awaitable[None]]] = {PLAIN: plain}
        rows |= {level: Spawning(base, level, abilities.layer) for level in abilities.allowed}
        cpu: dict[str, list[float]] = {name: [] for name in (*rows, FIRST)}
        elapsed: dict[str, list[float]] = {name: [] for name in cpu}
        for _ in range(rounds):
            for name, once in rows.items():
                one, took = (0.0, 0.0) if name == PLAIN else await batch(once, 1)
                many, took_many = await batch(once, BATCH if name == PLAIN else BATCH + 1)
                cpu[name].append((many - one) / BATCH)
                elapsed[name].append((took_many - took) / BATCH)
                if name == abilities.allowed[0]:
                    cpu[FIRST].append(one)
                    elapsed[FIRST].append(took)
    return cpu, elapsed


def main() -> None:
    """Measure and write the result file."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    load = os.getloadavg()[0]
    cpu, elapsed = asyncio.run(measure(rounds))
    least = min(cpu[PLAIN])
    result = {
        "CPU milliseconds of one process (min, median, max)": {
            name: [round(x, 2) for x in (min(each), statistics.median(each), max(each))] for name, each in cpu.items()
        },
        f"times {PLAIN} (of the minima)": {name: round(min(each) / least, 1) for name, each in cpu.items()},
        "elapsed milliseconds, median": {name: round(statistics.median(each), 1) for name, each in elapsed.items()},
        "noise (median over minimum)": {
            name: round(statistics.median(each) / min(each), 2) for name, each in cpu.items()
        },
        "rounds": rounds,
        "processes a round and row": BATCH,
        "user": "root" if os.geteuid() == 0 else "ordinary",
        "load before": round(load, 1),
        "machine": f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}",
    }
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    try:
        RESULT.write_text(text)
    except PermissionError:  # somebody else's checkout
        print(f"{RESULT} is not written: no permission", file=sys.stderr)


if __name__ == "__main__":
    main()
