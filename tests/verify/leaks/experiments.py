"""Run `verify` in this process on an app made of several small modules."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fungible.app.load import load_app
from fungible.verify.experiment import Experiment, Wishes
from fungible.verify.findings import Findings
from fungible.verify.workload.file import load_workload
from fungible.verify.world.ground import prepare_ground
from fungible.verify.world.laboratory import Laboratory
from tests.verify.leaks.leak import Leak

_HERE = Path(__file__).parent
_SCHEMA = 'import sys\nfrom web import store\nstore().executescript(open("schema.sql").read())\n'
_SETTINGS = """
[services]
DATABASE_URL = "sqlite"
[verify]
setup = "python schema.py"
"""


def write_app(folder: Path, modules: Sequence[Leak], *, mended: bool) -> Path:
    """One app with a page for each of `modules`, and its workload; returns its folder."""
    folder.mkdir(parents=True)
    shutil.copy(_HERE / "web.py", folder)
    for each in modules:
        (folder / f"{each.name}.py").write_text(each.twin if mended else each.source)
    imports = "".join(f"import {each.name}\n" for each in modules)
    (folder / "app.py").write_text(f"{imports}from web import serve\nserve()\n")
    (folder / "schema.sql").write_text("\n".join(each.schema for each in modules))
    (folder / "schema.py").write_text(_SCHEMA)
    (folder / "fungible.toml").write_text(_SETTINGS)
    (folder / "Procfile").write_text("web: python app.py\n")
    write_workload(folder, [request for each in modules for request in each.requests])
    return folder


def write_program(
    folder: Path, source: str, requests: Sequence[dict[str, Any]], *, settings: str = "", web: str = "python app.py"
) -> Path:
    """An app of one program beside `web.py`, and its workload; returns its folder."""
    folder.mkdir(parents=True)
    shutil.copy(_HERE / "web.py", folder)
    (folder / "app.py").write_text(textwrap.dedent(source).lstrip())
    (folder / "Procfile").write_text(f"web: {web}\n")
    if settings:
        (folder / "fungible.toml").write_text(settings)
    write_workload(folder, requests)
    return folder


def write_workload(folder: Path, requests: Sequence[dict[str, Any]]) -> None:
    (folder / "workload.json").write_text(json.dumps({"requests": list(requests)}))


def run(
    folder: Path,
    state: Path,
    mode: str = "auto",
    said: list[str] | None = None,
    laboratory: type[Laboratory] = Laboratory,
) -> Findings:
    """The findings of the app in `folder` with its `workload.json`; `state` is where Fungible keeps its own. What is
    said of its progress is added to `said`."""
    return asyncio.run(_run(folder, state, mode, _silent if said is None else said.append, laboratory))


async def _run(
    folder: Path, state: Path, mode: str, say: Callable[[str], None], laboratory: type[Laboratory]
) -> Findings:
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(state),
        "XDG_STATE_HOME": str(state),
    }
    workload = load_workload(folder / "workload.json")
    async with prepare_ground(load_app(folder), environment, say=_silent) as ground:
        return await Experiment(laboratory(ground), workload, Wishes(mode=mode), say=say).run()


def _silent(_: str) -> None:
    """Tests need no progress."""
