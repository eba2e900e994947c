"""Bounds of a process: what it may use of the machine, and what is said when it takes more."""

from __future__ import annotations

import json
import os
import signal
import sysconfig
from pathlib import Path

import pytest

import fungible
from fungible.runtime.process.control_group import find_places
from tests.runtime.harness import WEB, Home, wait_until

PYTHON = Path("/usr/bin/python3")
HOG = """
import time
from pathlib import Path
import server
if Path("hungry").exists():
    eaten = b"x" * 150_000_000
    time.sleep(600)
server.main()
"""


def test_out_of_memory_is_named_in_ps_in_the_log_and_to_the_client(home: Home) -> None:
    settings = '[types.web]\nmemory = "80MiB"\n'
    home.write({"Procfile": "web: python hog.py\n", "hog.py": HOG, "hungry": "", "fungible.toml": settings})
    with home.start("web=1", up=False) as formation:
        told = formation.wait("process.memory", "web.1")
        assert told["used_bytes"] > told["allowed_bytes"] == 80 * 2**20
        formation.wait("process.ended", "web.1", cause="memory")
        # The router hears of it right after: who comes in between finds the process gone.
        wait_until(lambda: formation.get("/").headers["Fungible-Cause"] == "out-of-memory")
        assert formation.get("/").status_code == 503
        wait_until(lambda: "out of memory" in home.run("ps").stdout)
        assert "more than its 80 MiB: killed" in home.run("logs").stdout
        assert formation.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_out_of_memory_is_named_where_no_control_group_may_be_made(home: Home) -> None:
    """The whole as an ordinary user: what it uses is looked at, and it is killed by us."""
    packages = Path(sysconfig.get_path("purelib"))
    if not PYTHON.exists() or not all(each.stat().st_mode & 0o001 for each in packages.parents):
        pytest.skip("no Python, or no Fungible, that an ordinary user can run")
    user = ("setpriv", "--reuid", "1001", "--regid", "1001", "--clear-groups")
    home.command = (*user, str(PYTHON), "-c", "import sys; from fungible.cli import main; sys.exit(main())")
    home.environment = {"PATH": os.defpath, "PYTHONPATH": f"{Path(fungible.__file__).parents[1]}:{packages}"}
    settings = '[types.web]\nmemory = "80MiB"\ncpu = 0.5\n'
    home.write({"Procfile": f"web: {PYTHON} hog.py\n", "hog.py": HOG, "hungry": "", "fungible.toml": settings})
    for path in (home.base, *home.base.rglob("*")):
        os.chown(path, 1001, 1001)
    with home.start("web=1", up=False) as formation:
        told = formation.wait("process.memory", "web.1")
        assert told["used_bytes"] > told["allowed_bytes"] == 80 * 2**20
        ended = formation.wait("process.ended", "web.1", cause="memory")
        assert ended["status"] == -signal.SIGKILL
        answer = formation.get("/")
        assert (answer.status_code, answer.headers["Fungible-Cause"]) == (503, "out-of-memory")
        assert any("types.web.cpu is not enforced" in each["text"] for each in formation.of("notice"))
        assert home.run("stop").returncode == 0


def test_processors_are_held(home: Home) -> None:
    if not find_places().can("cpu"):
        pytest.skip("this user may make no control groups here")
    home.write({"Procfile": WEB + "worker: sleep 600\n", "fungible.toml": "[types.worker]\ncpu = 0.5\n"})
    with home.start() as formation:
        named = {each["name"]: each for each in json.loads(home.run("ps", "--json").stdout)["processes"]}
        groups = Path(f"/proc/{named['worker.1']['pid']}/cgroup").read_text()
        name = f"fungible-{formation.process.pid}-{named['worker.1']['instance']}"
        assert name in groups
        assert name not in Path(f"/proc/{named['web.1']['pid']}/cgroup").read_text()
        folder = find_places().folders["cpu"] / name
        quota = folder / "cpu.max" if (folder / "cpu.max").exists() else folder / "cpu.cfs_quota_us"
        assert quota.read_text().split()[0] == "50000"
        assert formation.stop() == 0
    assert not folder.exists()
