"""Bounds of a process: what it may use of the machine, and what is said when it takes more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fungible.runtime.control_group import find_places
from tests.runtime.harness import WEB, Home, wait_until

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
        answer = formation.get("/")
        assert (answer.status_code, answer.headers["Fungible-Cause"]) == (503, "out-of-memory")
        wait_until(lambda: "out of memory" in home.run("ps").stdout)
        assert "more than its 80 MiB: killed" in home.run("logs").stdout
        assert formation.stop() == 0


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
