"""What a request costs the store, counted exactly: a token one look-up, junk none."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fungible_kit.tokens import Invalid, Tokens
from tests.kit.tokens.conftest import Clock, Loop
from tests.kit.tokens.tap import counting

JUNK = (
    None,
    "",
    "Basic YTpi",
    "Bearer junk",
    "Bearer acme_login_",
    "Bearer acme_login_" + "0" * 49,
    "Bearer acme_api_" + "0" * 49,
    "Bearer a.b.c",
)


@pytest.mark.parametrize("by", ["threads", "loop"])
def test_t2_a_token_costs_one_look_up_and_junk_none(
    kind: str, url: str, name: str, by: str, clock: Clock, background: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counting(kind, url, background, monkeypatch) as (counted_url, asked), asyncio.Runner() as runner:
        tokens = Tokens(counted_url, prefix="acme", name=name, clock=clock)
        tokens.create()

        def verify(header: str | None) -> None:
            if by == "threads":
                tokens.verify(header)
            else:
                runner.run(tokens.averify(header))

        # Once each before it counts: connections are there now, and Valkey knows the scripts.
        warm = f"Bearer {tokens.issue('bob', renew_for='1d').secret}"
        clock.now += 600
        verify(warm)
        tokens.refresh(warm)
        header = f"Bearer {tokens.issue('ann', renew_for='1d').secret}"
        asked()
        for _ in range(10):
            verify(header)
            assert asked() == 1
        for junk in (*JUNK, header[:-1], header[:-1] + ("0" if header[-1] != "0" else "1")):
            with pytest.raises(Invalid):
                verify(junk)
        assert asked() == 0
        clock.now += 600
        for cost in (2, 1, 1):  # its use is noted, once in ten minutes
            verify(header)
            assert asked() == cost
        tokens.issue("ann")
        assert asked() == 1
        tokens.refresh(header)
        # One look-up, one step that replaces; in SQLite that step is BEGIN, UPDATE, INSERT, COMMIT.
        assert asked() == (5 if kind == "sqlite" else 2)
        runner.run(tokens.aclose())


def test_a_middleware_asks_once_and_not_for_public_paths(
    tmp_path: object, background: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counting("sqlite", f"sqlite:///{tmp_path}/t.db", background, monkeypatch) as (url, asked):
        tokens = Tokens(url, prefix="acme")
        header = f"Bearer {tokens.issue('ann').secret}"
        app = tokens.wsgi(lambda environ, start: [b""], public=("/login", "/assets/"))
        asked()
        for path, cost in (("/data", 1), ("/login", 0), ("/assets/a.css", 0), ("/login/x", 1), ("/assets", 1)):
            app({"REQUEST_METHOD": "GET", "PATH_INFO": path, "HTTP_AUTHORIZATION": header}, lambda *_: None)
            assert (path, asked()) == (path, cost)
        tokens.close()


def test_importing_the_kit_brings_nothing_from_outside_the_standard_library(tmp_path: Path) -> None:
    """Nor does having tokens in SQLite, signed tokens and passwords at hand."""
    program = (
        "import sys, json; before = set(sys.modules); import fungible_kit; first = set(sys.modules) - before\n"
        "from fungible_kit import Passwords, SignedTokens, Tokens; Tokens('sqlite:///x.db', prefix='a')\n"
        "print(json.dumps([sorted(first), sorted(set(sys.modules) - before)]))"
    )
    command = [sys.executable, "-c", program]
    out = subprocess.run(command, capture_output=True, check=True, text=True, cwd=tmp_path).stdout
    alone, with_tokens = json.loads(out)
    assert [name for name in alone if name.partition(".")[0] not in {*sys.stdlib_module_names, "fungible_kit"}] == []
    assert not [name for name in alone if name.startswith("fungible_kit.")]
    outside = {name.partition(".")[0] for name in with_tokens} - sys.stdlib_module_names
    assert outside == {"fungible_kit"}
    assert not list(tmp_path.iterdir())  # a store is opened when it is first asked
