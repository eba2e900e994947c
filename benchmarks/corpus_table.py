"""Make docs/corpus.md from what `make corpus` measured: verdict, culprit and smallest case on third-party apps with
known truth.

usage: corpus_table.py RESULT.json [RESULT.json ...] > docs/corpus.md

A result file is one run of the judge over the corpus. Beside RESULT.json the folder RESULT/ has the reports of that
run, one an app (`corpus_keep.py`); the smallest cases are taken from the last of them. A file whose name ends with
`-boot.json` is of a run with `--mode boot`: it says whether forked and booted processes lead to one verdict.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

Row = dict[str, Any]
_HEAD = """# Apps with known truth

Third-party apps, each run unchanged with a workload of some ten requests and without masks written for it. The truth
was found beforehand by another, weaker instrument: two processes that take turns, and restarts. `make corpus
CORPUS=FOLDER` runs them again; this page is made of its results by benchmarks/corpus_table.py.
"""
_FOOT = """
\\* The truth names another file. What is named here is confirmed by its counterfactual: with this object put back, or
without this file, the one process answers as the others do. The truth names where it is set up (the setting that
chooses files, the base class).

The seconds are wall time on a shared machine with two cores. What the table does not show: apps whose workload does
not reach what they keep, apps in other languages, and how long an app with a slow start takes.
"""


def main(paths: list[Path]) -> None:
    """Print the page."""
    runs: dict[str, list[Row]] = defaultdict(list)
    reports: dict[str, Row] = {}
    booted = {row["name"]: row for path in paths if _is_booted(path) for row in json.loads(path.read_text())}
    paths = [path for path in paths if not _is_booted(path)]
    for path in paths:
        for row in json.loads(path.read_text()):
            runs[row["name"]].append(row)
            report = path.with_suffix("") / f"{row['name']}.json"
            if report.is_file() and report.stat().st_size:
                reports[row["name"]] = json.loads(report.read_text())
    print(_HEAD)
    right = sum(all(row["right"] for row in rows) for rows in runs.values())
    named = [any(row["blamed_truth_file"] for row in rows) for rows in runs.values() if _has_truth(rows)]
    print(
        f"Verdict right in every run: {right} of {len(runs)} apps ({len(paths)} run{'s' if len(paths) > 1 else ''})."
    )
    print(f"Culprit in the file that the truth names: {sum(named)} of {len(named)} apps that keep state.\n")
    print("\n".join(_agreement(runs, reports, booted)))
    print("| app | truth | right | held by | written at | seconds |")
    print("|---|---|---|---|---|---|")
    for name, rows in sorted(runs.items()):
        print(_line(name, rows, reports.get(name)))
    print(_FOOT)
    for name in sorted(reports):
        if reports[name].get("differences"):
            print("\n".join(_case(name, reports[name])))


def _is_booted(path: Path) -> bool:
    return path.stem.endswith("-boot")


def _agreement(runs: dict[str, list[Row]], reports: dict[str, Row], booted: dict[str, Row]) -> list[str]:
    """What forked and booted processes say of the apps that allow both."""
    both = [name for name in sorted(runs) if name in booted and reports.get(name, {}).get("mode") == "fork"]
    if not both:
        return []
    other = [name for name in both if booted[name]["got"] != runs[name][-1]["got"]]
    said = (
        f"Where processes can be forked, real boots alone (`--mode boot`) say the same: {len(both) - len(other)} of"
    )
    exceptions = f"; not of {', '.join(other)}" if other else ""
    return [f"{said} {len(both)} apps{exceptions}.", ""]


def _has_truth(rows: list[Row]) -> bool:
    return any(row["blamed_truth_file"] is not None for row in rows)


def _line(name: str, rows: list[Row], report: Row | None) -> str:
    differences = (report or {}).get("differences", [])
    culprits = [each["culprit"] for each in differences] or [each for row in rows for each in row["culprits"] if each]
    found = next((each for each in culprits if each.get("object") or each.get("file")), {})
    held = found.get("object") or found.get("file") or ""
    seconds = statistics.median(row["seconds"] for row in rows)
    link = f"[{name}](#{name})" if differences else name
    beside = _has_truth(rows) and not any(row["blamed_truth_file"] for row in rows)
    held = (f"`{held}`" if held else "") + (" *" if beside else "")
    at = found.get("written_at") or found.get("declared_at") or ""
    right = f"{sum(row['right'] for row in rows)}/{len(rows)}"
    return f"| {link} | {rows[0]['want']} | {right} | {held} | {at} | {seconds:.0f} |"


def _case(name: str, report: Row) -> list[str]:
    lines = [f"## {name}", ""]
    for number, each in enumerate(report["differences"], 1):
        culprit = each["culprit"]
        lines.append(f"{number}. {each['outcome']}")
        lines.append("")
        lines += [
            f"       {request}  [{'no process' if process is None else f'process {process}'}]"
            for request, process in zip(each["requests"], each["processes"], strict=True)
        ]
        lines.append("")
        held = culprit["object"] or culprit["file"]
        places = ", ".join(
            f"{label} {culprit[key]}"
            for label, key in (("written at", "written_at"), ("declared at", "declared_at"))
            if culprit[key]
        )
        sure = "" if culprit["confirmed"] else ", not confirmed"
        lines.append(f"   Held by {f'`{held}`' if held else culprit['where']}{sure}. {places.capitalize()}.")
        lines.append(f"   Mend: [{each['class']}](mend/{each['class']}.md).")
        lines.append("")
    return lines


if __name__ == "__main__":
    main([Path(path) for path in sys.argv[1:]])
