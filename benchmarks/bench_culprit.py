"""From "a world differs" to a confirmed culprit: seconds, worlds and boots for each planted leak.

usage: bench_culprit.py [APP ...]; writes benchmarks/results/culprit.json. Apps: sticky, the nine leaks of
examples/almanac_sticky in one workload of 24 requests; small, four leaks of a Flask app of one module, 14 requests.

Each is verified once, as `fungible verify` does. All worlds have run when the count of a leak begins, and no other
leak is examined meanwhile. It has in it whatever confirms the difference (three of three, against three warm runs),
makes it small, tries what may hold the state and puts it back on real boots. Of the counts the machine knows nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure.result import RESULTS, machine, write

from fungible.app.load import load_app
from fungible.verify import examine, experiment
from fungible.verify.compare import Deviation
from fungible.verify.examine import Evidence, Examination
from fungible.verify.experiment import Experiment, Wishes
from fungible.verify.workload.file import load_workload
from fungible.verify.world.ground import prepare_ground
from fungible.verify.world.laboratory import Laboratory

RESULT = RESULTS / "culprit.json"
STICKY = Path(__file__).parents[1] / "examples" / "almanac_sticky"

SMALL = """
    import os, sqlite3
    from functools import lru_cache
    from pathlib import Path
    from flask import Flask, request
    app = Flask(__name__)
    LOGINS = {}
    TRIES = []

    def db():
        path = os.environ["DATABASE_URL"].removeprefix("sqlite:///")
        connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        connection.execute("create table if not exists prices(id integer primary key, price integer)")
        connection.execute("insert or ignore into prices values (1, 10), (2, 20)")
        return connection

    @app.post("/login")
    def login():
        LOGINS[request.form["user"]] = True
        return {"welcome": request.form["user"]}

    @app.get("/account/<user>")
    def account(user):
        return {"user": user} if user in LOGINS else ({"error": "log in first"}, 401)

    @lru_cache
    def price_of(item):
        return db().execute("select price from prices where id = ?", (item,)).fetchone()[0]

    @app.get("/prices/<int:item>")
    def price(item):
        return {"price": price_of(item)}

    @app.post("/prices/<int:item>")
    def change(item):
        db().execute("update prices set price = ? where id = ?", (request.form["price"], item))
        price_of.cache_clear()
        return {"saved": item}

    @app.post("/tries")
    def tries():
        TRIES.append(1)
        return ({"error": "too many"}, 429) if len(TRIES) > 2 else {"tried": True}

    @app.post("/notes/<name>")
    def write(name):
        Path(name).write_text(request.form["text"])
        return {"saved": name}

    @app.get("/notes/<name>")
    def read(name):
        return {"text": Path(name).read_text()} if Path(name).exists() else ({"error": "no such note"}, 404)

    @app.get("/about")
    def about():
        return {"about": "a shop"}
"""
VISIT: Sequence[dict[str, Any]] = (
    {"method": "GET", "path": "/about"},
    {"method": "POST", "path": "/login", "form": {"user": "ann"}},
    {"method": "GET", "path": "/account/ann"},
    {"method": "GET", "path": "/about"},
    {"method": "GET", "path": "/prices/1"},
    {"method": "POST", "path": "/prices/1", "form": {"price": "99"}},
    {"method": "GET", "path": "/prices/1"},
    {"method": "GET", "path": "/about"},
    {"method": "POST", "path": "/tries"},
    {"method": "POST", "path": "/tries"},
    {"method": "POST", "path": "/tries"},
    {"method": "POST", "path": "/notes/list.txt", "form": {"text": "tea"}},
    {"method": "GET", "path": "/about"},
    {"method": "GET", "path": "/notes/list.txt"},
)
ROWS: list[dict[str, Any]] = []


class Timed(Examination):
    """An examination that notes what each step took."""

    async def _step(self, observer: int, suspects: Sequence[tuple[Evidence, Deviation]]) -> None:
        tally, known = self._boot.laboratory.tally, {each.observer for each in self.differences}
        worlds, boots, began = tally.worlds, tally.boots, time.monotonic()
        await super()._step(observer, suspects)
        new = [each for each in self.differences if each.observer not in known]
        ROWS.append(
            {
                "step": observer,
                "requests": new[0].requests if new else (),
                "culprit": (new[0].culprit.object or new[0].culprit.file) if new else None,
                "confirmed": new[0].culprit.confirmed if new else None,
                "seconds": round(time.monotonic() - began, 1),
                "worlds": tally.worlds - worlds,
                "boots": tally.boots - boots,
            }
        )


def _write_sticky(folder: Path) -> Path:
    shutil.copytree(STICKY, folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    return folder / "tests" / "workload.yaml"


def _write_small(folder: Path) -> Path:
    folder.mkdir()
    (folder / "shop.py").write_text(textwrap.dedent(SMALL))
    (folder / "Procfile").write_text("web: gunicorn -w 1 -b 127.0.0.1:$PORT shop:app\n")
    (folder / "fungible.toml").write_text('[services]\nDATABASE_URL = "sqlite"\n')
    (folder / "visit.json").write_text(json.dumps({"requests": VISIT}))
    return folder / "visit.json"


APPS = {"sticky": _write_sticky, "small": _write_small}


async def measure(name: str) -> dict[str, Any]:
    """Verify the app; a row for each difference, and what the whole took."""
    ROWS.clear()
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder) / name
        workload = load_workload(APPS[name](app))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": folder, "XDG_STATE_HOME": f"{folder}/state"}
        async with prepare_ground(load_app(app), environment, say=lambda _: None) as ground:
            found = await Experiment(Laboratory(ground), workload, Wishes(), say=lambda _: None).run()
    if found.reasons:
        raise SystemExit(f"{name}: {found.reasons}")
    nothing = [row for row in ROWS if row["culprit"] is None]
    return {
        "culprits": [row for row in ROWS if row["culprit"] is not None],
        "steps that only repeat one of these, or show nothing again": {
            key: round(sum(row[key] for row in nothing), 1) for key in ("seconds", "worlds", "boots")
        }
        | {"steps": len(nothing)},
        "whole run": {
            "seconds": found.seconds,
            "worlds": found.worlds,
            "boots": found.boots,
            "differences": len(found.differences),
            "confirmed": sum(each.culprit.confirmed for each in found.differences),
        },
    }


def main() -> None:
    """Measure and write the result file."""
    experiment.Examination = Timed  # type: ignore[misc]
    examine.EXAMINE_SECONDS = 3600.0  # a slow machine is no reason to examine less
    before = os.getloadavg()[0]
    known = json.loads(RESULT.read_text())["apps"] if RESULT.exists() else {}
    found = {name: asyncio.run(measure(name)) for name in sys.argv[1:] or APPS}
    result = {
        "apps": known | found,
        "machine": machine(before),
    }
    write("culprit", result)


if __name__ == "__main__":
    main()
