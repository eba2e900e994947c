"""Many processes of several types, scaled up, rolled and scaled down: nothing is lost, little is kept for each."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.runtime.harness import Home
from tests.runtime.load import load_on
from tests.runtime.web import SMALL

MANY = {"web": 24, "worker": 12, "clock": 4}
MOST_FOR_EACH = 0.3 * 2**20
"""Bytes that a process may cost the supervisor; measured were 20 KiB (benchmarks/bench_many.py)."""


def memory(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def names(home: Home) -> Counter[str]:
    processes = json.loads(home.run("ps", "--json").stdout)["processes"]
    assert {each["state"] for each in processes} == {"ready"}
    return Counter(each["name"] for each in processes)


def test_many_processes_come_are_rolled_and_go_without_a_lost_request(home: Home) -> None:
    wanted = Counter(f"{name}.{number}" for name, count in MANY.items() for number in range(1, count + 1))
    home.write({"Procfile": "web: python small.py\nworker: sleep 1d\nclock: sleep 1d\n", "small.py": SMALL})
    with home.start("web=1", "worker=1", "clock=0") as formation:
        before = memory(formation.process.pid)
        with load_on(formation.url, fresh=1, kept=1) as load:
            up = home.run("scale", *(f"{name}={count}" for name, count in MANY.items()), timeout=300)
            assert up.returncode == 0, up.stderr
            assert names(home) == wanted
            many = memory(formation.process.pid)
            rolled = home.run("restart", timeout=300)
            assert rolled.returncode == 0, rolled.stderr
            assert names(home) == wanted
            down = home.run("scale", "web=1", "worker=1", "clock=0", timeout=300)
            assert down.returncode == 0, down.stderr
            assert names(home) == Counter({"web.1": 1, "worker.1": 1})
        assert load.count.lost == []
        assert many - before < MOST_FOR_EACH * sum(MANY.values())
        assert not formation.of("process.ended", crashed=True)
        assert formation.stop() == 0
