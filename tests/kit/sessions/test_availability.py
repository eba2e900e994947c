"""What the log says of a store that cannot be used: once, with the reason, and never what opens the store."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fungible_kit import Sessions
from fungible_kit.sessions import Misconfigured
from fungible_kit.sessions.identity import key_of, public_id
from tests.kit.sessions import apps
from tests.kit.sessions.clients import AsgiBrowser, Jar, WsgiBrowser

ID = {"__Host-sid": "A" * 43}


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "fungible_kit.sessions" and record.levelno == logging.WARNING
    ]


@pytest.mark.parametrize("face", ["wsgi", "asgi"])
@pytest.mark.parametrize(
    ("fault", "says"),
    [("password", "invalid username-password pair"), ("none", "Authentication required"), ("db", "out of range")],
)
def test_a_store_that_refuses_is_told_once_with_the_reason(
    face: str, fault: str, says: str, valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    held = urlsplit(valkey_url)
    port = held.port
    url = {
        "password": f"valkey://:sesame@127.0.0.1:{port}",
        "none": f"valkey://127.0.0.1:{port}",
        "db": f"redis://:{held.password}@127.0.0.1:{port}/9999",
    }[fault]
    sessions = Sessions(url, deadline="5s")
    browser: Any = (
        WsgiBrowser(apps.wsgi(sessions), Jar(dict(ID)))
        if face == "wsgi"
        else AsgiBrowser(apps.asgi(sessions), Jar(dict(ID)))
    )
    for _ in range(3):
        assert browser.get("/all").status == 503
    (told,) = warnings_in(caplog)
    assert told.startswith(f"{url.partition(':')[0]} at 127.0.0.1:{port} cannot be used: ") and says in told
    assert "sesame" not in told and str(held.password) not in told


def test_a_first_write_without_a_cookie_is_told_as_well(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        browser = WsgiBrowser(apps.wsgi(Sessions(f"valkey://127.0.0.1:{port}")))
        for _ in range(5):
            assert browser.get("/set/a/1").status == 503
    (told,) = warnings_in(caplog)
    assert told.startswith(f"valkey at 127.0.0.1:{port} cannot be used: ") and "refused" in told


def test_a_store_that_is_back_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sessions = Sessions(f"sqlite:///{tmp_path}/folder/s.db")
    browser = WsgiBrowser(apps.wsgi(sessions), Jar(dict(ID)))
    (tmp_path / "folder").write_text("no folder yet")
    assert browser.get("/all").status == 503
    (tmp_path / "folder").unlink()
    (tmp_path / "folder").mkdir()
    assert [browser.get("/all").status for _ in range(2)] == [200, 200]
    began, back = warnings_in(caplog)
    assert "cannot be used: " in began and back == f"the file {tmp_path}/folder/s.db is back"


@pytest.mark.parametrize(
    "url", ["valkey://127.0.0.1:abc", "redis://:ses/ame@h:1", "valkey://h:99999", "valkey://[::1"]
)
def test_a_port_that_is_none_is_refused_when_it_is_given(url: str) -> None:
    with pytest.raises(Misconfigured, match="URL of the session store is n") as failed:
        Sessions(url)
    assert "ses" not in str(failed.value).replace("session", "")


@pytest.mark.parametrize("face", ["wsgi", "asgi"])
def test_what_was_not_saved_is_named(face: str, caplog: pytest.LogCaptureFixture) -> None:
    """Without a reader of the answer: it is an error of the app's already."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        sessions = Sessions(f"valkey://127.0.0.1:{held.getsockname()[1]}", on_store_error="anonymous")
        browser: Any = (
            WsgiBrowser(apps.wsgi(sessions, "500 Oops"), Jar(dict(ID)))
            if face == "wsgi"
            else AsgiBrowser(apps.asgi(sessions, 500, preload=False), Jar(dict(ID)))
        )
        browser.get("/logout")
    assert f"the end of session {public_id(key_of('A' * 43))} was not saved: " in caplog.text


@pytest.mark.pure
def test_what_is_unsaved_has_a_name_before_the_session_has_one() -> None:
    session = Sessions("valkey://h").open("")
    session["a"] = 1
    assert session.unsaved() == "a change of a new session"
    session.login("ann")
    assert session.unsaved() == "a login in a new session"
