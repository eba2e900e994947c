"""Put the two results on sessions into docs/sessions-compared.md, between its markers, and draw sessions.svg.

usage: sessions_page.py [--check]; with `--check` nothing is written, and the exit code is 1 where they are not what
the results give.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measure.chart import BLUE, GREY, Panel, Row, bars
from measure.page import filled, settled, table
from performance_page import of

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "sessions-compared.md"
CHART = RESULTS / "sessions.svg"
Result = Mapping[str, Any]

_SIGNS = {"yes": "yes", "no": "**no**", "not offered": "-"}
_DISTRIBUTION = {
    "Flask-Session": "flask-session",
    "starsessions": "starsessions",
    "Litestar": "litestar",
    "Django cache": "django",
    "Django cached_db": "django",
    "Django db": "django",
}
_CUT = 1000
_SHORT = {"EVALSHA": "script"}


def _asked(row: Mapping[str, Any]) -> str:
    """ "GET SET, 2 SQL", or 0."""
    words = [_SHORT.get(word, word) for word in row["commands"]]
    parts = [" ".join(words)] if words else []
    if row["sql"]:
        parts.append(f"{row['sql']} SQL")
    said = ", ".join(parts) or "0"
    return said + (" + cookie" if row["cookies"] else "")


def _commands(result: Result) -> str:
    kinds = list(next(iter(result["commands"].values())))
    rows = [[name, *(_asked(row[kind]) for kind in kinds)] for name, row in result["commands"].items()]
    return table(["", *kinds], rows)


def _cpu(result: Result) -> str:
    kinds = ("untouched", "read", "read and write", "first write")
    rows = []
    for name, row in result["cpu_us"].items():
        if name.startswith("floor"):
            cells = [
                f"{row[kind]['least']:.0f} ({row[kind]['median']:.0f})" if kind in row else "-" for kind in kinds
            ]
            rows.append([f"*{name.replace('floor', 'client alone:')}*", "-", *cells])
        else:
            cells = [f"{row[kind]['over_bare']:.0f} ({row[kind]['over_bare_median']:.0f})" for kind in kinds]
            rows.append([name, f"{row['untouched']['bare_least']:.0f}", *cells])
    return table(["", "bare app", *kinds], rows)


def _rest(result: Result) -> str:
    rows = []
    for name, lost in result["lost_updates"].items():
        rate = result["throughput"][name]
        said = f"{lost['lost']:,} of {lost['pairs']:,}" + (f", {lost['refused']} refused" if lost["refused"] else "")
        rates = [f"{rate[kind]['most']:,} ({rate[kind]['median']:,})" for kind in ("read", "read and write")]
        rows.append([name, said, *rates])
    return table(["", "lost writes in pairs", "reads a second", "reads and writes a second"], rows)


def _away(result: Result, what: str) -> str:
    kinds = ("untouched", "read", "read and write", "first write", "the fifth")
    rows = []
    for name, row in result[what].items():
        cells = []
        for kind in kinds:
            seconds, answer = row[kind]["seconds"], row[kind]["answer"]
            cells.append(answer if seconds is None else f"{answer}, {seconds:.2f} s")
        rows.append([name, *cells, "**yes**" if row["users logged out"] else "no"])
    return table(["", *kinds[:-1], "a fifth request", "cookie taken away"], rows)


def _over(result: Result) -> str:
    """What the kit adds to its client, in words."""
    parts = [
        f"{name.partition(', ')[2]}: {row['read']:.0f} µs a read, {row['read and write']:.0f} µs a read and write"
        for name, row in result["kit_over_its_client_us"].items()
    ]
    over = f"Over the bare client and the bare app, the kit adds: {'; '.join(parts)}."
    imports = result["import_ms"]["import fungible_kit"]
    return f"{over}\n\n`import fungible_kit` takes {imports:.0f} ms."


def chart(result: Result) -> str:
    """CPU over the bare app."""
    panels = []
    for kind in ("read", "read and write"):
        rows = []
        for name, row in result["cpu_us"].items():
            if not name.startswith("floor"):
                colour = BLUE if name.startswith("kit") else GREY
                least = row[kind]["over_bare"]
                rows.append(Row(name, [(least, colour)], f"{least:,.0f} µs"))
        most = max(row.parts[0][0] for row in rows)
        title = f"{kind} (bars end at {_CUT:,} µs)" if most > _CUT else kind
        panels.append(Panel(title, rows, _CUT))
    legend = [("the kit", BLUE), ("other libraries", GREY)]
    return bars("CPU of a request over the same app without sessions, least of the rounds", panels, legend)


def conformance(result: Result) -> str:
    """A row for each case, a column for each library."""
    names = list(result["answers"])
    heads = [name if name == "kit" else f"{name} {result['versions'][_DISTRIBUTION[name]]}" for name in names]
    rows = [[case, *(_SIGNS[result["answers"][name][case]] for name in names)] for case in result["cases"]]
    sums = []
    for name in names:
        answers = list(result["answers"][name].values())
        sums.append(" / ".join(str(answers.count(word)) for word in ("yes", "no", "not offered")))
    return table(["", *heads], [*rows, ["**yes / no / not offered**", *sums]])


def blocks(measured: Result | None, cases: Result | None) -> dict[str, str]:
    """What stands between the markers of the page, by their names."""
    found = {"conformance": conformance(cases)} if cases is not None else {}
    if measured is not None:
        found |= {
            "commands": _commands(measured),
            "cpu": _cpu(measured),
            "over": _over(measured),
            "rest": _rest(measured),
            "stopped": _away(measured, "stopped"),
            "frozen": _away(measured, "frozen"),
            "of": of(measured),
        }
    return found


def main() -> int:
    """0: written, or as it should be; 1: `--check` found a difference."""
    measured, cases = (
        json.loads(path.read_text()) if (path := RESULTS / f"{name}.json").exists() else None
        for name in ("sessions", "sessions-conformance")
    )
    wanted = {PAGE: filled(PAGE, blocks(measured, cases))}
    if measured is not None:
        wanted[CHART] = chart(measured)
    return settled(wanted, "benchmarks/sessions_page.py")


if __name__ == "__main__":
    sys.exit(main())
