"""Put what was measured on a swarm into docs/outgrow-swarm.md, between its markers.

usage: swarm_page.py [--check]; with `--check` nothing is written, and the exit code is 1 where the page is not what
the result gives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measure.page import filled, settled, table
from performance_page import of

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "swarm.json"
PAGE = HERE.parent / "docs" / "outgrow-swarm.md"


def measured(result: Mapping[str, Any] | None) -> str:
    """Requests lost, a row of each arm and part."""
    if result is None:
        return ""
    rows = []
    for arm, parts in result["arms"].items():
        for part, told in parts.items():
            lost = ", ".join(f"{number} {kind}" for kind, number in told["lost"].items() if number) or "none"
            rows.append(
                (
                    arm,
                    f"{told['events']} {part} in {told['seconds']:.0f} s",
                    f"{told['answered']:,}",
                    lost,
                    f"{told['3/N']:.3%}",
                )
            )
    return "\n\n".join(
        (
            "## Measured",
            "Requests lost by clients with fresh and with kept connections, on a real swarm of one node with three "
            "web processes (`benchmarks/bench_swarm.py`). With none lost, at most the last column may be lost all "
            "the same (95 %, rule of three).",
            table(("", "", "answered", "lost", "3/N"), rows),
            of({**result, "versions": {"docker": result["docker"]}}),
        )
    )


def main() -> int:
    """Write, or with `--check` compare, the page."""
    result = json.loads(RESULT.read_text()) if RESULT.exists() else None
    return settled({PAGE: filled(PAGE, {"measured": measured(result)})}, "benchmarks/swarm_page.py")


if __name__ == "__main__":
    raise SystemExit(main())
