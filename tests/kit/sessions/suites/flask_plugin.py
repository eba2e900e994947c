"""A pytest plugin: Flask's own tests of sessions, run against the kit's session interface.

usage: SESSION_SUITE_URL=URL pytest -p flask_plugin SOURCE/tests; SOURCE is an unpacked source distribution of Flask
(the wheel has no tests), URL a store of sessions. `make suites` fetches the one and starts the other. Only tests
whose source speaks of sessions are run.
"""

from __future__ import annotations

import inspect
import os

import _pytest.monkeypatch
import flask
import pytest

from fungible_kit import Sessions
from fungible_kit.sessions.flask import FlaskSessions

# Their conftest.py uses a name that pytest 9.1 has changed.
if not hasattr(_pytest.monkeypatch, "notset"):
    _pytest.monkeypatch.notset = _pytest.monkeypatch.NOTSET  # type: ignore[attr-defined]

_COOKIE = "the cookie is set up by Cookie(...), not by SESSION_COOKIE_... of Flask"
_REFRESH = (
    "a cookie is resent where the idle limit has moved on, not with every answer (SESSION_REFRESH_EACH_REQUEST)"
)
_KEY = "no secret key is needed: the id is all there is to know"
SKIPS = {
    "test_session_path": _COOKIE,
    "test_session_using_application_root": _COOKIE,
    "test_session_using_session_settings": _COOKIE,
    "test_session_using_samesite_attribute": _COOKIE,
    "test_session_cookie_setting": _REFRESH,
    "test_session_refresh_vary": _REFRESH,
    "test_missing_session": _KEY,
    "test_session_secret_key_fallbacks": _KEY,
    "test_session_transactions_no_null_sessions": _KEY,
    "test_session_expiration": "a permanent cookie has Max-Age, which every browser takes, and no Expires beside it",
}


def pytest_configure(config: pytest.Config) -> None:
    sessions = Sessions(os.environ["SESSION_SUITE_URL"], development=True, deadline="10s")
    flask.Flask.session_interface = FlaskSessions(sessions)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = [item for item in items if "session" in inspect.getsource(item.function)]  # type: ignore[attr-defined]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen
    for item in items:
        if item.name in SKIPS:
            item.add_marker(pytest.mark.skip(reason=SKIPS[item.name]))
