"""What is said of a database that would be thrown away: the line to add, and what the variable then holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from fungible.runtime.ground.lost_database import lost_database

pytestmark = pytest.mark.pure

FILE = Path("/state/services/DATABASE_URL/db.sqlite3")


def told(environment: dict[str, str], embedded: dict[str, str]) -> str:
    return lost_database("db.sqlite3", "web.1", environment=environment, embedded=embedded, would_be=FILE)


def test_without_a_service_the_line_to_add_and_the_url_that_comes_of_it() -> None:
    text = told({}, {"VALKEY_URL": "redis://:x@127.0.0.1:1/0"})
    assert text.startswith("db.sqlite3: web.1 writes an SQLite database inside the app's folder")
    assert 'add DATABASE_URL = "sqlite" under [tool.fungible.services]' in text
    assert "sqlite:////state/services/DATABASE_URL/db.sqlite3" in text
    assert "unset" not in text


def test_with_a_service_it_is_the_app_that_does_not_use_it() -> None:
    url = f"sqlite+aiosqlite:///{FILE}"
    text = told({"STORE_URL": url}, {"STORE_URL": url})
    assert f"let the app open what STORE_URL names instead: {url}" in text
    assert "add" not in text.split()


def test_a_url_that_is_set_already_has_to_go_first() -> None:
    assert "; unset DATABASE_URL" in told({"DATABASE_URL": "sqlite:///db.sqlite3"}, {})
    assert "unset" not in told({"DATABASE_URL": "sqlite:////elsewhere/other.sqlite3"}, {})
    assert "unset" not in told({"DATABASE_URL": "postgres://127.0.0.1/shop"}, {})
