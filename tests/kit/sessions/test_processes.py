"""Any process serves any session: the one that signed the user in is killed before the next request."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest


@contextmanager
def gunicorn(url: str) -> Iterator[httpx.Client]:
    with tempfile.TemporaryDirectory(prefix="fk") as folder:
        address, log = Path(folder) / "s", Path(folder) / "log"
        argv = [sys.executable, "-m", "gunicorn", "-w", "2", "-b", f"unix:{address}", "--log-file", str(log)]
        environment = {**os.environ, "FUNGIBLE_SESSION_URL": url, "FUNGIBLE_SESSION_DEVELOPMENT": "1"}
        process = subprocess.Popen([*argv, "tests.kit.sessions.processes_app:app"], env=environment)
        try:
            while not address.exists():
                assert process.poll() is None, log.read_text()
                time.sleep(0.02)
            transport = httpx.HTTPTransport(uds=str(address), retries=5)
            with httpx.Client(transport=transport, base_url="http://app", timeout=60) as client:
                yield client
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.parametrize("kind", ["valkey", "memcached", "sqlite"])
def test_the_process_that_signed_a_user_in_is_killed_and_the_user_stays_signed_in(
    kind: str, servers: dict[str, str]
) -> None:
    with gunicorn(servers[kind]) as client:
        first = int(client.get("/login/ann").text)
        os.kill(first, signal.SIGKILL)  # a process of our own gunicorn, and it says its pid
        told = client.get("/who", headers={"Connection": "close"}).json()
        assert told["user"] == "ann" and told["pid"] != first
        assert told["served"] == [first, told["pid"]]
