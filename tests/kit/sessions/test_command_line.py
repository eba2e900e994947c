"""`python -m fungible_kit.sessions`, and a table that nobody has made."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from fungible_kit import Sessions
from fungible_kit.sessions import StoreUnavailable
from fungible_kit.sessions.__main__ import main


def test_a_table_that_is_not_there_is_told_with_what_makes_it(
    servers: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    url = servers["postgres"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA empty")
    elsewhere = f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3Dempty"
    sessions = Sessions(elsewhere, deadline="5s")
    for _ in range(5):  # a server that answers is not away
        with pytest.raises(StoreUnavailable, match=r"no table fungible_session; make it: python -m .* create URL"):
            sessions.open(f"__Host-sid={'A' * 43}").load()
    sessions.close()
    assert main(["purge", elsewhere]) == 1
    assert "no table" in capsys.readouterr().err
    assert main(["create", elsewhere]) == 0 == main(["create", elsewhere])
    assert main(["purge", elsewhere]) == 0
    assert capsys.readouterr().out == "there\nthere\n0 deleted\n"


def test_what_has_ended_is_deleted_and_the_operator_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    session = Sessions(url, clock=lambda: 1e9).open("")
    session["a"] = 1
    session.save()
    monkeypatch.setenv("FUNGIBLE_SESSION_URL", url)
    assert main(["purge"]) == 0 and main(["check"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "0 deleted"
    assert main(["check", "mysql://h/d"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("fungible_kit.sessions: no session store") and said.count("\n") == 1
    assert main(["purge", "valkey://127.0.0.1:1"]) == 0  # such a store does it itself


@pytest.mark.parametrize("store", ["valkey", "memcached"])
def test_a_check_of_a_store_that_cannot_be_used_says_why(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{held.getsockname()[1]}"
        assert main(["check", f"{store}://{place}"]) == 1
    out, said = capsys.readouterr()
    assert said.startswith(f"fungible_kit.sessions: {store} at {place} cannot be used: ") and "refused" in said
    assert said.count("\n") == 1 and not out


def test_a_check_with_a_wrong_password_says_so_and_keeps_it_to_itself(
    valkey_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = f"127.0.0.1:{urlsplit(valkey_url).port}"
    assert main(["check", f"valkey://:sesame@{place}"]) == 1
    said = capsys.readouterr().err
    assert f"valkey at {place} cannot be used: invalid username-password pair" in said and "sesame" not in said
