"""How many requests are lost in rolls: on gunicorn, uvicorn, granian and a Node server, fresh and kept connections.

usage: bench_rolls.py [ROLLS]; writes benchmarks/results/rolls.json (ROLLS: of each server, 20). The rolls are in turn
a release, a change of a config var, a restart and a scale down, each under a steady load of GET and POST, two clients
with a fresh connection for each request and two that keep theirs. Lost is what was not answered in full with 200 by
the app. Printed are N, the requests that were answered, and, where none was lost, 3/N: with 95 % confidence the share
that is lost is below that (the rule of three; Hanley and Lippman-Hand 1983).
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.runtime.harness import Home, new_home  # noqa: E402
from tests.runtime.load import load_on  # noqa: E402
from tests.runtime.test_roll_lossless import SERVERS, Serving  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "rolls.json"
PROCESSES = 2


def roll(home: Home, turn: int) -> None:
    """The roll number `turn`; a scale down is followed by a scale up, so that there is one to take away again."""
    verb = (["release"], ["config", "set", f"TURN={turn}"], ["restart"], ["scale", f"web={PROCESSES - 1}"])[turn % 4]
    if verb == ["release"]:
        home.write({"turn.txt": str(turn)})
    for each in [verb, ["scale", f"web={PROCESSES}"]] if verb[0] == "scale" else [verb]:
        done = home.run(*each, timeout=300)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(each)} failed: {done.stderr[-2000:]}")


def measure(serving: Serving, rolls: int) -> dict[str, Any]:
    """The row of one server."""
    home = new_home()
    home.write({"Procfile": f"web: {serving.command}\n", serving.file: serving.code})
    try:
        with home.start(f"web={PROCESSES}") as formation:
            begin = time.monotonic()
            with load_on(formation.url) as load:
                for turn in range(rolls):
                    roll(home, turn)
                    load.wait_for_more(20)
            took = time.monotonic() - begin
            ended = formation.of("process.ended")
            causes = [event["cause"] for event in formation.of("router.request") if event.get("cause")]
            formation.stop()
        home.wait_until_gone()
    finally:
        shutil.rmtree(home.base, ignore_errors=True)
    count = load.count
    return {
        "rolls": rolls,
        "processes replaced or ended": len(ended),
        "N": count.answered,
        "of these": dict(sorted(count.kinds.items())),
        "lost": len(count.lost),
        "3/N": None if count.lost else round(count.bound, 6),
        "lost are": count.lost[:20],
        "causes in the log": causes[:20],
        "seconds": round(took, 1),
    }


def main() -> None:
    """Measure and write the result file."""
    rolls = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    load_before = os.getloadavg()[0]
    rows: dict[str, Any] = {}
    for name, serving in SERVERS.items():
        rows[name] = row = measure(serving, rolls)
        bound = "" if row["3/N"] is None else f", 3/N = {row['3/N']:.4%}"
        print(f"{name}: {row['lost']} lost in {rolls} rolls, N = {row['N']}{bound}", file=sys.stderr, flush=True)
    result = {
        "servers": rows,
        "load before": round(load_before, 1),
        "machine": f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}",
    }
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    RESULT.write_text(text)
    if any(row["lost"] for row in rows.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
