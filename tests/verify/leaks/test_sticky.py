"""The example with nine violations: one run over all of them finds each, and blames the line."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from fungible.app.load import load_app
from fungible.verify import examine
from fungible.verify.experiment import Experiment, Wishes
from fungible.verify.findings import Difference, Findings
from fungible.verify.report.mend import mend_class
from fungible.verify.workload.file import load_workload
from fungible.verify.world.ground import prepare_ground
from fungible.verify.world.laboratory import Laboratory

pytestmark = [pytest.mark.timeout(1500), pytest.mark.xdist_group("sticky")]

STICKY = Path(__file__).parents[3] / "examples" / "almanac_sticky"


@dataclass(frozen=True)
class Truth:
    """What held it (`object` up to the first key), a piece of the line to blame in `module`, its class, and the
    requests of the smallest case."""

    held: str
    module: str
    line: str
    mend: str
    requests: tuple[str, ...]


NINE = {
    "login": Truth(
        "accounts.logged_in", "accounts", "logged_in[token] = name", "session-in-memory",
        ("POST /login", "GET /account"),
    ),
    "basket": Truth(
        "basket.Basket.contents", "basket", "self.contents.setdefault(", "class-attribute",
        ("POST /basket", "GET /basket"),
    ),
    "row_cache": Truth(
        "catalogue.find_dataset", "catalogue", "@lru_cache", "cache",
        ("GET /datasets/1", "POST /datasets/1/title", "GET /datasets/1"),
    ),
    "upload": Truth(
        "almanac_sticky/uploads/rain.csv", "uploads", "file.save(", "files",
        ("POST /uploads", "GET /uploads/rain.csv"),
    ),
    "signing_key": Truth(
        "sharing.signer", "sharing", "secrets.token_hex", "secret-at-import",
        ("POST /datasets/2/share", "GET ${link}"),
    ),
    "rate_limit": Truth(
        "limits.failures", "limits", "failures[name] = recent", "counter-or-limiter",
        ("POST /login", "POST /login", "POST /login"),
    ),
    "job_status": Truth(
        "exports.status", "exports", "status[export_id] = {", "job-status",
        ("POST /exports", "GET /exports/${export}"),
    ),
    "stylesheet": Truth(
        "almanac_sticky/static/css/site-", "styles", "write_text(text)", "assets-at-run-time",
        ("GET /", "GET ${css}"),
    ),
    "boot_setting": Truth(
        "settings.SETTINGS", "settings", "SETTINGS[name] = value", "settings-at-boot",
        ("POST /settings", "GET /datasets"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    folder = tmp_path_factory.mktemp("sticky")
    shutil.copytree(STICKY, folder / "sticky", ignore=shutil.ignore_patterns(".*", "__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examine, "EXAMINE_SECONDS", 3600.0)  # a slow machine is no reason to examine less
        return asyncio.run(_verify(folder / "sticky", folder / "state"))


async def _verify(app: Path, state: Path) -> Findings:
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(state),
        "XDG_STATE_HOME": str(state),
    }
    async with prepare_ground(load_app(app), environment, say=_silent) as ground:
        workload = load_workload(app / "tests" / "workload.yaml")
        return await Experiment(Laboratory(ground), workload, Wishes(), say=_silent).run()


def _silent(_: str) -> None:
    """Tests need no progress."""


def _held(difference: Difference) -> str:
    culprit = difference.culprit
    return (culprit.object or culprit.file or "").removeprefix("almanac_sticky.")


def _difference(findings: Findings, name: str) -> Difference:
    (found,) = [each for each in findings.differences if _held(each).startswith(NINE[name].held)]
    return found


def test_nine_differences_and_nothing_else(findings: Findings) -> None:
    assert len(findings.differences) == len(NINE), [(each.requests, each.culprit) for each in findings.differences]
    assert not any("not examined" in warning for warning in findings.warnings)
    assert findings.mode == "fork"


@pytest.mark.parametrize("name", NINE)
def test_each_is_found_in_the_same_run_and_blamed_on_its_line(findings: Findings, name: str) -> None:
    truth, difference = NINE[name], _difference(findings, name)
    culprit = difference.culprit
    assert culprit.confirmed, culprit
    assert _lines(truth) & {culprit.written_at, culprit.called_from, culprit.declared_at}, culprit
    assert tuple(text.partition(" ")[2] for text in difference.requests) == truth.requests
    assert mend_class(difference) == truth.mend


def _lines(truth: Truth) -> set[str | None]:
    path = f"almanac_sticky/{truth.module}.py"
    lines: Mapping[int, str] = dict(enumerate((STICKY / path).read_text().splitlines(), start=1))
    return {f"{path}:{number}" for number, line in lines.items() if truth.line in line}
