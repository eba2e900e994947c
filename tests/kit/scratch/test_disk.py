"""What the disk is: read from texts of /proc and /sys/fs/cgroup, and from a real tmpfs."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from fungible_kit import ScratchIsMemory, scratch
from fungible_kit.scratch_space.disk import kind_of, memory_limit

MOUNTS = r"""
22 1 252:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /tmp rw,nosuid - tmpfs tmpfs rw
24 23 0:30 / /tmp/real\040disk rw - xfs /dev/vdb rw
25 22 0:31 / /run rw - ext4 /dev/x rw
26 25 0:32 / /run rw - tmpfs tmpfs rw
"""


@pytest.mark.pure
@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/tmp", "ext4"),
        ("/tmp", "tmpfs"),
        ("/tmp/a/b", "tmpfs"),
        ("/tmpfoo", "ext4"),
        ("/tmp/real disk/x", "xfs"),
        ("/run/user", "tmpfs"),
    ],
)
def test_the_nearest_mount_says_what_a_folder_is(folder: str, kind: str) -> None:
    assert kind_of(MOUNTS, folder) == kind
    assert kind_of("", folder) == ""


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_least_limit_of_memory_counts(tmp_path: Path) -> None:
    two = _write(
        tmp_path / "two",
        {
            "proc/self/cgroup": "0::/pod/app\n",
            "proc/meminfo": "MemTotal:       1000000 kB\n",
            "sys/fs/cgroup/pod/memory.max": "300000000\n",
            "sys/fs/cgroup/pod/app/memory.max": "max\n",
        },
    )
    assert memory_limit(two) == 300_000_000
    one = _write(
        tmp_path / "one",
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/\n4:memory:/docker/x\n",
            "proc/meminfo": "MemTotal:       1000000 kB\n",
            "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "200000000\n",
        },
    )
    assert memory_limit(one) == 200_000_000
    assert memory_limit(_write(tmp_path / "no", {"proc/meminfo": "MemTotal: 10 kB\n"})) == 10240
    assert memory_limit(tmp_path / "nothing") is None


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no tmpfs to write to")
def test_scratch_that_is_memory_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("/dev/shm") / f"fungible-test-{os.urandom(8).hex()}"
    monkeypatch.setenv("FUNGIBLE_SCRATCH", str(folder))
    try:
        with pytest.warns(ScratchIsMemory, match="this process may have"), scratch(limit="900TB", keep_free=0):
            pass
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with scratch(limit="900TB", keep_free=0):
                pass
            with scratch(limit="1MiB", keep_free=0):  # as much as that, memory has
                pass
        assert list(folder.iterdir()) == []
    finally:
        folder.rmdir()
