"""What every engine is told: commands that others reach, limits, secrets, and what no engine can run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.app.load import load_app
from fungible.app.problem import Problem
from fungible.engines.description import check_attached, describe, left_behind, listening_everywhere
from fungible.engines.fingerprint import release_name
from tests.engines.formations import shop

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("command", "opened"),
    [
        ("gunicorn -b 127.0.0.1:$PORT shop:app", "gunicorn -b 0.0.0.0:$PORT shop:app"),
        ("gunicorn --bind=localhost:${PORT} shop:app", "gunicorn --bind=0.0.0.0:${PORT} shop:app"),
        ("gunicorn --bind '127.0.0.1:'$PORT shop:app", "gunicorn --bind '127.0.0.1:'$PORT shop:app"),
        ("uvicorn --host 127.0.0.1 --port $PORT main:app", "uvicorn --host 0.0.0.0 --port $PORT main:app"),
        ("granian --host=localhost main:app", "granian --host=0.0.0.0 main:app"),
        ("hypercorn -b [::1]:$PORT main:app", "hypercorn -b 0.0.0.0:$PORT main:app"),
        ("python server.py 127.0.0.1:$PORT", "python server.py 0.0.0.0:$PORT"),
        # What it connects to, and what is nobody's loopback, stays.
        ("API=http://127.0.0.1/x serve", "API=http://127.0.0.1/x serve"),
        ("serve --peer 10.127.0.0.1:$PORT", "serve --peer 10.127.0.0.1:$PORT"),
        ("serve --name mylocalhost:$PORT", "serve --name mylocalhost:$PORT"),
    ],
)
def test_a_command_listens_where_others_reach_it(command: str, opened: str) -> None:
    assert listening_everywhere(command) == opened


@given(st.text(st.characters(codec="utf-8", exclude_characters="\n\0"), max_size=60))
def test_a_command_without_loopback_stays_as_it_is(command: str) -> None:
    if not any(word in command for word in ("127.0.0.1", "localhost", "::1")):
        assert listening_everywhere(command) == command
    assert listening_everywhere(listening_everywhere(command)) == listening_everywhere(command)


def test_secrets_are_told_apart_and_times_add_up(tmp_path: Path) -> None:
    described = shop(tmp_path)
    assert set(described.secrets) == {"SECRET_KEY"}
    assert "SECRET_KEY" not in described.config
    web = described.web
    assert web is not None
    assert web.grace == web.lame_duck + web.drain_timeout + web.stop_timeout
    worker = next(each for each in described.workloads if each.port is None)
    assert worker.grace == worker.stop_timeout
    assert replace(described, workloads=()).web is None


def _app(folder: Path, settings: str, dotenv: str = "") -> Path:
    (folder / "Procfile").write_text("web: serve\n")
    (folder / "fungible.toml").write_text(settings)
    (folder / ".env").write_text(dotenv)
    return folder


@pytest.mark.parametrize("kind", ["valkey", "postgres", "sqlite", "folder"])
def test_an_embedded_service_serves_one_machine(tmp_path: Path, kind: str) -> None:
    app = load_app(_app(tmp_path, f'services.STORE = "{kind}"\n'))
    with pytest.raises(Problem, match=r"^services\.STORE: the embedded .*: fungible config set STORE=URL$"):
        check_attached(app, {})
    check_attached(app, {"STORE": "x://y"})


def test_a_socket_reaches_no_other_machine(tmp_path: Path) -> None:
    app = load_app(_app(tmp_path, 'types.web.listen = "unix"\n'))
    with pytest.raises(Problem, match=r'set listen = "port"'):
        describe(app, ("a", "b"), "v1", {})


def test_what_only_dotenv_sets_is_named(tmp_path: Path) -> None:
    app = load_app(_app(tmp_path, "", "A=1\nB=2\n"))
    assert left_behind(app, {"A": "1", "B": "2"}) is None
    sentence = left_behind(app, {"A": "1"})
    assert sentence == ".env stays on this machine: B can be handed over by `fungible config set`"


def test_a_release_is_named_by_its_content_and_tells_nothing_of_it(tmp_path: Path) -> None:
    first = release_name("abcdef0123456789", {"A": "1", "B": "2"}, tmp_path)
    assert first.startswith("abcdef01-")
    assert first == release_name("abcdef0123456789", {"B": "2", "A": "1"}, tmp_path)
    assert first != release_name("abcdef0123456789", {"A": "1", "B": "3"}, tmp_path)
    (tmp_path / "other").mkdir()
    assert first != release_name("abcdef0123456789", {"A": "1", "B": "2"}, tmp_path / "other")
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir() if path.is_file()] == [0o600]
