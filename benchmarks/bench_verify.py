"""How many requests a second the worlds of verify run, by fork and by boot, on a small Flask app.

usage: bench_verify.py [RUNS]; writes benchmarks/results/verify.json. The figures are of one machine; the ratios
between rows of one run say more than the rows.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

from fungible.app.load import load_app
from fungible.verify.schedule import schedule as schedules
from fungible.verify.workload.steps import Request, Workload
from fungible.verify.world.ground import prepare_ground
from fungible.verify.world.laboratory import Laboratory

APP = """
import os, sqlite3
from flask import Flask
app = Flask(__name__)

def db():
    c = sqlite3.connect(os.environ["DATABASE_URL"].removeprefix("sqlite:///"), isolation_level=None, timeout=10)
    c.execute("create table if not exists items(id integer primary key, name text)")
    return c

@app.get("/items")
def items():
    return [row[0] for row in db().execute("select name from items")]

@app.post("/items")
def add():
    db().execute("insert into items(name) values('x')")
    return {}, 201
"""
STEPS = 20
RESULT = Path(__file__).parent / "results" / "verify.json"


async def measure(runs: int) -> dict[str, object]:
    """Requests a second of each kind of world: minimum, median and maximum over the runs."""
    workload = Workload(tuple(Request("POST" if i % 2 else "GET", "/items") for i in range(STEPS)))
    kinds = {
        "newborn": schedules.newborn(STEPS),
        "split": schedules.splits(STEPS)[0],
        "warm": schedules.warm(STEPS),
    }
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder) / "shop"
        app.mkdir()
        (app / "shop.py").write_text(APP)
        (app / "Procfile").write_text("web: gunicorn -w 1 -b 127.0.0.1:$PORT shop:app\n")
        (app / "fungible.toml").write_text('[services]\nDATABASE_URL = "sqlite"\n')
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "XDG_STATE_HOME": f"{folder}/state"}
        async with prepare_ground(load_app(app), environment, lanes=1, say=lambda _: None) as ground:
            laboratory = Laboratory(ground)
            fork = await laboratory.open_forks()
            for name, instrument in (("fork", fork), ("boot", laboratory.boot)):
                for kind, schedule in kinds.items():
                    rates = []
                    for _ in range(runs):
                        begin = time.monotonic()
                        await laboratory.run(schedule, workload, instrument=instrument)
                        rates.append(STEPS / (time.monotonic() - begin))
                    found[f"{kind} by {name}"] = [
                        round(x, 1) for x in (min(rates), statistics.median(rates), max(rates))
                    ]
            await laboratory.close()
    return found


def main() -> None:
    """Measure and write the result file."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    before = os.getloadavg()[0]
    rates = asyncio.run(measure(runs))
    result = {
        "requests per second, whole worlds with their boots and stores (min, median, max)": rates,
        "runs": runs,
        "steps": STEPS,
        "load before": round(before, 1),
        "machine": f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}",
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
