"""How long `fungible verify` takes for 50 requests to examples/almanac (Flask, SQLAlchemy, SQLite, Valkey).

usage: bench_fifty.py [RUNS]; writes benchmarks/results/fifty.json. The bar is 20 seconds on two cores that have
nothing else to do. Every run begins with the app's folder and ends when all of its processes have ended. `stages` are
its parts, `under way` the time in which worlds of a kind ran: two lanes run them side by side, so that these add up
to more than the whole. `a boot` is a warm world of one request, alone: stores, boot, answer, stop.
`processor seconds` are all of a run, verify's own and the app's.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from measure.result import machine, write

from fungible.app.load import load_app
from fungible.verify.experiment import Experiment, Wishes
from fungible.verify.schedule import schedule as schedules
from fungible.verify.workload.file import load_workload
from fungible.verify.world.ground import prepare_ground
from fungible.verify.world.laboratory import Laboratory
from fungible.verify.world.world import Execution

ALMANAC = Path(__file__).parents[1] / "examples" / "almanac"
BAR = 20.0
STAGES = (
    (re.compile("warm world"), "warm worlds, booted; imports to fork from"),
    (re.compile("importing"), "the rest of the first warm world, forked"),
    (re.compile(r"world \(1 of"), "all other worlds"),
    (re.compile(r"(#\d+|store) .*: "), "examination"),
)
"""What a line of the progress begins."""


class Watched(Laboratory):
    """A laboratory that adds up what the worlds of each kind took."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.took: dict[str, list[float]] = defaultdict(list)

    async def run(self, *arguments: Any, **named: Any) -> Execution:
        """See `Laboratory.run`."""
        execution = await super().run(*arguments, **named)
        instrument = named.get("instrument")
        begin, end = execution.window
        self.took[f"{execution.schedule.kind} by {instrument.name if instrument else 'boot'}"].append(end - begin)
        return execution


def _copy(folder: Path) -> tuple[Path, dict[str, str]]:
    """The app in a folder of its own, and its environment."""
    shutil.copytree(ALMANAC, folder / "almanac", ignore=shutil.ignore_patterns(".*", "__pycache__"))
    return folder / "almanac", {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "XDG_STATE_HOME": f"{folder}/state",
        "ALMANAC_SECRET": "of the benchmark",
        "ALMANAC_DEMO": "1",
        "ALMANAC_PRIVATE_URLS": "1",
    }


async def boots() -> list[float]:
    """Seconds of some warm worlds of one request, one after the other."""
    took = []
    with tempfile.TemporaryDirectory() as folder:
        app, environment = _copy(Path(folder))
        workload = load_workload(app / "tests" / "workload.yaml")
        single = replace(workload, steps=workload.steps[:1])
        async with prepare_ground(load_app(app), environment, say=lambda _: None) as ground:
            for _ in range(5):
                before = time.monotonic()
                await Laboratory(ground).run(schedules.warm(1), single)
                took.append(time.monotonic() - before)
    return took


async def measure() -> dict[str, Any]:
    """One run: seconds of each stage, worlds, boots; raises SystemExit where it finds what is not there."""
    begin = time.monotonic()
    stages: list[tuple[str, float]] = [("ground: build, release, stores", begin)]

    def say(text: str) -> None:
        for line, stage in STAGES:
            if line.search(text) and stage not in [name for name, _ in stages]:
                stages.append((stage, time.monotonic()))

    with tempfile.TemporaryDirectory() as folder:
        app, environment = _copy(Path(folder))
        workload = load_workload(app / "tests" / "workload.yaml")
        begin = time.monotonic()
        stages = [("ground: build, release, stores", begin)]
        async with prepare_ground(load_app(app), environment, say=say) as ground:
            laboratory = Watched(ground)
            found = await Experiment(laboratory, workload, Wishes(), say=say).run()
            stages.append(("end", time.monotonic()))
        seconds = time.monotonic() - begin
    if found.verdict != "no_difference" or found.mode != "fork":
        raise SystemExit(f"{found.verdict} by {found.mode}: {found.reasons} {found.differences}")
    return {
        "seconds": round(seconds, 1),
        "worlds": found.worlds,
        "boots": found.boots,
        "requests": found.executions,
        "stages": {name: round(after - at, 1) for (name, at), (_, after) in itertools.pairwise(stages)},
        "under way": {kind: [len(each), round(sum(each), 1)] for kind, each in sorted(laboratory.took.items())},
    }


def in_own_process() -> dict[str, Any]:
    """One run in a process of its own, and the processor time of it and of all that it waited for (wait4(2)): what
    boots processes is only waited for when it ends."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([sys.executable, __file__, "--one"], stdout=output)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(1)
        output.seek(0)
        run: dict[str, Any] = json.load(output)
    return run | {"processor seconds": round(used.ru_utime + used.ru_stime, 1)}


def main() -> None:
    """Measure and write the result file."""
    if sys.argv[1:] == ["--one"]:
        print(json.dumps(asyncio.run(measure())))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    before = os.getloadavg()[0]
    took = asyncio.run(boots())
    runs = [in_own_process() for _ in range(count)]
    result = {
        "bar in seconds": BAR,
        "median": statistics.median(run["seconds"] for run in runs),
        "a boot": round(statistics.median(took), 2),
        "runs": runs,
        "machine": machine(before),
    }
    write("fifty", result)


if __name__ == "__main__":
    main()
