"""Put the figures of verify's benchmarks into docs/verify-performance.md, between its markers.

usage: verify_page.py [--check]; with `--check` nothing is written, and the exit code is 1 where the page is not what
the results give.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from measure.page import filled, settled, table
from performance_page import HERE, RESULTS

PAGE = HERE.parent / "docs" / "verify-performance.md"
Result = Mapping[str, Any]


def of(result: Result) -> str:
    """The machine, and whether it had other things to do: from a load of one on, figures in seconds are too high."""
    machine = result["machine"]
    before, after = machine["load_before"], machine["load_after"]
    busy = "" if before < 1 else " **The machine was busy: take the counts and the ratios, not the seconds.**"
    system = f"{machine['cores']} cores, {machine['system']}, Python {machine['python']}"
    return f"*{system}; load average {before} before, {after} after.*{busy}"


def rates(result: Result) -> str:
    """Requests a second and memory, a row for each framework and way to make processes."""
    rows, memory = [], []
    for name, found in result["whole worlds with their stores and processes: min, median, max"].items():
        for how in ("fork", "boot"):
            cells = [found["requests a second"][f"{kind} by {how}"] for kind in ("newborn", "split", "warm")]
            rows.append((name, how, *(f"{middle:g} ({low:g}-{high:g})" for low, middle, high in cells)))
        megabytes = found["MB"]
        sizes = [megabytes[each] for each in ("an import", "a forked slot", "a booted slot")]
        memory.append((name, *sizes, found["seconds for the two imports"]))
    head = (
        f"{result['steps']} requests in a world, {result['runs']} worlds of each kind; requests a second, median "
        "(least-most):"
    )
    return "\n\n".join(
        (
            head,
            table(("app", "processes made by", "newborn", "split", "warm"), rows),
            "Megabytes (PSS) in a split world, of one process each, and seconds for the two imports:",
            table(("app", "an import", "a forked slot", "a booted slot", "both imports, s"), memory),
        )
    )


def searches(result: Result) -> str:
    """Requests until a leak is found, computed; then what real worlds showed."""
    parts = []
    for size, found in result["computed: requests until found"].items():
        rows = []
        for leak, ways in found.items():
            if leak != "given up after":
                rows.append((leak, *(_searched(way) for way in ways.values())))
        head = ("leak", "verify", "random placement", "round robin, once", "round robin, repeated")
        parts += [f"{size}, given up after {found['given up after']:,} requests:", table(head, rows)]
    run = result["run in forked worlds"]
    leaks = run["leaks"]
    same, worlds = run["the placement alone says the same"], run["worlds"]
    by: dict[str, int] = {}
    for each in leaks.values():
        how = (each["found by"] or "none").split(" ")[0]
        by[how] = by.get(how, 0) + 1
    mean = sum(each["random worlds that show it"] for each in leaks.values()) / len(leaks) / worlds["random"]
    shown = ", ".join(f"{count} by {'the first mask' if how == 'split' else how}" for how, count in by.items())
    unseen = [name for name, each in leaks.items() if each["found by"] is None]
    robin = sum(each["round robin, once"] for each in leaks.values())
    parts.append(
        f"Run for real: {len(leaks)} leaks of `tests/verify/leaks` in one app, {run['steps']} requests, "
        f"{worlds['verify']} worlds of verify's. Found: {shown}"
        + (f" ({', '.join(unseen)})" if unseen else "")
        + f". Round robin, once, showed {robin} of them; a random placement shows {mean:.0%} of them on average. In "
        f"{same['times']:,} of {same['of']:,} cases a world showed a leak exactly where its placement says so."
    )
    return "\n\n".join(parts)


def _searched(way: Mapping[str, float | None]) -> str:
    median, never = way["median"], way["never"] or 0.0
    text = "-" if median is None else f"{median:,.0f}"
    return f"{text}, never {never:.1%}" if never else f"{text}, most {way['most'] or 0:,.0f}"


def culprits(result: Result) -> str:
    """From a differing world to the confirmed culprit, a row for each leak."""
    parts = []
    for name, found in result["apps"].items():
        rows = [
            (
                f"`{row['culprit']}`",
                "yes" if row["confirmed"] else "no",
                " → ".join(f"`{each}`" for each in row["requests"]),
                row["worlds"],
                row["boots"],
                row["seconds"],
            )
            for row in found["culprits"]
        ]
        whole, rest = found["whole run"], found["steps that only repeat one of these, or show nothing again"]
        parts += [
            f"`{name}`: {whole['worlds']} worlds, {whole['boots']} boots and {whole['seconds']:g} s in all, for "
            f"{whole['differences']} differences, {whole['confirmed']} with a confirmed culprit; of these "
            f"{rest['worlds']:g} worlds, {rest['boots']:g} boots and {rest['seconds']:g} s for {rest['steps']} steps "
            "that show one of them again, or nothing.",
            table(("culprit", "confirmed", "smallest case", "worlds", "boots", "s"), rows),
        ]
    return "\n\n".join(parts)


def fifty(result: Result) -> str:
    """The stages of the median run, and what was under way."""
    runs = sorted(result["runs"], key=lambda run: run["seconds"])
    run = runs[len(runs) // 2]
    seconds = ", ".join(f"{each['seconds']:g}" for each in runs)
    return "\n\n".join(
        (
            f"**{result['median']:g} s** (runs: {seconds}; the bar: {result['bar in seconds']:g}): {run['worlds']} "
            f"worlds, {run['requests']:,} requests, {run['boots']} boots of {result['a boot']:g} s each, "
            f"{run['processor seconds']:g} s of processor time in all.",
            table(("stage", "s"), list(run["stages"].items())),
            "Two lanes run worlds side by side, so these add up to more:",
            table(("worlds", "how many", "s in all"), [(k, *each) for k, each in run["under way"].items()]),
        )
    )


BLOCKS: Mapping[str, Callable[[Result], str]] = {
    "verify": rates,
    "found": searches,
    "culprit": culprits,
    "fifty": fifty,
}


def main() -> int:
    """Write, or with `--check` compare, the page."""
    blocks: dict[str, str] = {}
    for name, block in BLOCKS.items():
        path = RESULTS / f"{name}.json"
        result = json.loads(path.read_text()) if path.exists() else None
        blocks[name] = "Not measured yet." if result is None else f"{block(result)}\n\n{of(result)}"
    return settled({PAGE: filled(PAGE, blocks)}, "benchmarks/verify_page.py")


if __name__ == "__main__":
    raise SystemExit(main())
