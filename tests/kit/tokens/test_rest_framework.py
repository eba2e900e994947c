"""Django REST framework lets in what `Tokens` lets in; in a process of its own, because Django's settings are one."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fungible_kit import Tokens

APP = Path(__file__).with_name("rest_framework_app.py")
Ask = Callable[[str, str], tuple[int, dict[str, str], dict[str, Any]]]


@contextmanager
def project(url: str, folder: Path) -> Iterator[tuple[dict[str, int], Ask]]:
    """The ids of its users, and a function that asks for a path with an Authorization header."""
    command = [sys.executable, str(APP), url, str(folder / "django.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        users = json.loads(process.stdout.readline())

        def ask(path: str, header: str) -> tuple[int, dict[str, str], dict[str, Any]]:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps([path, header]) + "\n")
            process.stdin.flush()
            status, headers, body = json.loads(process.stdout.readline())
            return status, headers, body

        try:
            yield users, ask
        finally:
            process.stdin.close()


def test_t9_rest_framework_answers_as_the_other_frameworks_do(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/tokens.db"
    tokens = Tokens(url, prefix="acme")
    with project(url, tmp_path) as (users, ask):
        issued = tokens.issue(users["ann"], scopes={"read"})
        good = f"Bearer {issued.secret}"
        status, _, body = ask("/data", good)
        assert (status, body) == (200, {"user": "ann", "token": issued.id})
        assert ask("/public", good)[2] == {"user": "ann"}
        assert ask("/public", "")[2] == {"user": "AnonymousUser"}
        assert ask("/public", "Bearer junk")[0] == 401

        status, headers, _ = ask("/data", "")
        assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="acme"')
        status, headers, _ = ask("/data", f"Bearer {tokens.issue(users['ann'], scopes={'write'}).secret}")
        assert status == 403
        assert headers["www-authenticate"] == 'Bearer realm="acme", error="insufficient_scope", scope="read"'

        expired = Tokens(url, prefix="acme", clock=lambda: 1e9).issue(users["ann"], scopes={"read"})
        refused = [tokens.issue(who, scopes={"read"}).secret for who in (users["gone"], 999, "no number")]
        tokens.revoke(issued.id)
        said = {
            (status, headers["www-authenticate"], json.dumps(body))
            for secret in ("junk", issued.secret, expired.secret, *refused)
            for status, headers, body in [ask("/data", f"Bearer {secret}")]
        }
        assert len(said) == 1  # all alike
        status, challenge, _ = said.pop()
        assert (status, challenge) == (401, 'Bearer realm="acme", error="invalid_token"')


def test_a_store_that_is_away_is_503_in_rest_framework(tmp_path: Path) -> None:
    secret = Tokens(f"sqlite:///{tmp_path}/tokens.db", prefix="acme").issue("ann").secret
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with project(f"valkey://127.0.0.1:{closed.getsockname()[1]}", tmp_path) as (_, ask):
            for _ in range(5):
                status, headers, body = ask("/data", f"Bearer {secret}")
                assert status == 503 and headers["retry-after"] == "1" and "www-authenticate" not in headers
                assert "not available" in body["detail"]
