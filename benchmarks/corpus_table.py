"""Make docs/corpus.md from what `make corpus` measured: verdict and culprit on third-party apps with known truth.

usage: corpus_table.py RESULT.json [RESULT.json ...] > docs/corpus.md
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any


def main(paths: list[str]) -> None:
    """Print the table; a result file is one run over the corpus."""
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in paths:
        for row in json.loads(Path(path).read_text()):
            runs[row["name"]].append(row)
    right = sum(all(row["right"] for row in rows) for rows in runs.values())
    print("# Apps with known truth\n")
    print(
        "Third-party apps with a workload each, run unchanged; the truth was found beforehand by another, weaker "
        "instrument. `make corpus CORPUS=FOLDER` makes the result files, benchmarks/corpus_table.py this page.\n"
    )
    print(f"Right in every run: {right} of {len(runs)}.\n")
    print("| app | truth | runs | right | named | written at | seconds |")
    print("|---|---|---|---|---|---|---|")
    for name, rows in sorted(runs.items()):
        culprits = [culprit for row in rows for culprit in row["culprits"] if culprit]
        named = next((c.get("object") or c.get("file") for c in culprits if c.get("object") or c.get("file")), "")
        where = next((c["written_at"] for c in culprits if c.get("written_at")), "")
        seconds = ", ".join(f"{row['seconds']:.0f}" for row in rows)
        good = sum(row["right"] for row in rows)
        cell = f"`{named}`" if named else ""
        print(f"| {name} | {rows[0]['want']} | {len(rows)} | {good} | {cell} | {where or ''} | {seconds} |")
    print("\nThe seconds are of a shared machine with two cores and say little about another one.")


if __name__ == "__main__":
    main(sys.argv[1:])
