"""Many processes of three types: what they cost the supervisor, and whether a request is lost while they come and go.

usage: bench_many.py [MOST]; writes benchmarks/results/many.json (MOST: 200, at least 20). A formation of web, worker
and clock processes, small Python programs, is scaled up in two steps, rolled, and scaled down, under a steady load of
fresh and kept connections. Memory is what a process has for itself (RssAnon, proc(5)): of the supervisor; and of our
init, of which every process has one (the largest of them, as they share most of it).
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

from tests.runtime.harness import Formation, Home, new_home  # noqa: E402
from tests.runtime.load import load_on  # noqa: E402
from tests.runtime.web import SMALL  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "many.json"
PATIENCE = 1200.0


def shares(total: int) -> dict[str, int]:
    """How many of each type make `total`: six in ten web, three worker, one clock; two are one web, one worker."""
    clock = total // 10
    worker = max(1, total * 3 // 10)
    return {"web": total - worker - clock, "worker": worker, "clock": clock}


def status(pid: int, field: str) -> int:
    """A field of /proc/PID/status in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise SystemExit(f"/proc/{pid}/status has no {field}")


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and its threads, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def init_memory(pid: int) -> int:
    """RssAnon, in KiB, of the init of the command `pid`: its parent."""
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return status(parent, "RssAnon")


class Stage:
    """Runs one verb after the other on `formation`, and keeps what each took."""

    def __init__(self, home: Home, formation: Formation) -> None:
        self.rows: list[dict[str, Any]] = []
        self._home, self._formation = home, formation

    def __call__(self, what: str, total: int, *verb: str) -> None:
        """Run `verb`, after which there are `total` processes."""
        pid = self._formation.process.pid
        begin, used = time.monotonic(), cpu_seconds(pid)
        if verb:
            done = self._home.run(*verb, timeout=PATIENCE)
            if done.returncode != 0:
                raise SystemExit(f"{' '.join(verb)} failed: {done.stderr[-2000:]}")
        took, used = time.monotonic() - begin, cpu_seconds(pid) - used
        document = json.loads(self._home.run("ps", "--json", timeout=PATIENCE).stdout)
        states = [each["state"] for each in document["processes"]]
        if states != ["ready"] * total:
            raise SystemExit(f"after {what}: {len(states)} processes, {states.count('ready')} of them ready")
        self.rows.append(
            {
                "step": what,
                "processes": total,
                "seconds": round(took, 1),
                "CPU seconds of the supervisor": round(used, 1),
                "supervisor MiB": round(status(pid, "RssAnon") / 1024, 1),
                "supervisor, most so far, MiB (VmHWM)": round(status(pid, "VmHWM") / 1024, 1),
                "init MiB": round(max(init_memory(each["pid"]) for each in document["processes"]) / 1024, 1),
            }
        )
        print(json.dumps(self.rows[-1]), file=sys.stderr, flush=True)


def scale(total: int) -> list[str]:
    """The verb that makes it `total`."""
    return ["scale", *(f"{name}={count}" for name, count in shares(total).items())]


def main() -> None:
    """Measure and write the result file."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    if most < 20:
        raise SystemExit("MOST: at least 20")
    quarter, load_before = most // 4, os.getloadavg()[0]
    home = new_home()
    sleep = "python -c 'import time; time.sleep(1e6)'"
    home.write({"Procfile": f"web: python small.py\nworker: {sleep}\nclock: {sleep}\n", "small.py": SMALL})
    try:
        with home.start(*(f"{name}={count}" for name, count in shares(2).items()), as_json=False) as formation:
            stage = Stage(home, formation)
            with load_on(formation.url) as load:
                stage("start", 2)
                stage(f"scale up to {quarter}", quarter, *scale(quarter))
                stage(f"scale up to {most}", most, *scale(most))
                stage(f"roll {most}", most, "restart")
                stage("scale down to 2", 2, *scale(2))
            count = load.count
            if formation.stop() != 0:
                raise SystemExit("it did not stop well")
        home.wait_until_gone()
    finally:
        shutil.rmtree(home.base, ignore_errors=True)
    result = {
        "steps": stage.rows,
        "requests answered": count.answered,
        "requests lost": len(count.lost),
        "at most so many may be lost (95 %, 3/N)": f"{count.bound:.3%}" if not count.lost else None,
        "load before": round(load_before, 1),
        "machine": f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}",
    }
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    RESULT.write_text(text)
    if count.lost:
        print("\n".join(count.lost[:20]), file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
