"""An experiment that does not see the planted leaks says nothing about the app."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fungible.app.load import load_app
from fungible.verify.experiment import Experiment, Wishes
from fungible.verify.findings import Findings
from fungible.verify.workload.file import load_workload
from fungible.verify.world.canary import EXPECTED
from fungible.verify.world.ground import prepare_ground
from fungible.verify.world.laboratory import Laboratory
from tests.verify.leaks import memory
from tests.verify.leaks.experiments import write_app


async def verify_seeing(found: tuple[str, ...], folder: Path) -> Findings:
    """The findings of a leaking app by an experiment that sees these canaries."""
    app = write_app(folder / "app", memory.ALL[:1], mended=False)
    home = str(folder / "state")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

    async def look() -> tuple[str, ...]:
        return found

    environment = {"PATH": path, "HOME": home, "XDG_STATE_HOME": home}
    async with prepare_ground(load_app(app), environment, say=lambda _: None) as ground:
        laboratory = Laboratory(replace(ground, canaries=look))
        workload = load_workload(app / "workload.json")
        return await Experiment(laboratory, workload, Wishes(), say=lambda _: None).run()


@pytest.mark.parametrize("missing", EXPECTED)
def test_without_a_canary_the_app_is_not_judged(tmp_path: Path, missing: str) -> None:
    findings = asyncio.run(verify_seeing(tuple(each for each in EXPECTED if each != missing), tmp_path))
    assert (findings.verdict, findings.differences) == ("not_judged", ())
    assert f"the planted {missing}" in findings.reasons[0]
