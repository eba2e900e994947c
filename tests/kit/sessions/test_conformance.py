"""Every store keeps what sessions rely on, through both of its faces, on a real server."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys

import pytest
import redis
import redis.asyncio

from fungible_kit.services import valkey as valkey_service
from fungible_kit.sessions.conformance import ASYNC_CASES, CASES, AsyncCase, Case, Skipped, blocking
from fungible_kit.sessions.stores import open_store


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_sync_face(case: Case, url: str) -> None:
    try:
        case.run(open_store(url, 5.0).sync)
    except Skipped as why:
        pytest.skip(str(why))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_async_face(case: Case, url: str) -> None:
    try:
        case.run(blocking(open_store(url, 5.0).asynchronous))
    except Skipped as why:
        pytest.skip(str(why))


@pytest.mark.parametrize("face", ["sync", "async"])
def test_redis_py_in_place_of_valkey_py(face: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey_service, "client_library", lambda: (redis, False))
    faces = open_store(valkey_url, 5.0)
    make = faces.sync if face == "sync" else blocking(faces.asynchronous)
    for case in CASES:
        if str(case) != "ends_by_itself":  # it waits, and the client has no part in it
            with contextlib.suppress(Skipped):
                case.run(make)


@pytest.mark.parametrize("case", ASYNC_CASES, ids=str)
def test_s16_replies_never_cross(case: AsyncCase, url: str) -> None:
    asyncio.run(case.run(open_store(url, 5.0).asynchronous))


def test_titles_are_sentences_of_their_own() -> None:
    titles = [case.title for case in CASES]
    assert len(set(titles)) == len(titles) >= 40


def test_the_command_tells_what_failed_and_what_is_no_store(sqlite_url: str) -> None:
    def run(url: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "fungible_kit.sessions.conformance", url]
        return subprocess.run(argv, capture_output=True, text=True, timeout=120)

    done = run(sqlite_url)
    assert done.returncode == 0 and "FAIL" not in done.stdout and "pass   async no update is lost" in done.stdout
    for url in ("mysql://h/d", "valkey://127.0.0.1:1"):
        refused = run(url)
        assert refused.returncode == 2 and not refused.stdout
        assert refused.stderr.startswith("fungible: ") and refused.stderr.count("\n") == 1
