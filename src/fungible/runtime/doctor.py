"""`fungible doctor`: what this machine allows, found by trying."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from typing import Any

from fungible.app.problem import Exit, Problem
from fungible.runtime.ground.folders import folders_for
from fungible.sandbox.landlock import version as landlock_version
from fungible.sandbox.probe import describe, probe
from fungible.services.inventory import inventory
from fungible.services.place import private_folder


def examine(*, as_json: bool) -> int:
    """Print the findings; 0 where processes can run and be routed, 3 where not."""
    found = asyncio.run(_examine())
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(found)) + "\n")
    return Exit.DONE if found["router"]["present"] else Exit.NOT_ALLOWED


async def _examine() -> dict[str, Any]:
    folder = private_folder(folders_for("doctor", os.environ).root)
    with tempfile.TemporaryDirectory(prefix="doctor-", dir=folder) as trial:
        abilities = await probe(trial)
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return {
        "system": f"{system}, Python {platform.python_version()}",
        "isolation": {
            "auto": abilities.allowed[0],
            "allowed": list(abilities.allowed),
            "refused": abilities.reasons,
            "sentence": describe(abilities.allowed[0], abilities.scopes_sockets),
            "layer": abilities.layer,
            "landlock": landlock_version(),
        },
        "router": _router(),
        "services": [asdict(available) for available in inventory()],
    }


def _router() -> dict[str, Any]:
    from fungible.runtime.router.binary import find

    try:
        binary = find()
    except Problem as problem:
        return {"present": False, "why": problem.message}
    return {"present": True, "version": ".".join(map(str, binary.version)), "path": str(binary.path)}


def _lines(found: dict[str, Any]) -> list[str]:
    isolation = found["isolation"]
    lines = [f"system     {found['system']}", f"isolation  {isolation['sentence'].removeprefix('isolation ')}"]
    lines += [f"           {level}: {why}" for level, why in isolation["refused"].items()]
    router = found["router"]
    lines.append(f"router     HAProxy {router['version']}" if router["present"] else f"router     {router['why']}")
    for service in found["services"]:
        if service["present"]:
            what = service["version"] or "always there"
        else:
            what = "; ".join(text for text in (f"not here: {service['where']}", service["how"]) if text)
        lines.append(f"service    {service['kind']:<10} {what}")
    return lines
