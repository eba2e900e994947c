"""Processes that end: what they had in scratch goes with them, and nobody else's does."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from fungible_kit import scratch
from fungible_kit.scratch_space import home
from tests.kit.scratch.conftest import Child, line_of

OPEN = """
from fungible_kit import scratch
with scratch() as tmp:
    with tmp.open("a", "w") as file:
        file.write("x" * 1000)
    print(tmp.path, flush=True)
    input()
"""


def test_f4_wiped_on_term_and_the_process_ends_by_it(base: Path, child: Child) -> None:
    process = child(OPEN)
    path = Path(line_of(process))
    assert path.is_dir()
    process.terminate()
    assert process.wait() == -signal.SIGTERM
    assert list(base.iterdir()) == []


def test_a_handler_of_the_app_is_left_alone(base: Path, child: Child) -> None:
    process = child("import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n" + OPEN)
    assert Path(line_of(process)).is_dir()
    process.terminate()
    assert process.wait() == 7  # its own way to end, in which the block ends as well
    assert list(base.iterdir()) == []


def test_f4_what_a_killed_process_left_is_reaped_by_the_next(base: Path, child: Child) -> None:
    dead, alive = child(OPEN), child(OPEN)
    left, kept = Path(line_of(dead)), Path(line_of(alive))
    dead.kill()
    dead.wait()
    assert left.is_dir()
    third = child(OPEN)
    line_of(third)
    assert not left.parent.exists()
    assert kept.joinpath("a").stat().st_size == 1000  # of a process that lives


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a PID namespace")
def test_f4_a_process_in_another_pid_namespace_is_alive(base: Path, child: Child) -> None:
    """Its pid means nothing here, and ours nothing there: the lock is what is asked."""
    unshare = shutil.which("unshare")
    assert unshare is not None
    namespace = (unshare, "--pid", "--fork", "--kill-child", "--mount-proc")
    if subprocess.run([*namespace, "true"], capture_output=True).returncode != 0:
        pytest.skip("no PID namespace here")
    inside = child(OPEN, *namespace)
    kept = Path(line_of(inside))
    with scratch():
        pass
    assert home.reap(str(base)) == 0
    assert kept.joinpath("a").exists()
    reaper = child(
        f"from fungible_kit.scratch_space import home\nprint(home.reap({str(base)!r}), flush=True)", *namespace
    )
    assert line_of(reaper) == "0"
    inside.kill()
    inside.wait()
    lock = os.open(kept.parent, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # --kill-child: the namespace goes with it, and the lock with its last process
    os.close(lock)
    assert home.reap(str(base)) == 1
    assert not kept.exists()


def test_only_folders_that_are_ours_are_reaped(base: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (base / f"{home.PREFIX}link").symlink_to(outside)
    (base / f"{home.PREFIX}file").write_text("")
    (base / "fungible-other").mkdir()
    orphan = base / f"{home.PREFIX}0123456789abcdef"
    (orphan / "space").mkdir(parents=True)
    assert home.reap(str(base)) == 1
    assert not orphan.exists()
    assert (outside / "kept").exists()
    assert len(list(base.iterdir())) == 3
    if os.geteuid() == 0:
        other = base / f"{home.PREFIX}of-another-user"
        other.mkdir()
        os.chown(other, 12345, 12345)
        assert home.reap(str(base)) == 0


def test_a_fork_leaves_the_folder_to_its_parent(base: Path, child: Child) -> None:
    process = child(
        """
import os
from fungible_kit import scratch
with scratch() as tmp:
    tmp.open("a", "w").close()
    if (pid := os.fork()) == 0:
        with scratch() as own:
            assert own.path.parent != tmp.path.parent
    else:
        os.waitpid(pid, 0)
        print((tmp / "a").exists(), flush=True)
    path = tmp.path
"""
    )
    assert line_of(process) == "True"
    process.wait()
    assert list(base.iterdir()) == []


def test_what_is_open_at_exit_is_wiped(base: Path, child: Child) -> None:
    process = child("from fungible_kit import scratch\nprint(scratch().__enter__().path, flush=True)")
    line_of(process)
    assert process.wait() == 0
    assert list(base.iterdir()) == []
