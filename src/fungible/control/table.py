"""Documents of the API as people read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from fungible.runtime.logs.console import named_apart


def formation_table(document: dict[str, Any]) -> str:
    """The document for people."""
    columns = ("NAME", "STATE", "RELEASE", "PID", "UP", "RESTARTS", "MEMORY", "REQUESTS", "IN FLIGHT", "LAST END")
    names = Counter(each["name"] for each in document["processes"])
    rows = [
        (
            each["name"] if names[each["name"]] == 1 else named_apart(each["name"], each["instance"]),
            each["state"],
            each["release"],
            str(each["pid"] or "-"),
            duration(each["uptime_s"]),
            str(each["restarts"]),
            _memory(each),
            str(each["requests"]),
            str(each["in_flight"]),
            each["last_end"] or "-",
        )
        for each in document["processes"]
    ]
    wanted = " ".join(f"{name}={count}" for name, count in document["wanted"].items())
    head = f"{document['release']} at {document['url'] or 'no port'}: {wanted}"
    rests = [
        f"{each['name']} crashed {each['crashes']} times in a row ({each['cause']}): next start in "
        f"{each['next_start_s']:g} s"
        for each in document["resting"]
    ]
    return "\n".join(
        [head, *(aligned((columns, *rows)) if rows else ["no process runs"]), *rests, *_services(document)]
    )


def _services(document: dict[str, Any]) -> list[str]:
    """The embedded servers, below an empty line."""
    services = document.get("services")  # a formation that an older release of Fungible runs tells of none
    if not services:
        return []
    columns = ("SERVICE", "STATE", "KIND", "PID", "UP", "RESTARTS", "MEMORY", "LAST END")
    rows = [
        (
            each["name"],
            each["state"],
            each["kind"],
            str(each["pid"] or "-"),
            duration(each["uptime_s"]) if each["uptime_s"] is not None else "-",
            str(each["restarts"]),
            _memory(each),
            each["last_end"] or "-",
        )
        for each in services
    ]
    fails = [
        f"{each['failure']}; next start in {each['next_start_s'] or 0:g} s" for each in services if each["failure"]
    ]
    return ["", *aligned((columns, *rows)), *fails]


def _memory(each: dict[str, Any]) -> str:
    return f"{round(each['memory_bytes'] / 2**20)} MiB" if each["memory_bytes"] is not None else "-"


def duration(seconds: float) -> str:
    """`7s`, `3m12s`, `2h05m`, `3d04h`."""
    whole = int(seconds)
    for unit, size, below, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // part:02d}{below}"
    return f"{whole}s"


def releases_table(releases: Sequence[dict[str, Any]]) -> str:
    """The releases, newest first."""
    rows = [
        (
            each["name"],
            "serves" if each["serves"] else "abandoned" if each["abandoned"] is not None else "",
            each["made_at"],
            each["build"],
            each["digest"][:12],
            each["reason"] + (f": {each['abandoned']}" if each["abandoned"] else ""),
        )
        for each in reversed(releases)
    ]
    head = ("RELEASE", "STATE", "MADE", "CODE OF", "BUILD", "WHY")
    return "\n".join(aligned([head, *rows])) if rows else "no release yet"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines, their columns below each other."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
