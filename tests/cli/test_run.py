"""`fungible run`: a one-off process, as a shell would run it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.runtime.harness import Home, wait_until


def test_a_script_in_an_otherwise_empty_folder(home: Home) -> None:
    (home.app / "server.py").unlink()
    home.write({"my_script.py": "open('result.txt', 'w').write('x')\nprint('done')\n"})
    ran = home.run("run", "--", "python", "my_script.py")
    assert (ran.returncode, ran.stdout) == (0, "done\n")
    assert ran.stderr == "fungible: wrote: result.txt (thrown away)\n"
    assert os.listdir(home.app) == ["my_script.py"]
    assert home.left == []


def test_stdin_stdout_and_stderr_are_those_of_the_command(home: Home) -> None:
    script = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1]); print('err', file=sys.stderr)"
    ran = home.run("run", "--", "python", "-c", script, input=b"\x01abc\n")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "\ncba\x01", "err\n")


@pytest.mark.parametrize("code", [0, 3, 255])
def test_its_exit_code_is_ours(home: Home, code: int) -> None:
    ran = home.run("run", "--", "sh", "-c", f"exit {code}")
    assert (ran.returncode, ran.stdout, ran.stderr) == (code, "", "")


@pytest.mark.parametrize("name", ["TERM", "KILL"])
def test_a_signal_that_ends_it_is_128_and_its_number(home: Home, name: str) -> None:
    ran = home.run("run", "--", "sh", "-c", f"kill -{name} $$")
    assert ran.returncode == 128 + getattr(signal, f"SIG{name}")


@pytest.mark.parametrize("name", ["INT", "TERM", "USR1"])
def test_signals_are_passed_on(home: Home, name: str) -> None:
    script = (
        f"import signal, sys, time\nsignal.signal(signal.SIG{name}, lambda *_: sys.exit(42))\n"
        "print('up', flush=True)\ntime.sleep(600)\n"
    )
    with started(home, "python", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(getattr(signal, f"SIG{name}"))
        assert process.wait(60) == 42
    home.wait_until_gone()
    assert home.left == []


def test_an_interrupted_command_is_130(home: Home) -> None:
    # exec: dash loses a signal that comes while it makes a child
    with started(home, "sh", "-c", "echo up; exec sleep 600") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_killed_itself_it_leaves_no_process(home: Home) -> None:
    with started(home, "python", "-c", "import os, time; print('up', flush=True); os.fork(); time.sleep(600)") as one:
        try:
            assert one.stdout is not None
            assert one.stdout.readline() == b"up\n"
        finally:
            one.kill()
    home.wait_until_gone()


def started(home: Home, *command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*home.command, "run", "--", *command],
        cwd=home.app,
        env=home.variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )


def test_options_of_the_command_are_the_commands(home: Home) -> None:
    for before in ([], ["--"]):
        ran = home.run("run", *before, "python", "-c", "import sys; print(sys.argv)", "--app", "--type", "-x")
        assert ran.stdout == "['-c', '--app', '--type', '-x']\n", ran.stderr


def test_it_gets_what_a_process_gets(home: Home) -> None:
    home.write({".env": "GREETING='hello ${HOME}'\nFROM=$GREETING\n"})
    ran = home.run("run", "--", "env")
    got = dict(line.split("=", 1) for line in ran.stdout.splitlines())
    assert got["FUNGIBLE_PROCESS"] == "run.1"
    assert got["FUNGIBLE_RELEASE"] == "draft"
    assert got["GREETING"] == "hello ${HOME}"
    assert "PORT" not in got
    for name in ("HOME", "TMPDIR", "FUNGIBLE_SCRATCH", "XDG_RUNTIME_DIR"):
        assert got["FUNGIBLE_INSTANCE"] in got[name]
        assert not Path(got[name]).exists(), "wiped"


def test_with_a_type_it_gets_what_that_types_processes_get(home: Home) -> None:
    settings = '[types.web]\nfiles = 99\n[types.job]\nlisten = "unix"\n'
    home.write({"Procfile": "web: python server.py\njob: true\n", "fungible.toml": settings})
    ran = home.run("run", "--type", "web", "--", "sh", "-c", "echo $PORT $FUNGIBLE_PROCESS; ulimit -n")
    port, name, files = ran.stdout.split()
    assert (name, files) == ("web.1", "99")
    with socket.socket() as free:
        free.bind(("127.0.0.1", int(port)))
    ran = home.run("run", "--type", "job", "--", "sh", "-c", "echo $FUNGIBLE_SOCKET $PORT")
    assert ran.stdout.strip().endswith("/own/run/s")
    assert home.left == []


def test_a_virtual_environment_inside_the_app_is_used_where_it_is(home: Home) -> None:
    subprocess.run(["python3", "-m", "venv", "--without-pip", str(home.app / ".venv")], check=True)
    ran = home.run("run", "--", ".venv/bin/python", "-c", "import sys; print(sys.prefix)")
    assert ran.stdout == f"{home.app}/.venv\n", ran.stderr


@pytest.mark.parametrize("level", ["copy", "readonly", "scratch", "none"])
def test_every_level_runs_it(home: Home, level: str) -> None:
    ran = home.run("run", "--isolation", level, "--", "python", "-c", "print(open('server.py').read(8))")
    if ran.returncode == 3:
        pytest.skip(ran.stderr)
    assert (ran.returncode, ran.stdout) == (0, '"""A sma\n'), ran.stderr


def test_two_at_once_do_not_meet(home: Home) -> None:
    script = (
        "import os, sys; open('mine', 'w').close()\n"
        "print(len(os.listdir(os.environ['TMPDIR'])), flush=True); sys.stdin.read()\n"
    )
    ones = [
        subprocess.Popen(
            [*home.command, "run", "--", "python", "-c", script],
            cwd=home.app,
            env=home.variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]
    try:
        for one in ones:
            assert one.stdout is not None
            assert one.stdout.readline() == b"0\n"
    finally:
        for one in ones:
            one.communicate(timeout=60)
    assert [one.returncode for one in ones] == [0, 0]
    assert home.left == []
    assert not (home.app / "mine").exists()
    wait_until(lambda: not home.pids)
