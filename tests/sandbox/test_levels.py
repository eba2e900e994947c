"""What each isolation level keeps apart, by doing it."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from .conftest import Bench, as_ordinary_user

LONG = f"sleep 61.{os.getpid()}"  # a command line that no other test run has
WRITE = "echo new > b.txt; echo more >> a.txt; rm -r uploads; cat a.txt b.txt; echo kept > $STORE/z"


@pytest.mark.parametrize("level", ["full", "copy"])
def test_writes_never_reach_the_apps_folder_and_are_listed(
    bench: Bench, allowed: tuple[str, ...], level: str
) -> None:
    if level not in allowed:
        pytest.skip(f"level {level} is not possible here")
    ran = bench.run(level, WRITE)
    assert ran.status == 0
    assert ran.out == "hello\nmore\nnew\n"
    assert sorted(os.listdir(ran.app)) == ["a.txt", "uploads"]
    assert (ran.app / "a.txt").read_text() == "hello\n"
    assert ran.wrote == ["-uploads", "a.txt", "b.txt"]
    assert (ran.store / "z").read_text() == "kept\n", "an attached folder shines through"
    assert not ran.private.exists(), "the private folder is wiped"


def test_readonly_lets_writes_fail(bench: Bench, allowed: tuple[str, ...]) -> None:
    if "readonly" not in allowed:
        pytest.skip("no Landlock")
    ran = bench.run(
        "readonly", "echo x > b.txt || echo refused; echo kept > $STORE/z; echo t > $PWD/../p1/own/tmp/t && echo ok"
    )
    assert "refused" in ran.out
    assert ran.out.endswith("ok\n")
    assert not (ran.app / "b.txt").exists()
    assert (ran.store / "z").exists()


def test_full_hides_other_folders_and_renames_the_host(bench: Bench, full: None) -> None:
    ran = bench.run(
        "full",
        "ls -A /tmp | wc -l; hostname; grep -c web-1 /etc/hosts; ls -A /dev/shm | wc -l; ls /proc | grep -c '^[0-9]'",
        hidden=(),
        kept=(),
    )
    left, host, named, shm, processes = ran.out.split()
    assert (host, named, shm) == ("web-1", "1", "0")
    assert int(left) <= 1, "only the mount point of the app itself may be there"
    assert int(processes) <= 6


def test_another_host_has_another_process_id(bench: Bench, full: None) -> None:
    names = {"a": "web-1", "b": "web-2", "c": "web-1"}
    ids = [bench.run("full", "echo $$", name=folder, host_name=host).out for folder, host in names.items()]
    assert ids[0] == ids[2] != ids[1], "a process of the same name is the same to what it stored"
    assert all(int(each) > 1000 for each in ids)


def test_full_and_copy_as_an_ordinary_user(open_folder: Path) -> None:
    script = """
import asyncio, os, tempfile
from fungible.sandbox.probe import run_probe
from fungible.sandbox.spawn import spawn
from fungible.sandbox.spec import Spec
abilities = run_probe(os.getcwd() + "/probe")
print(abilities.allowed[0])
for level in ("full", "copy"):
    if level not in abilities.allowed:
        continue
    base = tempfile.mkdtemp(dir=os.getcwd()); app = base + "/app"; os.mkdir(app); open(app + "/a", "w").write("1")
    os.mkdir(base + "/p"); os.chmod(app + "/a", 0o444)
    spec = Spec(level=level, argv=("sh", "-c", "echo 2 > a; echo 3 > b"), environment={"PATH": os.defpath},
                private=base + "/p", source=app, target=app, layer=abilities.layer)
    heard = []
    async def main():
        await spawn(spec, heard.append).gone
    asyncio.run(main())
    print(level, open(app + "/a").read(), os.listdir(app), [m.data["paths"] for m in heard if m.kind == "wrote"],
          os.path.exists(base + "/p"))
"""
    ran = as_ordinary_user(script, open_folder)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0] in ("full", "copy")
    assert lines[1:], ran.stdout
    for line in lines[1:]:
        assert line.split(" ", 1)[1] == "1 ['a'] [['a', 'b']] False"


def test_a_database_in_the_layer_is_told(bench: Bench, full: None) -> None:
    python = "/usr/bin/python3"
    if not Path(python).exists():
        pytest.skip("needs a system Python")
    command = f"""{python} -c "
