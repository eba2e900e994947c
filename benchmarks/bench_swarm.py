"""Requests lost on a real swarm of one node, while releases are rolled and processes killed; with and without the
seconds that a web process serves on after it is asked to stop.

usage: bench_swarm.py [--scale X]; writes benchmarks/results/swarm.json. Needs root, dockerd and Linux's network
namespaces. Fresh and kept connections, GET and POST, one request after the other on each of four connections. A roll
is `fungible deploy swarm` with another build; a kill is KILL to the first process of a web container.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure.result import arguments, machine, say, times, write

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.engines.image.app import shop  # noqa: E402
from tests.engines.swarm.deployed import Deployed  # noqa: E402
from tests.engines.swarm.node import node  # noqa: E402

ARMS = {"as deployed": None, "without the lame duck": "0"}
_BETWEEN = 10.0
"""Seconds between two kills: the process before is replaced by then."""


def counted(found: dict[str, Any], events: int, seconds: float) -> dict[str, Any]:
    """What became of the requests of one part."""
    lost = [str(each).partition(":")[0] for each in found["lost"]]
    return {
        "events": events,
        "answered": found["answered"],
        "lost": {kind: lost.count(kind) for kind in sorted(found["kinds"])},
        "3/N": round(3 / max(1, found["answered"]), 6),
        "seconds": round(seconds, 1),
    }


def rolls(there: Deployed, number: int) -> dict[str, Any]:
    """So many releases, one after the other."""
    found: dict[str, Any] = {}
    begun = time.monotonic()
    with there.load(found):
        for turn in range(number):
            there.app.edit("server.py", "import os", f"# {time.monotonic_ns()} {turn}\nimport os")
            there.deploy()
    return counted(found, number, time.monotonic() - begun)


def kills(there: Deployed, number: int) -> dict[str, Any]:
    """So many web processes killed, one after the other."""
    found: dict[str, Any] = {}
    begun = time.monotonic()
    with there.load(found):
        for _ in range(number):
            running = there.node.docker("ps", "-q", "--filter", "name=shop_web").split()
            there.node.docker("kill", "--signal", "KILL", running[0])
            time.sleep(_BETWEEN)
    return counted(found, number, time.monotonic() - begun)


def main() -> None:
    """Run both arms and write the result file."""
    options = arguments(__doc__ or "")
    load = os.getloadavg()[0]
    arms: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, node(Path(folder)) as engine:
        for name, lame_duck in ARMS.items():
            with shop() as app:
                there = Deployed(app, engine)
                there.fungible("config", "set", *(["FUNGIBLE_LAME_DUCK=" + lame_duck] if lame_duck else ["PLAN=x"]))
                there.deploy()
                say(f"{name}: rolls")
                rolled = rolls(there, times(3, options.scale))
                say(f"{name}: kills")
                arms[name] = {"rolls": rolled, "kills": kills(there, times(5, options.scale))}
                engine.docker("stack", "rm", "shop")
                while engine.docker("network", "ls", "-q", "--filter", "name=shop_formation").strip():
                    time.sleep(0.5)
        version = engine.docker("version", "--format", "{{.Server.Version}}").strip()
    result = {"arms": arms, "docker": version, "machine": machine(load)}
    write("swarm", result, options.dry)


if __name__ == "__main__":
    main()
