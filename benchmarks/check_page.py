"""Put the table of rules, and what was measured of them, into docs/check.md, between its markers.

usage: check_page.py [--check]; with `--check` nothing is written, and the exit code is 1 where the page is not what
the rules and the results give. The table is made of the rules themselves, so neither can drift.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measure.page import filled, settled, table
from performance_page import of

from fungible.check.catalogue import RULES

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "check.json"
PAGE = HERE.parent / "docs" / "check.md"

_ABOUT = {
    "FU1": "Code",
    "FU2": "What frameworks, extensions and libraries are told",
    "FU3": "What servers are told",
    "FU4": "Routers that bind a client to a process",
    "FU5": "Images, disks and clusters",
}


def rules() -> str:
    """A table for each hundred."""
    parts = []
    for start, about in _ABOUT.items():
        rows = [
            (
                rule.id,
                _cell(rule.title),
                _cell(rule.mend),
                f"[{rule.topic}](mend/{rule.topic}.md)" if rule.topic else "",
            )
            for rule in RULES.values()
            if rule.id.startswith(start)
        ]
        if rows:
            parts += [f"### {about}", table(("rule", "finds", "mend", "more"), rows)]
    return "\n\n".join(parts)


def measured(result: Mapping[str, Any] | None) -> str:
    """What is read of what verify proves."""
    if result is None:
        return "Not measured yet."
    arms = {"`fungible check`": result["check"], f"ruff ({', '.join(result['ruff']['rules'])})": result["ruff"]}
    rows = [
        (name, f"{arm['found']} of {arm['of']}", f"{arm['line']} of {arm['of']}", f"{arm['cried']} of {arm['of']}")
        for name, arm in arms.items()
    ]
    speed = result["speed"]
    missed = ", ".join(f"`{each}`" for each in result["check"]["not_found"]) or "none"
    return "\n\n".join(
        (
            table(("", "leaks found", "at a line that holds it", "mended twins that it tells of"), rows),
            f"Not found by check: {missed}. {speed['lines']:,} lines in {speed['files']} files take "
            f"{speed['seconds']:g} s.",
            of(result),
        )
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write, or with `--check` compare, the page."""
    result = json.loads(RESULT.read_text()) if RESULT.exists() else None
    blocks = {"rules": rules(), "measured": measured(result)}
    return settled({PAGE: filled(PAGE, blocks)}, "benchmarks/check_page.py")


if __name__ == "__main__":
    raise SystemExit(main())
