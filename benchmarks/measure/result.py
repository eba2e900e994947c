"""How a result is written: the machine it is of, its noise, and figures by name."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measure.peers import version_of

RESULTS = Path(__file__).resolve().parent.parent / "results"


def arguments(description: str, *more: tuple[str, dict[str, Any]]) -> argparse.Namespace:
    """The options of a benchmark: `--scale` for all, and `more`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--scale", type=float, default=float(os.environ.get("BENCH_SCALE", "1")), metavar="X",
        help="run X times as long; 1 is what results are committed of, 0.2 a look (also BENCH_SCALE)",
    )  # fmt: skip
    parser.add_argument("--dry", action="store_true", help="write no result file")
    for name, options in more:
        parser.add_argument(name, **options)
    return parser.parse_args()


def times(count: int, scale: float, least: int = 1) -> int:
    """`count` repetitions at this scale."""
    return max(least, round(count * scale))


def spread(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Median with least and most: what a figure and its noise are."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


def ratios(of: Sequence[float], to: Sequence[float], digits: int = 3) -> dict[str, float]:
    """The spread of `of` over `to`, round by round: both of a round met the same machine."""
    return spread([a / b for a, b in zip(of, to, strict=True) if b], digits)


def machine(load_before: float) -> dict[str, Any]:
    """The machine without its name: what is needed to judge the figures."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "user": "root" if os.geteuid() == 0 else "ordinary",
        "load_before": round(load_before, 1),
        "load_after": round(os.getloadavg()[0], 1),
    }


def versions(names: Sequence[str]) -> dict[str, str]:
    """Version of each program or distribution that was measured."""
    return {name: version for name in names if (version := version_of(name))}


def write(name: str, result: Mapping[str, Any], dry: bool = False) -> None:
    """Write `results/NAME.json` and draw it."""
    text = json.dumps(result, indent=1) + "\n"
    if dry:
        print(text, end="")
        return
    path = RESULTS / f"{name}.json"
    try:
        RESULTS.mkdir(exist_ok=True)
        path.write_text(text)
    except PermissionError:  # somebody else's checkout
        print(text, end="")
        print(f"results/{name}.json is not written: no permission", file=sys.stderr)
        return
    page = Path(__file__).resolve().parent.parent / "performance_page.py"
    subprocess.run([sys.executable, str(page)], check=True)
    print(f"results/{name}.json and what is drawn of it are written")


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
