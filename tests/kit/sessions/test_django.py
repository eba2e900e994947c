"""Django's sessions, login and messages on our engine; in a process of its own, because Django's settings are one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.sessions.servers import asked

CASES = Path(__file__).with_name("django_cases.py")


def run(url: str, folder: Path, *cases: str, middleware: str = "ours") -> str:
    environment = {
        **os.environ,
        "FUNGIBLE_SESSION_URL": url,
        "DATABASE": str(folder / "db"),
        "MIDDLEWARE": middleware,
    }
    argv = [sys.executable, str(CASES), *cases]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("middleware", ["ours", "django"])
def test_sessions_logins_and_messages(url: str, middleware: str, tmp_path: Path) -> None:
    cases = ["values", "nested", "login", "messages", "expiry", "parallel", "asynchronous"]
    said = run(url, tmp_path, *cases, middleware=middleware)
    assert said.splitlines() == [f"{case} ok" for case in cases]


def test_with_our_middleware(url: str, tmp_path: Path) -> None:
    cases = ["ended_meanwhile", "unknown_id_keeps_its_cookie", "touch"]
    cases += [] if url.startswith("memcached") else ["revoke"]
    assert run(url, tmp_path, *cases).splitlines() == [f"{case} ok" for case in cases]


def test_commands_of_each_request(valkey_url: str, tmp_path: Path) -> None:
    with asked(valkey_url) as commands:
        run(valkey_url, tmp_path, "commands")
    expected = {
        "untouched": [],
        "anonymous read": [],
        "first write": ["EVALSHA"],
        "untouched with a session": [],
        "read": ["HGETALL"],
        "read and write": ["HGETALL", "EVALSHA"],
    }
    # The steps are told apart by an INCRBY between them; scripts may have to be sent first.
    steps: list[list[str]] = [[]]
    for command in commands:
        if command == "INCRBY":
            steps.append([])
        elif command != "EVAL":
            steps[-1].append(command)
    assert dict(zip(expected, steps, strict=False)) == expected


def test_s13_a_store_that_is_away_is_503_and_the_cookie_stays(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        assert run(f"valkey://127.0.0.1:{held.getsockname()[1]}", tmp_path, "away") == "away ok\n"


def test_a_setting_that_is_misspelt_is_named(sqlite_url: str, tmp_path: Path) -> None:
    assert run(sqlite_url, tmp_path, "misspelt") == "misspelt ok\n"
