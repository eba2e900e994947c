"""The order in which a deploy asks `kubectl`, and what it does when something fails.

No cluster runs here: a stand-in answers in its place, as a cluster would have, and hands what is applied to the real
`kubectl kustomize`, so that what a cluster would be given is looked at.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest
import yaml

from fungible.app.problem import Exit, Problem
from fungible.engines.kubernetes.configuration import secret_files
from fungible.engines.kubernetes.deploy import deploy, objects_of
from fungible.engines.kubernetes.export import Options, export_folder
from tests.engines.formations import CONFIG, shop

REAL = shutil.which("kubectl")

_STAND_IN = """#!{python}
import json, os, subprocess, sys
folder = {folder!r}
words = sys.argv[1:]
with open(folder + "/asked", "a") as file:
    file.write(json.dumps(words) + "\\n")
plan = json.load(open(folder + "/plan"))
if words[0] == "apply" and {real!r}:
    applied = subprocess.run([{real!r}, "kustomize", words[2]], capture_output=True, text=True, check=True).stdout
    open(folder + "/applied", "w").write(applied)
    modes = [os.stat(path).st_mode for path in (words[2], words[2] + "/secrets.env")]
    json.dump(modes, open(folder + "/modes", "w"))
elif "-l" in words and words[words.index("-l") + 1].startswith("job-name="):
    state = {{"waiting": {{"reason": plan["waiting"], "message": "no such image"}}}} if plan["waiting"] else {{}}
    print(json.dumps({{"items": [{{"status": {{"containerStatuses": [{{"state": state}}]}}}}]}}))
elif "job" in words:
    ended = {{"type": plan["job"], "status": "True", "message": "BackoffLimit"}}
    print(json.dumps({{"status": {{"conditions": [ended]}}}}))
elif "deployment" in words:
    revision = "8" if "rollout" in open(folder + "/asked").read() else "7"
    print(json.dumps({{"metadata": {{"annotations": {{"deployment.kubernetes.io/revision": revision}}}}}}))
elif "logs" in words:
    print("what it wrote")
elif "pods" in words:
    print("pod/old\\npod/new")
elif "status" in words and words[-2].endswith(plan["broken"] or "-") and "undo" not in open(folder + "/asked").read():
    sys.exit("error: deployment exceeded its progress deadline")
"""


class Cluster:
    """The stand-in: what it was asked, and what was applied last."""

    def __init__(self, folder: Path, job: str = "Complete", broken: str = "", waiting: str = "") -> None:
        self.folder = folder
        self.told: list[str] = []
        (folder / "plan").write_text(json.dumps({"job": job, "broken": broken, "waiting": waiting}))
        program = folder / "kubectl"
        program.write_text(_STAND_IN.format(python=sys.executable, folder=str(folder), real=REAL))
        program.chmod(0o755)

    @property
    def asked(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "asked").read_text().splitlines()]

    def applies(self) -> list[bool]:
        """Whether each apply was of a part alone."""
        return ["-l" in words for words in self.asked if words[0] == "apply"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cluster"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_the_release_command_ends_before_anything_is_rolled(place: Path, tmp_path: Path) -> None:
    cluster = Cluster(place)
    deploy(shop(tmp_path), Options(), cluster.told.append)
    assert cluster.applies() == [True, False]
    steps = [words[0] if words[0] == "apply" else words[2] for words in cluster.asked]
    assert steps[:3] == ["apply", "get", "logs"]
    waited = [words[4] for words in cluster.asked if "status" in words]
    assert waited == [f"deployment/{name}" for name in ("web", "mail-sender", "clock", "web-router")]
    assert "| what it wrote" in cluster.told
    assert not any(Path(words[2]).exists() for words in cluster.asked if words[0] == "apply")
    assert not any("hush" in json.dumps(words) for words in [*cluster.asked, cluster.told])


@pytest.mark.skipif(REAL is None, reason="kubectl is not here")
def test_secrets_reach_the_cluster_by_a_folder_of_this_user_alone(place: Path, tmp_path: Path) -> None:
    cluster = Cluster(place)
    deploy(shop(tmp_path, {**CONFIG, "TLS_KEY": "one\ntwo\n"}), Options(), cluster.told.append)
    objects = list(yaml.safe_load_all((place / "applied").read_text()))
    (secret,) = (each for each in objects if each["kind"] == "Secret")
    assert set(secret["data"]) == {"SECRET_KEY", "TLS_KEY"}
    modes = [stat.S_IMODE(each) for each in json.loads((place / "modes").read_text())]
    assert modes == [0o700, 0o600]


def test_a_release_command_that_fails_deploys_nothing(place: Path, tmp_path: Path) -> None:
    cluster = Cluster(place, job="Failed")
    with pytest.raises(
        Problem, match=r"^release: the command failed, so nothing was deployed \(BackoffLimit\)$"
    ) as found:
        deploy(shop(tmp_path), Options(), cluster.told.append)
    assert found.value.exit is Exit.NO
    assert cluster.applies() == [True]
    assert "| what it wrote" in cluster.told


def test_a_release_command_that_cannot_start_is_not_waited_for(place: Path, tmp_path: Path) -> None:
    cluster = Cluster(place, job="Suspended", waiting="ImagePullBackOff")
    with pytest.raises(
        Problem, match=r"^release: the command cannot start, .*\(ImagePullBackOff: no such image\)$"
    ) as found:
        deploy(shop(tmp_path), Options(), cluster.told.append)
    assert found.value.exit is Exit.NO
    assert cluster.applies() == [True]


def test_a_release_that_does_not_become_ready_is_taken_back(place: Path, tmp_path: Path) -> None:
    cluster = Cluster(place, broken="mail-sender")
    with pytest.raises(Problem) as found:
        deploy(shop(tmp_path), Options(), cluster.told.append)
    assert found.value.exit is Exit.NO
    assert found.value.message.startswith("mail-sender: the new release did not become ready (kubectl")
    assert found.value.message.endswith("progress deadline)\n| what it wrote")
    assert ["-n", "shop", "logs", "pod/new", "--tail=20"] in cluster.asked
    undone = [words[4:] for words in cluster.asked if "undo" in words]
    assert ["deployment/web", "--to-revision=7"] in undone
    assert ["deployment/mail-sender", "--to-revision=7"] in undone


def test_objects_and_secrets_of_an_export(tmp_path: Path) -> None:
    described = shop(tmp_path)
    objects = objects_of(export_folder(described, Options()).files["formation.yaml"])
    assert objects.namespace == "shop"
    assert objects.job is not None
    assert all(seconds >= 120 for seconds in objects.deployments.values())
    assert secret_files(described) == {"secrets.env": f"SECRET_KEY={CONFIG['SECRET_KEY']}\n"}
