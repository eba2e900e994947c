"""How many requests a second the worlds of verify run, by fork and by boot, and the memory of imports and slots.

usage: bench_verify.py [RUNS] [FRAMEWORK ...]; writes benchmarks/results/verify.json. Frameworks: flask, django,
fastapi; each is a small app with a table in an SQLite store. A rate is that of a whole world: stores put back,
processes made, requests answered, processes ended. Memory is the proportional set size (PSS in smaps_rollup of
proc(5)), in a split world before its last request: of a slot, and of one of the two imports that slots are forked
from; a booted slot is its whole process group. The figures are of one machine; the ratios between rows of one run
say more than the rows.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from measure.result import machine, write

from fungible.app.load import load_app
from fungible.runtime.process.listeners import group_of
from fungible.verify.schedule import schedule as schedules
from fungible.verify.schedule.schedule import Schedule
from fungible.verify.workload.steps import Request, Workload
from fungible.verify.world.ground import prepare_ground
from fungible.verify.world.laboratory import Instrument, Laboratory
from fungible.verify.world.slot import Birth, Site, Slot

STEPS = 20

FLASK = """
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
DJANGO = """
    import os
    from django.conf import settings
    settings.configure(
        ROOT_URLCONF=__name__,
        SECRET_KEY="of the benchmark",
        ALLOWED_HOSTS=["*"],
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.admin",
                        "django.contrib.sessions", "django.contrib.messages"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"timeout": 10},
                               "NAME": os.environ["DATABASE_URL"].removeprefix("sqlite:///")}},
    )
    import django
    django.setup()
    from django.core.wsgi import get_wsgi_application
    from django.db import connection, models
    from django.http import JsonResponse
    from django.urls import path

    class Item(models.Model):
        name = models.TextField()
        class Meta:
            app_label = "shop"
            db_table = "items"

    def items(request):
        if request.method == "POST":
            Item.objects.create(name="x")
            return JsonResponse({}, status=201)
        return JsonResponse([each.name for each in Item.objects.all()], safe=False)

    urlpatterns = [path("items", items)]

    def tables():
        with connection.cursor() as cursor:
            cursor.execute("create table if not exists items(id integer primary key autoincrement, name text)")

    app = get_wsgi_application()
"""
FASTAPI = """
    import os, sqlite3
    from fastapi import FastAPI
    from pydantic import BaseModel
    app = FastAPI()

    class Item(BaseModel):
        name: str = "x"

    def db():
        c = sqlite3.connect(os.environ["DATABASE_URL"].removeprefix("sqlite:///"), isolation_level=None, timeout=10)
        c.execute("create table if not exists items(id integer primary key, name text)")
        return c

    @app.get("/items")
    def items() -> list[Item]:
        return [Item(name=row[0]) for row in db().execute("select name from items")]

    @app.post("/items", status_code=201)
    def add() -> Item:
        db().execute("insert into items(name) values('x')")
        return Item()
"""
GUNICORN = "gunicorn -w 1 -b 127.0.0.1:$PORT shop:app"
UVICORN = "uvicorn --host 127.0.0.1 --port $PORT shop:app"


@dataclass(frozen=True)
class Framework:
    """A small app: its module `shop`, the command that serves it, and what makes its table, if it does not."""

    source: str
    command: str
    release: str = ""


FRAMEWORKS = {
    "flask": Framework(FLASK, GUNICORN),
    "django": Framework(DJANGO, GUNICORN, "python -c 'import shop; shop.tables()'"),
    "fastapi": Framework(FASTAPI, UVICORN),
}


@dataclass
class Watched:
    """A birth that remembers the slots it made, to measure them."""

    birth: Birth
    slots: list[Slot] = field(default_factory=list)

    async def bear(self, site: Site) -> Slot:
        """See `Birth.bear`."""
        self.slots.append(await self.birth.bear(site))
        return self.slots[-1]


async def measure(framework: Framework, runs: int) -> dict[str, object]:
    """Requests a second of each kind of world: minimum, median and maximum over the runs; and megabytes."""
    workload = Workload(tuple(Request("POST" if i % 2 else "GET", "/items") for i in range(STEPS)))
    kinds = {
        "newborn": schedules.newborn(STEPS),
        "split": schedules.splits(STEPS)[0],
        "warm": schedules.warm(STEPS),
    }
    rates: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder) / "shop"
        app.mkdir()
        (app / "shop.py").write_text(textwrap.dedent(framework.source))
        release = f"release: {framework.release}\n" if framework.release else ""
        (app / "Procfile").write_text(f"web: {framework.command}\n{release}")
        (app / "fungible.toml").write_text('[services]\nDATABASE_URL = "sqlite"\n')
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "XDG_STATE_HOME": f"{folder}/state"}
        async with prepare_ground(load_app(app), environment, lanes=1, say=lambda _: None) as ground:
            laboratory = Laboratory(ground)
            try:
                begin = time.monotonic()
                fork = await laboratory.open_forks()
                imports = time.monotonic() - begin
                for _ in range(runs):
                    for instrument in (fork, laboratory.boot):
                        for kind, schedule in kinds.items():
                            rate, megabytes = await _run(laboratory, schedule, workload, instrument)
                            rates.setdefault(f"{kind} by {instrument.name}", []).append(rate)
                            if kind == "split":
                                memory |= megabytes
            finally:
                await laboratory.close()
    return {
        "requests a second": {
            name: [round(x, 1) for x in (min(each), statistics.median(each), max(each))]
            for name, each in rates.items()
        },
        "MB": memory,
        "seconds for the two imports": round(imports, 2),
    }


async def _run(
    laboratory: Laboratory, schedule: Schedule, workload: Workload, instrument: Instrument
) -> tuple[float, dict[str, float]]:
    """The rate of one world; megabytes of its processes, where they live to the end."""
    watched = Watched(instrument.births[0])
    begin = time.monotonic()
    execution = await laboratory.run(schedule, workload, instrument=instrument, birth=watched)
    rate = STEPS / (time.monotonic() - begin)
    failed = [answer for answer in execution.transcript.answers if answer.status not in (200, 201)]
    if failed:
        raise SystemExit(f"{schedule.name} by {instrument.name}: {failed[0]} {execution.failures}")
    if schedule.kind != "split":
        return rate, {}
    megabytes: dict[str, float] = {}

    async def weigh(index: int) -> None:
        if index == STEPS - 1:
            megabytes.update(_weigh(watched.slots, instrument.name))

    watched.slots.clear()
    await laboratory.run(schedule, workload, instrument=instrument, birth=watched, visit=weigh)
    return rate, megabytes


def _weigh(slots: Sequence[Slot], how: str) -> dict[str, float]:
    """Megabytes of the slots, the mean of one, and of the imports that forked ones have come from."""
    if how == "boot":
        groups = [group_of(slot.pid).pids for slot in slots]
        return {"a booted slot": round(statistics.mean(sum(map(_pss, each)) for each in groups), 1)}
    imports = {_parent(slot.pid) for slot in slots}
    return {
        "a forked slot": round(statistics.mean(_pss(slot.pid) for slot in slots), 1),
        "an import": round(statistics.mean(map(_pss, imports)), 1),
    }


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no Pss of process {pid}")


def main() -> None:
    """Measure and write the result file."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    before = os.getloadavg()[0]
    found = {name: asyncio.run(measure(FRAMEWORKS[name], runs)) for name in sys.argv[2:] or FRAMEWORKS}
    result = {
        "whole worlds with their stores and processes: min, median, max": found,
        "runs": runs,
        "steps": STEPS,
        "machine": machine(before),
    }
    write("verify", result)


if __name__ == "__main__":
    main()
