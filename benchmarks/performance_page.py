"""Draw the results of the benchmarks and put their figures into docs/performance.md, between its markers.

usage: performance_page.py [--check]; with `--check` nothing is written, and the exit code is 1 where page or pictures
are not what the results give. Every figure of that page stands between markers, so none can drift.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from measure.chart import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION, Line, Panel, Row, bars, lines
from measure.page import filled, settled, table

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "performance.md"
Result = Mapping[str, Any]

_CLASSES = (("never_run", "never run", SKY), ("started", "started", ORANGE), ("finished", "finished", VERMILION))
_CUT = 200
_QUESTIONS = {
    "start": "Start to the first answer",
    "crash": "`kill -9` of one of two to its successor's answer",
    "edit": "Edit to new code serving",
}


def ranged(spread: Mapping[str, float] | None, digits: int = 2) -> str:
    """A median with its range."""
    if spread is None:
        return "-"
    middle, low, high = (f"{spread[key]:,.{digits}f}" for key in ("median", "min", "max"))
    return f"{middle} ({low}-{high})"


def of(result: Result) -> str:
    """What the figures are of, in one line."""
    machine = result["machine"]
    programs = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return (
        f"*{machine['cores']} cores ({machine['processor']}), {machine['system']}, Python {machine['python']}; "
        f"{programs}; load {machine['load_before']} before and {machine['load_after']} after.*"
    )


def is_ours(name: str) -> bool:
    return name.startswith(("fungible", "router"))


def lost_table(result: Result) -> str:
    """Lost requests, a row of each way to run, for rolls and for kills."""
    out = []
    titles = {"roll": "Rolls and reloads", "kill": "`kill -9` of a process"}
    for question, title in titles.items():
        rows = []
        for name, found in result["rows"].items():
            row = found[question]
            if row["done"] == 0:
                continue
            cells: list[object] = [name, f"{row['done']} in {row['seconds']:.0f} s"]
            cells += [f"{row['fresh']['requests'] + row['kept']['requests']:,}"]
            for kind in ("fresh", "kept"):
                lost = row[kind]
                split = ", ".join(f"{lost[key]} {text}" for key, text, _ in _CLASSES if lost[key])
                cells.append(f"{lost['lost']}" + (f" ({split})" if split else ""))
            how = ", ".join(f"{times} {name}" for name, times in row["lost_how"].items())
            told = row["fresh"]["told"] + row["kept"]["told"]
            posts = row["fresh"]["post"] + row["kept"]["post"]
            all_lost = row["fresh"]["lost"] + row["kept"]["lost"]
            cells += [f"{told} of {all_lost} ({how})" if all_lost else "-", posts, row["ran_twice"]]
            cells.append("**ended as a whole**" if row["ended"] else "")
            rows.append(cells)
        head = ["", "how often", "requests", "lost, new connections", "lost, kept ones", "refused, not cut (how)"]
        out += [f"**{title}**", "", table([*head, "of them POST", "ran twice", ""], rows), ""]
    return "\n".join(out).rstrip()


def lost_chart(result: Result) -> str:
    """Lost requests by class."""
    panels = []
    for question, title in (("roll", "Rolls and reloads"), ("kill", "kill -9 of a process")):
        rows = []
        for name, found in result["rows"].items():
            row = found[question]
            sums = {key: row["fresh"][key] + row["kept"][key] for key, _, _ in _CLASSES}
            note = f"{sum(sums.values())}" + (", ended as a whole" if row["ended"] else "")
            rows.append(Row(name, [(sums[key], colour) for key, _, colour in _CLASSES], note))
        panels.append(Panel(f"{title} (bars end at {_CUT})", rows, _CUT))
    legend = [(f"the app had {text} it" if key != "never_run" else "the app never ran it", colour)
              for key, text, colour in _CLASSES]  # fmt: skip
    return bars("Requests lost, fresh and kept connections together", panels, legend)


def hop_bars(result: Result) -> list[tuple[str, float, float]]:
    """What the router is held to: a sentence, the figure, the least (or, with a minus, the most) it may be."""
    found = []
    for endpoint in ("waits 5 ms", "computes 5 ms"):
        router = result["tcp"][endpoint]["arms"]["router"]
        found.append((f"{endpoint}: throughput over direct", router["throughput_over_direct"]["median"], 0.97))
        found.append((f"{endpoint}: p99 over direct", router["p99_over_direct"]["median"], -1.1))
    if "nginx" in result["tcp"]["no-op"]["arms"]:
        tcp, unix = (result[way]["no-op"]["arms"]["router"] for way in ("tcp", "unix"))
        found.append(("no-op: throughput over nginx, TCP", tcp["throughput_over_nginx"]["median"], 0.85))
        found.append(("no-op: throughput over nginx, Unix sockets", unix["throughput_over_nginx"]["median"], 1.0))
    return found


def hop_table(result: Result) -> str:
    """Throughput, p50, p99 and processor time of each way to the process."""
    rows = []
    for way in ("tcp", "unix"):
        for endpoint, found in result[way].items():
            for name, arm in found["arms"].items():
                cpu = arm["cpu_us_per_request"]
                hop = cpu.get("proxy", 0) + cpu.get("supervisor", 0)
                cells: list[object] = [f"{endpoint}, {'Unix socket' if way == 'unix' else 'TCP'}", name]
                cells += [ranged(arm["requests_per_second"], 0), ranged(arm["p50_ms"]), ranged(arm["p99_ms"])]
                cells += [f"{hop:.0f}" if hop else "", f"{cpu['server']:.0f}"]
                rows.append(cells)
    head = ["endpoint", "way", "requests/s", "p50, ms", "p99, ms", "hop, µs of CPU", "server, µs of CPU"]
    held = [
        [text, f"{value:.2f}", f"at least {bar:.2f}" if bar > 0 else f"at most {-bar:.2f}",
         "yes" if (value >= bar if bar > 0 else value <= -bar) else "**no**"]
        for text, value, bar in hop_bars(result)
    ]  # fmt: skip
    arms = result["tcp"]["no-op"]["arms"]
    router, cpu = arms["router"], arms["router"]["cpu_us_per_request"]
    later = router["p50_ms"]["median"] - arms["direct"]["p50_ms"]["median"]
    said = (
        f"On a no-op, where client, router and server share {result['machine']['cores']} cores, the way through the "
        f"router brings {router['throughput_over_direct']['median']:.2f} of the direct throughput; a request costs "
        f"{cpu['proxy']:.0f} µs of processor time in HAProxy and {cpu['supervisor']:.0f} µs in the supervisor, "
        f"which reads a log line of each, and adds {later:.2f} ms "
        f"to the median at {result['tcp']['no-op']['connections']} connections."
    )
    parts = [table(head, rows), said, table(["held to", "median", "bar", "met"], held)]
    return "\n\n".join(parts)


def hop_chart(result: Result) -> str:
    """Throughput by way, a panel an endpoint."""
    panels = []
    for way in ("tcp", "unix"):
        for endpoint, found in result[way].items():
            rows = []
            for name, arm in found["arms"].items():
                rate = arm["requests_per_second"]
                colour = BLUE if is_ours(name) else GREY
                note = f"{rate['median']:,.0f}, p99 {arm['p99_ms']['median']:.1f} ms"
                rows.append(Row(name, [(rate["median"], colour)], note, rate["min"], rate["max"]))
            panels.append(Panel(f"{endpoint}, {'Unix socket' if way == 'unix' else 'TCP'}", rows))
    return bars("Requests a second to one process, by the way there", panels, [("ours", BLUE), ("others", GREY)])


def hop_cost_table(result: Result) -> str:
    """Instructions by part, and the system calls that each makes."""
    counted, calls = result["instructions"], result["system_calls"]
    rows: list[list[object]] = [["router", f"{counted['router']:,}"]]
    rows += [[f"of them for {part}", f"{count:,}"] for part, count in counted["of them"].items()]
    rows.append(["nginx", f"{counted['nginx']:,}"])
    made = [[who, f"{sum(found.values()):.1f}", ", ".join(f"{name} {count:.1f}" for name, count in found.items())]
            for who, found in calls.items()]  # fmt: skip
    head = ["no-op, Unix socket", "instructions a request, user space"]
    return table(head, rows) + "\n\n" + table(["no-op, Unix socket", "system calls a request", "which"], made)


def scaling_table(result: Result) -> str:
    """Throughput by number of processes, with the knee."""
    counts = list(next(iter(result["rows"].values())))
    rows = []
    for name, found in result["rows"].items():
        for count in counts:
            row = found[count]
            cells = [name, count, ranged(row["requests_per_second"], 0), f"{row['times_one_process']:.2f}"]
            rows.append([*cells, ranged(row["p50_ms"], 1), ranged(row["p99_ms"], 1)])
    knees = "; ".join(f"{name}: web={knee}" for name, knee in result["knee"].items())
    return table(["", "processes", "requests/s", "times one", "p50, ms", "p99, ms"], rows) + f"\n\nKnee: {knees}."


def scaling_chart(result: Result) -> str:
    """Throughput over the number of processes, with what a multiple of one would be."""
    all_of = []
    for name, found in result["rows"].items():
        points = [(float(count), row["requests_per_second"]["median"]) for count, row in found.items()]
        spread = [(row["requests_per_second"]["min"], row["requests_per_second"]["max"]) for row in found.values()]
        knee = [float(result["knee"][name])]
        all_of.append(Line(name, points, BLUE if is_ours(name) else ORANGE, spread, knee))
    first = all_of[0].points
    # At most twice the highest, so that the rest is not pressed flat.
    most = 1.3 * max(y for line in all_of for _, y in line.points)
    ideal = [(x, min(most, first[0][1] * x / first[0][0])) for x, _ in first]
    all_of.append(Line("so many times one process (cut off above)", ideal, GREY, dashed=True))
    return lines(
        "Throughput of an endpoint that waits 20 ms; ringed: the knee", "web processes", "requests/s", all_of
    )


def times_table(result: Result) -> str:
    """Seconds of each question, and ours over the same server alone."""
    out = []
    for question, found in result["rows"].items():
        rows = []
        for name, row in found.items():
            missing = f"{row['without_an_answer']} without an answer" if row["without_an_answer"] else ""
            rows.append([name, ranged(row["seconds"]), ranged(row.get("over_it_alone")), missing])
        out += [f"**{_QUESTIONS[question]}**", "", table(["", "seconds", "times the server alone", ""], rows), ""]
    return "\n".join(out).rstrip()


def times_chart(result: Result) -> str:
    """Seconds with their range."""
    panels = []
    for question, found in result["rows"].items():
        rows = []
        for name, row in found.items():
            took = row["seconds"]
            if took:
                colour = BLUE if is_ours(name) else GREY
                rows.append(
                    Row(name, [(took["median"], colour)], f"{took['median']:.2f} s", took["min"], took["max"])
                )
        panels.append(Panel(_QUESTIONS[question].replace("`", ""), rows))
    return bars("Seconds to an answer", panels, [("ours", BLUE), ("others", GREY)])


def logs_table(result: Result) -> str:
    """Lines a second."""
    rows = [
        [name, ranged(row["lines_per_second"], 0), ranged(row.get("over_honcho")),
         ranged(row["supervisor_us_per_line"], 1), row["missing"]]
        for name, row in result["rows"].items()
    ]  # fmt: skip
    return table(["", "lines/s", "times honcho", "supervisor, µs of CPU a line", "missing"], rows)


def logs_chart(result: Result) -> str:
    """Lines a second, with their range."""
    rows = []
    for name, row in result["rows"].items():
        rate = row["lines_per_second"]
        colour = BLUE if is_ours(name) else GREY
        rows.append(Row(name, [(rate["median"], colour)], f"{rate['median']:,.0f}", rate["min"], rate["max"]))
    return bars("Log lines a second from a process to the terminal", [Panel("lines/s", rows)])


_PARTS = (("supervisor_mib", "supervisor", BLUE), ("router_mib", "router", GREEN),
          ("kept_for_processes_mib", "kept for the processes", ORANGE))  # fmt: skip


def supervisor_table(result: Result) -> str:
    """MiB by part."""
    rows = []
    for name, found in result["rows"].items():
        for count, row in found.items():
            if isinstance(row, dict):
                rows.append([name, count, *(row[key] for key, _, _ in _PARTS), row["all_mib"]])
    more = "; ".join(f"{name} {found['mib_for_one_more_process']} MiB" for name, found in result["rows"].items())
    head = ["", "processes", *(text for _, text, _ in _PARTS), "all, MiB"]
    return table(head, rows) + f"\n\nOne process more: {more}."


def supervisor_chart(result: Result) -> str:
    """MiB by part."""
    rows = [
        Row(f"{name}, {count} processes", [(row[key], colour) for key, _, colour in _PARTS], f"{row['all_mib']:g}")
        for name, found in result["rows"].items() for count, row in found.items() if isinstance(row, dict)
    ]  # fmt: skip
    legend = [(text, colour) for _, text, colour in _PARTS]
    return bars("Memory beside the app's own processes", [Panel("MiB, shared pages divided", rows)], legend)


Blocks = Mapping[str, tuple[Callable[[Result], str], Callable[[Result], str]]]
BLOCKS: Blocks = {
    "lost": (lost_table, lost_chart),
    "hop": (hop_table, hop_chart),
    "hop-cost": (hop_cost_table, lambda _: ""),
    "scaling": (scaling_table, scaling_chart),
    "times": (times_table, times_chart),
    "logs": (logs_table, logs_chart),
    "supervisor": (supervisor_table, supervisor_chart),
}


def main() -> int:
    """Write, or with `--check` compare, the page and the pictures."""
    blocks: dict[str, str] = {}
    wanted: dict[Path, str] = {}
    for name, (tabled, drawn) in BLOCKS.items():
        path = RESULTS / f"{name}.json"
        result = json.loads(path.read_text()) if path.exists() else None
        blocks[name] = "Not measured yet." if result is None else f"{tabled(result)}\n\n{of(result)}"
        wanted[RESULTS / f"{name}.svg"] = "" if result is None else drawn(result)
    return settled({PAGE: filled(PAGE, blocks), **wanted}, "benchmarks/performance_page.py")


if __name__ == "__main__":
    raise SystemExit(main())
