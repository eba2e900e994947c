"""An app's folder, read whole."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from fungible.app.formation import initial_formation, parse_formation
from fungible.app.load import load_app
from fungible.app.model import app_name
from fungible.app.problem import Problem

pytestmark = pytest.mark.pure


def write(folder: Path, **files: str) -> Path:
    names = {"procfile": "Procfile", "pyproject": "pyproject.toml", "toml": "fungible.toml", "dotenv": ".env"}
    folder.mkdir(exist_ok=True)
    for key, text in files.items():
        (folder / names[key]).write_text(text)
    return folder


def test_types_are_joined_with_their_settings_in_the_order_of_the_procfile(tmp_path: Path) -> None:
    app = load_app(
        write(
            tmp_path / "shop",
            procfile="worker: work\nweb: serve\nclock: tick\nrelease: migrate\n",
            toml="boot_timeout = '9s'\n[types.clock]\nsingleton = true\n[types.worker]\nboot_timeout = '3s'\n"
            "processes = 0\nstop_signal = 'INT'\nlisten = 'unix'\nmemory = '64MiB'\n",
            dotenv="A=1\nB=2\n",
        )
    )
    assert list(app.types) == ["worker", "web", "clock"]
    worker, web, clock = app.types.values()
    assert (web.command, web.line, web.listen, web.boot_timeout, web.processes) == ("serve", 2, "port", 9.0, 1)
    assert (worker.boot_timeout, worker.drain_timeout, worker.stop_signal) == (3.0, 30.0, "INT")
    assert (worker.listen, worker.memory, worker.processes) == ("unix", 64 << 20, 0)
    assert (clock.singleton, clock.listen) == (True, None)
    assert app.singletons == {"clock"}
    assert app.release_command == "migrate"
    assert [assignment.name for assignment in app.dotenv] == ["A", "B"]
    assert app.sources == ("Procfile", "fungible.toml", ".env")
    assert app.name == "shop"


def test_settings_in_pyproject(tmp_path: Path) -> None:
    text = "[project]\nname = 'My_Shop.site'\n[tool.other]\nx = 1\n[tool.fungible]\nrelease = 'migrate'\n"
    app = load_app(write(tmp_path, procfile="web: a\n", pyproject=text))
    assert app.release_command == "migrate"
    assert app.name == "my-shop-site"
    assert app.sources == ("Procfile", "pyproject.toml")


def test_a_pyproject_without_settings_goes_with_a_fungible_toml(tmp_path: Path) -> None:
    app = load_app(write(tmp_path, procfile="web: a\n", pyproject="[project]\nname='x'\n", toml="isolation='copy'"))
    assert (app.name, app.settings.isolation) == ("x", "copy")


def test_the_command_for_web_replaces_or_makes_the_type(tmp_path: Path) -> None:
    assert list(load_app(tmp_path, web="serve").types) == ["web"]
    write(tmp_path, procfile="web: a\nworker: b\n")
    app = load_app(tmp_path, web=" serve ")
    assert {name: kind.command for name, kind in app.types.items()} == {"web": "serve", "worker": "b"}
    assert app.types["web"].line == 0


def test_options_win_and_types_inherit_them(tmp_path: Path) -> None:
    write(tmp_path, procfile="web: a\n", toml="stop_timeout = '9s'\n")
    app = load_app(tmp_path, options={"stop_timeout": "2s", "isolation": None})
    assert app.types["web"].stop_timeout == 2.0


def test_a_folder_with_nothing_in_it_is_enough_for_a_one_off_process(tmp_path: Path) -> None:
    app = load_app(tmp_path, need_types=False)
    assert (dict(app.types), app.sources, app.dotenv) == ({}, (), ())


def test_a_virtual_environment_named_dotenv_is_no_file_of_variables(tmp_path: Path) -> None:
    write(tmp_path, procfile="web: a\n")
    (tmp_path / ".env").mkdir()
    with pytest.raises(Problem, match="this is a folder"):
        load_app(tmp_path)
    (tmp_path / ".env" / "pyvenv.cfg").write_text("")
    assert load_app(tmp_path).dotenv == ()


def test_the_state_name_is_the_real_path_s(tmp_path: Path) -> None:
    folder = write(tmp_path / "Mein Laden", procfile="web: a\n")
    link = tmp_path / "link"
    link.symlink_to(folder)
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:8]
    assert load_app(link).state_name == load_app(folder).state_name == f"mein-laden-{digest}"
    assert load_app(link).folder == folder.resolve()


def test_names_of_apps() -> None:
    assert app_name("", "Shop") == "shop"
    assert app_name("", "..", "日本") == "app"
    assert app_name("-a--b_") == "a-b"
    assert len(app_name("x" * 300)) == 40


def test_formations(tmp_path: Path) -> None:
    write(
        tmp_path,
        procfile="web: a\nworker: b\nclock: c\n",
        toml="types.web.processes = 3\ntypes.clock.singleton = true",
    )
    types = load_app(tmp_path).types
    given = parse_formation(["worker=0", "clock=01"], types, {"clock"})
    assert given == {"worker": 0, "clock": 1}
    assert initial_formation(given, types) == {"web": 3, "worker": 0, "clock": 1}
    assert parse_formation([], types) == {}
    assert parse_formation(["web=1000"], types) == {"web": 1000}
