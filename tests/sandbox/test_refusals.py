"""What the probe chooses where the machine really refuses: a default container, AppArmor, limits, old kernels."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fungible.sandbox import landlock, probe

from .conftest import REFUSING, as_ordinary_user
from .refusing import CALLS

pytestmark = pytest.mark.skipif(platform.machine() not in CALLS, reason="no table of system calls for this machine")

PROBE = """
import asyncio, json, os
from fungible.sandbox.probe import run_probe
from fungible.sandbox.spawn import spawn
from fungible.sandbox.spec import Spec
abilities = run_probe(os.getcwd() + "/probe")
level = abilities.allowed[0]
os.makedirs("app"); os.makedirs("private"); open("app/a", "w").write("1")
app = os.getcwd() + "/app"
spec = Spec(level=level, argv=("sh", "-c", "echo 2 > a"), environment={"PATH": os.defpath},
            private=os.getcwd() + "/private", source=app, target=app, layer=abilities.layer)
heard = []
async def main():
    await spawn(spec, heard.append).gone
asyncio.run(main())
told = {message.kind: message.data for message in heard}
print(json.dumps({"allowed": abilities.allowed, "reasons": abilities.reasons, "failed": told.get("failed"),
                  "kept": open("app/a").read() == "1"}))
"""
LANDLOCKED = ("copy", "readonly", "scratch", "none")
REST = ("scratch", "none")
# profile, as an ordinary user, what is left of the levels, and words of the reason why `full` is not among them
MACHINES = [
    ("container", False, LANDLOCKED, "unshare: Operation not permitted"),
    ("container", True, LANDLOCKED, "unshare: Operation not permitted"),
    ("powerless-namespace", True, LANDLOCKED, "unshare: Operation not permitted"),
    ("no-user-namespaces", True, LANDLOCKED, "see user.max_user_namespaces"),
    ("no-mounts", True, LANDLOCKED, "/: Operation not permitted"),
    ("old-container", False, REST, "unshare: Operation not permitted"),
    ("no-landlock", False, REST, "unshare: Operation not permitted"),
    ("deaf-landlock", False, REST, "unshare: Operation not permitted"),
]


@pytest.mark.parametrize(
    ("profile", "ordinary", "allowed", "why"),
    MACHINES,
    ids=[f"{profile}-{'user' if ordinary else 'root'}" for profile, ordinary, *_ in MACHINES],
)
def test_what_is_chosen_works(profile: str, ordinary: bool, allowed: tuple[str, ...], why: str) -> None:
    if allowed == LANDLOCKED and landlock.version() == 0:
        pytest.skip("no Landlock")
    with tempfile.TemporaryDirectory(prefix="fungible-test-") as folder:
        found = told(Path(folder), profile, ordinary)
    assert tuple(found["allowed"]) == allowed  # type: ignore[arg-type]
    assert found["failed"] is None
    assert found["kept"] is (allowed == LANDLOCKED), "at scratch it is the app's folder itself"
    reasons = found["reasons"]
    assert isinstance(reasons, dict)
    assert why in reasons["full"]
    assert set(reasons) == {"full", "copy", "readonly", *allowed} - set(allowed)


def told(folder: Path, profile: str, ordinary: bool) -> dict[str, object]:
    """What a process says that probes the machine, and runs a command at the level it comes to."""
    if not ordinary and os.geteuid() != 0:
        pytest.skip("not root")
    if ordinary and os.geteuid() == 0:
        ran = as_ordinary_user(PROBE, folder, refusing=profile)
    else:
        command = [sys.executable, str(REFUSING), profile, sys.executable, "-c", PROBE]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, object] = json.loads(ran.stdout)
    return found


def test_the_setting_of_apparmor_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = tmp_path / "apparmor_restrict_unprivileged_userns"
    monkeypatch.setattr(probe, "_APPARMOR", str(setting))
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    refused = "/proc/self/uid_map: Operation not permitted"
    assert probe._why(refused) == f"the system refused it ({refused})"
    setting.write_text("1\n")
    assert "see apparmor_restrict_unprivileged_userns" in probe._why(refused)
    setting.write_text("0\n")
    assert "AppArmor" not in probe._why(refused)
