"""Logs: whole lines, bounded, masked, whoever reads them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from fungible.runtime.start import SAME_SIGNAL
from tests.runtime.harness import Home, wait_until

SECRET = 'sw0rd"fish\\x'


def test_secrets_are_masked_in_logs_as_text_and_as_json(home: Home) -> None:
    home.write(
        {
            "Procfile": "worker: python say.py\n",
            "say.py": "import os, time\nprint('token', os.environ['API_TOKEN'], os.environ['PLAIN'], flush=True)\n"
            "time.sleep(600)\n",
        }
    )
    home.environment = {"API_TOKEN": SECRET, "PLAIN": "not-secret"}
    for as_json in (True, False):
        with home.start(as_json=as_json, up=False) as formation:
            formation.wait_for(lambda f=formation: "token" in f.say())
            assert formation.stop() == 0
        said = formation.say()
        assert "token *** not-secret" in said
        assert "fish" not in said


def test_a_stop_is_told_once_and_so_is_a_kill(home: Home) -> None:
    ignoring = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)"
    home.write(
        {
            "Procfile": "worker: python s.py\n",
            "s.py": f"{ignoring}; time.sleep(600)",
            "fungible.toml": "stop_timeout = '45s'\n",
        }
    )
    with home.start("worker=2", as_json=False, up=False) as formation:
        formation.wait_for(lambda: formation.say().count("| up") == 2)
        formation.send(signal.SIGINT)
        formation.wait_for(lambda: "stopping 2 processes" in formation.say())
        time.sleep(2 * SAME_SIGNAL)  # at once it would count as the first, delivered twice
        assert formation.stop() == 0
    said = formation.say()
    stopping = [line for line in said.splitlines() if "a second Ctrl-C kills" in line]
    assert len(stopping) == 1 and "(45 s at most)" in stopping[0]
    assert said.count("killing 2 processes") == 1


def test_a_partial_line_comes_at_exit_and_a_long_one_in_pieces(home: Home) -> None:
    script = "import sys\nsys.stdout.write('é' * 5_000_000 + '\\n')\nsys.stdout.write('no end')\nsys.exit(3)\n"
    home.write({"Procfile": "worker: python say.py\n", "say.py": script})
    with home.start(up=False) as formation:
        formation.wait("process.ended", "worker.1")
        assert formation.stop() == 0
    instance = formation.of("process.starting")[0]["instance"]
    lines = [e for e in formation.of("log.line") if e["instance"] == instance]
    assert lines[-1]["text"] == "no end"
    assert all(len(line["text"].encode()) <= 64 * 1024 for line in lines)
    pieces = lines[:-1]
    assert all(piece.get("continued") for piece in pieces[:-1])
    assert "continued" not in pieces[-1]
    assert set("".join(piece["text"] for piece in pieces)) == {"é"}, "no character is cut in two"
    assert sum(len(piece["text"]) for piece in pieces) == 5_000_000


def test_stdout_and_stderr_are_told_apart_and_odd_bytes_are_shown(home: Home) -> None:
    script = "import os, time\nos.write(1, b'out \\xff\\n')\nos.write(2, b'err\\r\\n')\ntime.sleep(600)\n"
    home.write({"Procfile": "worker: python say.py\n", "say.py": script})
    with home.start() as formation:
        formation.wait("log.line", stream="stdout", text="out \\xff")
        formation.wait("log.line", stream="stderr", text="err")
        assert formation.stop() == 0


def test_a_reader_that_does_not_read_never_holds_a_process_up_and_is_told_what_it_missed(home: Home) -> None:
    """60 MB of lines against a pipe that nobody empties."""
    script = (
        "import os, sys, time\n"
        "for n in range(60_000): sys.stdout.write('x' * 1000 + '\\n')\n"
        "sys.stdout.flush(); open(os.environ['STORE'] + '/done', 'w').close(); time.sleep(600)\n"
    )
    home.write(
        {"Procfile": "worker: python say.py\n", "say.py": script, "fungible.toml": '[services]\nSTORE = "folder"\n'}
    )
    process = subprocess.Popen(
        [*home.command, "start", "--json"],
        cwd=home.app,
        env=home.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        wait_until(lambda: list(home.base.glob("state/fungible/*/services/STORE/done")))
        process.send_signal(signal.SIGINT)
        events = [json.loads(line) for line in process.stdout]
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    dropped = sum(event["lines"] for event in events if event["event"] == "log.dropped")
    assert dropped > 0
    assert dropped + len(events) >= 60_000


def _runs(home: Home, words: str) -> bool:
    """Whether a process of the formation runs that has these words in its command line."""
    with contextlib.suppress(OSError):
        return any(words.encode() in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in home.pids)
    return False


def test_a_reader_that_never_comes_back_does_not_keep_it_from_ending(home: Home) -> None:
    home.write({"Procfile": "worker: python say.py\n", "say.py": "while True: print('x' * 1000)\n"})
    read, write = os.pipe()
    process = subprocess.Popen(
        [*home.command, "start", "--json"], cwd=home.app, env=home.variables, stdout=write, stderr=subprocess.DEVNULL
    )
    os.close(write)
    try:
        assert b"notice" in os.read(read, 100)
        wait_until(lambda: _runs(home, "say.py"))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(read)
    home.wait_until_gone()


def test_a_reader_that_left_does_not_stop_the_formation(home: Home) -> None:
    home.write({"Procfile": "worker: python -c \"import time; print('x', flush=True); time.sleep(600)\"\n"})
    process = subprocess.Popen(
        [*home.command, "start", "--json"],
        cwd=home.app,
        env=home.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    wait_until(lambda: _runs(home, "time.sleep(600)"))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    home.wait_until_gone()
