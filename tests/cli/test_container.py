"""As in a default container: no namespaces, no mounts, a container's capabilities, really refused."""

from __future__ import annotations

import os
import platform
import sys

import pytest

from fungible.sandbox import landlock
from tests.runtime.harness import FUNGIBLE, WEB, Home, processes_in_turn
from tests.sandbox.conftest import REFUSING
from tests.sandbox.refusing import CALLS

pytestmark = pytest.mark.skipif(platform.machine() not in CALLS, reason="no table of system calls for this machine")


def on(home: Home, profile: str) -> Home:
    home.command = (sys.executable, str(REFUSING), profile, sys.executable, str(FUNGIBLE))
    return home


@pytest.mark.skipif(landlock.version() == 0, reason="no Landlock")
def test_a_formation_in_a_default_container(home: Home) -> None:
    on(home, "container").write({"Procfile": WEB, "fungible.toml": '[services]\nVALKEY_URL = "valkey"\n'})
    with home.start("web=2") as formation:
        assert formation.of("notice")[0]["text"].startswith("isolation copy (not isolated: loopback ports")
        assert set(processes_in_turn(formation.url, 4)) == {"web.1", "web.2"}
        assert formation.get("/env/VALKEY_URL").json()["value"].startswith("redis://")
        assert formation.stop() == 0
    ran = home.run("run", "--", "sh", "-c", "echo x > lost.txt; echo x > /var/tmp/fungible-escaped")
    assert ran.stderr.endswith("fungible: wrote: lost.txt (thrown away)\n")
    assert not os.path.exists("/var/tmp/fungible-escaped")
    assert sorted(os.listdir(home.app)) == ["Procfile", "fungible.toml", "server.py"]
    assert home.left == []


def test_what_is_refused_is_named(home: Home) -> None:
    on(home, "container").write({"Procfile": WEB})
    done = home.run("start", "--isolation", "full")
    assert (done.returncode, done.stdout) == (3, "")
    assert "isolation full is not possible here: the system refused it (unshare: " in done.stderr
    assert "full: the system refused it (unshare: Operation not permitted)" in home.run("doctor").stdout


def test_without_landlock_the_level_is_scratch_and_says_what_it_does_not_isolate(home: Home) -> None:
    on(home, "old-container").write({"Procfile": WEB})
    with home.start("web=1") as formation:
        assert formation.of("notice")[0]["text"].startswith("isolation scratch (not isolated: loopback ports, abs")
        assert formation.get().status_code == 200
        assert formation.stop() == 0
    done = home.run("run", "--isolation", "copy", "--", "true")
    assert done.returncode == 3
    assert "no Landlock" in done.stderr
