"""Starts `fungible dashboard` as a user does, and asks it as a browser would."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from tests.runtime.harness import PATIENCE, Home


@dataclass
class Dashboard:
    """A running `fungible dashboard`: the address that it printed."""

    address: str
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return self.address.partition("/#")[0]

    @property
    def token(self) -> str:
        return self.address.partition("#")[2]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        """The answer; with the token, unless `headers` say otherwise."""
        given = {"Authorization": f"Bearer {self.token}"} if headers is None else headers
        return httpx.request(method, self.url + path, headers=given, trust_env=False, timeout=PATIENCE, **more)

    @contextlib.contextmanager
    def watch(self) -> Iterator[Iterator[dict[str, Any]]]:
        """The messages of the stream."""
        headers = {"Authorization": f"Bearer {self.token}"}
        with (
            httpx.Client(trust_env=False, timeout=PATIENCE) as client,
            client.stream("GET", f"{self.url}/v1/live", headers=headers) as answer,
        ):
            assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
            yield (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))


@contextlib.contextmanager
def dashboard_of(home: Home, *options: str) -> Iterator[Dashboard]:
    """`fungible dashboard` in the app's folder; Ctrl-C at the end."""
    process = subprocess.Popen(
        [*home.command, "dashboard", *options],
        cwd=home.app,
        env=home.variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield Dashboard(process.stdout.readline().strip(), process)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert "Traceback" not in process.communicate()[1]
    finally:
        process.kill()
        process.communicate()
