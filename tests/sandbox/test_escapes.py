"""Ways out of level full, tried: each must fail. Run as root they are tried as root, the harder case."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from fungible.sandbox.spawn import Child

from .conftest import Bench

PYTHON = "/usr/bin/python3"

ESCAPES = {
    "remount the root writable": "mount -o remount,rw / && touch /etc/fungible-escaped",
    "unmount the app's overlay": 'umount "$PWD" && echo x > "$PWD/escaped"',
    "bind a hidden folder back": "mkdir -p /tmp/x && mount --bind /proc/1/root/tmp /tmp/x && ls /tmp/x | grep secret",
    "reach the host's root through init": "ls /proc/1/root/tmp | grep secret",
    "reach the layer through init's descriptors": "ls -l /proc/1/fd/ && touch /proc/1/fd/4/escaped",
    "a user namespace of its own": (
        "unshare -Urm sh -c 'mount -o remount,rw / && touch /etc/fungible-escaped "
        "|| umount /tmp && ls /tmp | grep secret'"
    ),
    "make a device of the disk": "mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk",
    "change a kernel setting": "echo x > /proc/sys/kernel/domainname && echo x > /proc/sys/kernel/core_pattern",
    "write into the system": "touch /etc/fungible-escaped /usr/bin/fungible-escaped /root/fungible-escaped",
    "enter the namespaces of another process": "nsenter -t 1 -m -p -u true && nsenter --mount=/proc/1/ns/mnt true",
    "press the magic SysRq key": "echo h > /proc/sysrq-trigger",
    "a setuid program": "cp /bin/sh /tmp/s && chmod u+s /tmp/s && mount -o remount,suid,rw /tmp/.. / ",
    "change the host's name": "false || (hostname fungible-escaped; false)",
}


@pytest.mark.parametrize("escape", ESCAPES)
def test_escape_fails(bench: Bench, full: None, escape: str, tmp_path: Path) -> None:
    secret = Path("/tmp") / f"secret-{os.getpid()}"
    secret.write_text("s")
    before = socket.gethostname()
    try:
        ran = bench.run("full", f"({ESCAPES[escape]}) && echo ESCAPED")
    finally:
        secret.unlink()
    assert "ESCAPED" not in ran.out, ran.out
    assert not list(Path("/etc").glob("fungible-escaped"))
    assert not (bench.app / "escaped").exists()
    assert socket.gethostname() == before


def _launcher_of(child: Child) -> int:
    """The process outside the namespaces: the parent of the command's init."""
    pid = child.pid
    for _ in range(2):
        status = Path(f"/proc/{pid}/stat").read_text()
        pid = int(status.rpartition(")")[2].split()[1])
    assert pid is not None
    return pid


def test_no_process_sees_signals_or_reads_another(bench: Bench, full: None) -> None:
    """Two processes of one formation: files, signals, System V memory, abstract sockets."""
    import asyncio

    if shutil.which(PYTHON) is None:
        pytest.skip("needs a system Python")
    from fungible.sandbox.landlock import can_scope_sockets
    from fungible.sandbox.spawn import Message, spawn

    # Abstract names belong to the network namespace, which parallel tests share.
    abstract = bench.base.name
    first = bench.make_spec(
        "full",
        f'echo secret > /tmp/mine; echo secret > mine; exec {PYTHON} -c "'
        f"import socket, time; s = socket.socket(socket.AF_UNIX); s.bind(chr(0) + '{abstract}'); s.listen(); "
        "print('up', flush=True); time.sleep(60)\"",
        name="first",
    )

    async def main() -> str:
        read, write = os.pipe()
        one = spawn(first, lambda _: None, stdout=write, stderr=write)
        os.close(write)
        loop = asyncio.get_running_loop()
        assert b"up" in await loop.run_in_executor(None, os.read, read, 100)
        second = bench.make_spec(
            "full",
            f"cat /tmp/mine; cat mine; cat {first.private}/layer/upper/mine; kill -9 {one.pid}; "
            f'kill -9 {_launcher_of(one)}; cat /proc/{one.pid}/environ; exec {PYTHON} -c "'
            f"import socket; s = socket.socket(socket.AF_UNIX); s.connect(chr(0) + '{abstract}'); "
            "print('CONNECTED')\"",
            name="second",
            hidden=(first.private,),
        )
        heard: list[Message] = []
        out_read, out_write = os.pipe()
        two = spawn(second, heard.append, stdout=out_write, stderr=out_write)
        os.close(out_write)
        await asyncio.wait_for(two.gone, 30)
        said = (await loop.run_in_executor(None, os.read, out_read, 65536)).decode()
        assert one.status is None, "the other process must still run"
        one.kill()
        await asyncio.wait_for(one.gone, 30)
        os.close(read)
        os.close(out_read)
        return said

    said = asyncio.run(main())
    assert "secret" not in said
    if can_scope_sockets():
        assert "CONNECTED" not in said
