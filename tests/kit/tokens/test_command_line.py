"""`python -m fungible_kit.tokens`."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path

import psycopg
import pytest

from fungible_kit.tokens import SignedTokens, Tokens
from fungible_kit.tokens.__main__ import main


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What the command does, in this process: starting Python each time would be most of the test."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.delenv("DATABASE_URL", raising=False)
        for key, value in environment.items():
            patch.setenv(key, value)
        code = main(list(arguments))
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def test_the_table_is_made_and_emptied(postgres_url: str) -> None:
    for _ in range(2):
        made = run("create", "--name", "by_hand", DATABASE_URL=postgres_url)
        assert (made.returncode, made.stdout) == (0, "table by_hand: there\n"), made.stderr
    tokens = Tokens(postgres_url, prefix="acme", name="by_hand", clock=lambda: time.time() - 100)
    tokens.issue("ann", ttl=1)
    tokens.close()
    purged = run("purge", postgres_url, "--name", "by_hand")
    assert (purged.returncode, purged.stdout) == (0, "1 deleted\n"), purged.stderr


def test_many_that_make_the_table_at_once_all_succeed(postgres_url: str) -> None:
    command = [sys.executable, "-m", "fungible_kit.tokens", "create", postgres_url, "--name", "at_once"]
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(4)]
    assert [(each.wait(60), each.communicate()[1]) for each in running] == [(0, b"")] * 4


def test_the_printed_schema_makes_what_the_store_makes(postgres_url: str, tmp_path: Path) -> None:
    schema = run("schema", "postgres", "--name", "printed").stdout
    with psycopg.connect(postgres_url) as connection:
        connection.execute(schema)
    printed = Tokens(postgres_url, prefix="acme", name="printed")
    assert printed.verify(f"Bearer {printed.issue('ann').secret}").user_id == "ann"
    printed.close()
    with closing(sqlite3.connect(tmp_path / "t.db")) as connection:
        connection.executescript(run("schema", "sqlite").stdout)
    tokens = Tokens(f"sqlite:///{tmp_path}/t.db", prefix="acme")
    assert tokens.verify(f"Bearer {tokens.issue('ann').secret}").user_id == "ann"
    tokens.close()


def test_the_pattern_is_for_scanners(tmp_path: Path) -> None:
    tokens = Tokens(f"sqlite:///{tmp_path}/t.db", prefix="acme", kinds=("login", "api"))
    printed = run("pattern", "acme", "login", "api").stdout.strip()
    assert printed == tokens.pattern
    secret = tokens.issue("ann").secret
    tokens.close()
    assert re.findall(printed, f"curl -H 'Authorization: Bearer {secret}'") == [secret]
    assert re.findall(run("pattern", "acme").stdout.strip(), secret) == [secret]


def test_new_keys_are_printed(tmp_path: Path) -> None:
    private, public = run("keys", "ES256").stdout.splitlines()
    assert "d" in json.loads(private)["keys"][0] and "d" not in json.loads(public)["keys"][0]
    token = SignedTokens(private, issuer="a", audience="b").sign("job")
    assert SignedTokens(public, issuer="a", audience="b").verify_secret(token).subject == "job"


def test_bad_input_is_one_sentence() -> None:
    for arguments, said in (
        (["create"], "no URL: give one, or set DATABASE_URL"),
        (["create", "mongodb://h/d"], "no store for URLs with 'mongodb'"),
        (["pattern", "Acme"], "prefix 'Acme'"),
        (["keys", "HS1"], "algorithm 'HS1'"),
        (["schema", "postgres", "--name", "a;b"], "name 'a;b'"),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("fungible_kit.tokens: ") and said in done.stderr
        assert done.stderr.count("\n") == 1
    down = run("create", "postgres://ann:s3cret@127.0.0.1:1/x")
    assert (down.returncode, down.stdout) == (1, "") and "s3cret" not in down.stderr
    assert down.stderr.startswith("fungible_kit.tokens: postgres at 127.0.0.1:1 cannot be used: ")
    assert down.stderr.count("\n") == 1