import sqlite3, time
c = sqlite3.connect('db.sqlite3'); c.execute('create table t(x)'); c.commit()
time.sleep(2)" """
    messages = bench.run("full", command, watch_databases=True).messages
    assert [m.data["path"] for m in messages if m.kind == "database"] == ["db.sqlite3"]


READ = "c = sqlite3.connect('shipped.db'); print(c.execute('select * from t').fetchall())"
WRITE_AHEAD = "c = sqlite3.connect('shipped.db'); c.execute('insert into t values (2)'); c.commit()"


@pytest.mark.parametrize("level", ["full", "copy"])
@pytest.mark.parametrize(
    ("mode", "program", "told"),
    [("delete", READ, False), ("wal", READ, False), ("delete", WRITE_AHEAD, True), ("wal", WRITE_AHEAD, True)],
)
def test_a_database_that_is_only_read_is_not_told(
    bench: Bench, allowed: tuple[str, ...], level: str, mode: str, program: str, told: bool
) -> None:
    """SQLite opens for reading and writing, so the overlay has a copy of what was only read; what is written ahead
    leaves the file itself as it was."""
    python = "/usr/bin/python3"
    if level not in allowed or not Path(python).exists():
        pytest.skip(f"needs level {level} and a system Python")
    with contextlib.closing(sqlite3.connect(bench.app / "shipped.db")) as database:
        database.execute(f"pragma journal_mode={mode}")
        database.execute("create table t(x)")
        database.commit()
    command = f"""{python} -c "
import os, sqlite3
{program}
os.kill(os.getpid(), 9)" """  # nothing is folded into the file at its end
    ran = bench.run(level, command, watch_databases=True)
    assert [m.data["path"] for m in ran.messages if m.kind == "database"] == ["shipped.db"] * told
    assert ("shipped.db" in ran.wrote) == (told and mode == "delete"), ran.out


def test_signals_reach_the_group_and_the_status_comes_back(bench: Bench, full: None) -> None:
    import asyncio

    waiting: list[object] = []

    def stop_when_started(child: object) -> None:
        async def later() -> None:
            while child.pid is None:  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
            while not (bench.store / "trapped").exists():
                await asyncio.sleep(0.01)
            child.signal(signal.SIGTERM)  # type: ignore[attr-defined]

        waiting.append(asyncio.ensure_future(later()))

    ran = bench.run(
        "full", "trap 'echo caught; exit 7' TERM; : > $STORE/trapped; sleep 60 & wait", meanwhile=stop_when_started
    )
    assert ran.out == "caught\n"
    assert ran.status == 7


@pytest.mark.parametrize("level", ["full", "copy", "scratch"])
def test_what_a_command_leaves_behind_is_ended(bench: Bench, allowed: tuple[str, ...], level: str) -> None:
    if level not in allowed:
        pytest.skip(f"level {level} is not possible here")
    ran = bench.run(level, f"setsid sh -c 'trap \"\" TERM; {LONG}' & sleep 0.1; echo started", grace=0.3)
    assert ran.out == "started\n"
    assert ran.messages[-1].kind == "gone"
    assert not _running(LONG)


def _running(command: str) -> bool:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if entry.read_bytes().replace(b"\0", b" ").strip() == command.encode():
                return True
        except OSError:
            continue
    return False


def test_the_group_dies_with_its_supervisor(bench: Bench, full: None) -> None:
    import subprocess
    import sys
    import time

    for level in ("full", "copy"):
        spec = bench.make_spec(level, f"exec {LONG}", name=f"p-{level}")
        code = (
            "import asyncio, sys; from fungible.sandbox.spawn import spawn; from fungible.sandbox.spec import Spec\n"
            "async def main():\n"
            "    child = spawn(Spec.from_json(sys.stdin.buffer.read()), lambda m: print(m.kind, flush=True))\n"
            "    await child.gone\n"
            "asyncio.run(main())"
        )
        supervisor = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False
        )
        assert supervisor.stdin and supervisor.stdout
        supervisor.stdin.write(spec.to_json())
        supervisor.stdin.close()
        while b"started" not in supervisor.stdout.readline():
            pass
        while not _running(LONG):  # it is told before it is executed
            time.sleep(0.01)
        supervisor.kill()
        supervisor.wait()
        end = time.monotonic() + 20
        while _running(LONG) and time.monotonic() < end:
            time.sleep(0.02)
        assert not _running(LONG), level
