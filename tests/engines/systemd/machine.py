"""A real systemd as the first process of namespaces of its own: units are run, and the machine's are left alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SYSTEMD = Path("/lib/systemd/systemd")
_STUBS = ("boot", "sysinit", "basic", "shutdown", "umount", "network-online", "multi-user")
_CGROUPS = Path("/sys/fs/cgroup")
# `/opt/units` are the only units; /etc is the machine's with an empty layer above it.
_BOOT = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mkdir "$1/upper" "$1/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc
mount --bind "$1/opt" /opt
cp -r "$1/etc/." /etc/
ip link set lo up
exec env -i container=other "PATH=$PATH" SYSTEMD_UNIT_PATH=/opt/units \
    /lib/systemd/systemd --system --unit=boot.target --log-target=console --show-status=no
"""
_JOIN = """
name=$1; shift
for cgroup in $(ls -d /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/cgroup.procs 2>/dev/null); do
    case $cgroup in */cpuset/*) continue;; esac
    mkdir "${cgroup%/*}/$name" && echo $$ > "${cgroup%/*}/$name/cgroup.procs"
done
exec "$@"
"""


class Machine:
    """A running one; `pid` is its first process, as the outer world counts."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid = pid
        self.log = log

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        inside = ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "--", *command]
        done = subprocess.run(inside, capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(f"{command} is {done.returncode}: {done.stdout}{done.stderr}\n{self.told()}")
        return done

    def popen(self, *command: str) -> subprocess.Popen[str]:
        """Start a command inside."""
        inside = ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "--", *command]
        return subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def told(self) -> str:
        """The end of what systemd said."""
        return self.log.read_text(errors="replace")[-4000:]


@contextmanager
def machine(folder: Path, files: Mapping[str, str]) -> Iterator[Machine]:
    """A machine with these files, by path from its root (below /etc and /opt).

    Raises OSError where none can be made here.
    """
    for name in _STUBS:
        text = f"[Unit]\nDescription={name}\nDefaultDependencies=no\n"
        _write(folder / "opt/units" / f"{name}.target", text)
    for path, text in files.items():
        _write(folder / path.replace("etc/systemd/system/", "opt/units/"), text)
    (folder / "etc").mkdir(exist_ok=True)
    name = f"fungible-test-{os.getpid()}"
    log = folder / "log"
    command = ["bash", "-c", _JOIN, "join", name]
    command += ["unshare", "--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--fork", "--kill-child"]
    command += ["--mount-proc", "bash", "-c", _BOOT, "boot", str(folder)]
    with log.open("wb") as output:
        outer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield _booted(outer, log)
    finally:
        outer.kill()
        outer.wait()
        _remove_cgroups(name)


def available() -> str | None:
    """Why there is none here; None where there is."""
    if os.geteuid() != 0:
        return "only root can make a machine"
    if not SYSTEMD.exists() or shutil.which("systemctl") is None:
        return "there is no systemd"
    if shutil.which("ip") is None or shutil.which("nsenter") is None:
        return "there is no ip or nsenter"
    return None


def _booted(outer: subprocess.Popen[bytes], log: Path) -> Machine:
    """The machine once its systemd answers."""
    until = time.monotonic() + 60
    while time.monotonic() < until and outer.poll() is None:
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        if children:
            found = Machine(int(children[0]), log)
            if found.run("systemctl", "is-active", "boot.target", check=False).stdout.strip() == "active":
                return found
        time.sleep(0.1)
    raise OSError(f"systemd did not boot: {log.read_text(errors='replace')[-1000:]}")


def _remove_cgroups(name: str) -> None:
    for top in (_CGROUPS, *_CGROUPS.iterdir()):
        made = top / name
        if made.is_dir():
            until = time.monotonic() + 10
            while made.is_dir() and time.monotonic() < until:
                subprocess.run(
                    ["find", made, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], capture_output=True
                )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, newline="")
