"""The app on a swarm of a test's own, as a user and a client have it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.engines.image.app import Shop
from tests.engines.swarm.node import Node, client


class Deployed:
    """The app on a swarm."""

    def __init__(self, app: Shop, node: Node) -> None:
        self.app = app
        self.node = node

    def fungible(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return self.app.fungible(*words, code=code, DOCKER_HOST=self.node.host)

    def deploy(self, code: int = 0) -> subprocess.CompletedProcess[str]:
        # The same name each time: what is deployed has to be told apart all the same.
        words = ["--tag", "shop:v3", "--publish", "8080", "--host-port", "--no-boot", "--json"]
        return self.fungible("deploy", "swarm", *words, code=code)

    def ps(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.fungible("ps", "--engine", "swarm", "--json").stdout)
        return found

    def get(self, path: str) -> str:
        fetch = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=30).read().decode())"
        command = self.node.inside("python3", "-c", fetch, self.node.url + path)
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    @contextmanager
    def load(self, found: dict[str, Any]) -> Iterator[None]:
        """A load meanwhile; what became of it is put into `found`."""
        command = self.node.inside(*client(), self.node.url)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "up\n"
                yield
                found.update(json.loads(process.communicate(timeout=90)[0]))
            finally:
                process.kill()
