"""The exported router with a name service and processes as a cluster has them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from fungible.engines.kubernetes.export import Options, export_folder
from fungible.runtime.router.binary import find
from tests.engines.formations import shop
from tests.engines.kubernetes.test_kubernetes_tools import write

HERE = Path(__file__).parent
_APART = """
mount --make-rprivate /
mount --bind "$1" /etc/resolv.conf
shift
ip link set lo up
exec "$@"
"""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("ip") is None,
    reason="a network of its own needs root, unshare and ip",
)


def test_requests_of_one_connection_follow_the_names_of_ready_pods(tmp_path: Path) -> None:
    files = export_folder(shop(tmp_path), Options()).files
    write(tmp_path, {path: text for path, text in files.items() if path.startswith("router/")})
    write(tmp_path, {"resolv.conf": "nameserver 127.0.0.1\n"})
    haproxy = find()
    script = [sys.executable, HERE / "cluster.py", haproxy.path, tmp_path / "router"]
    apart = [
        "unshare",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
        _APART,
        "sh",
    ]
    done = subprocess.run(
        [*apart, tmp_path / "resolv.conf", *script],
        capture_output=True,
        text=True,
        env={**os.environ, **haproxy.environment},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["page"] == ["503", "text/html; charset=utf-8", "<!doctype html>"]
    assert told["forged"] == [] and told["most ids"] == 1
    assert set(told["first"]) == {"127.0.0.2", "127.0.0.3"}
    assert all(one != other for one, other in pairwise(told["first"]))
    assert set(told["second"]) == {"127.0.0.3", "127.0.0.4"}
    assert len(told["third"]) == 40 and told["third"][-1] == "127.0.0.3"
    assert told["lost"] == [] and told["connections"] == 1
    assert told["proto"] == ["https"]
