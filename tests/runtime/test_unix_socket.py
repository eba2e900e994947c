"""Web types that listen on a Unix socket, with the servers that people use."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from fungible.sandbox import landlock
from tests.runtime.harness import WEB, Home, processes_in_turn

SETTINGS = '[types.web]\nlisten = "unix"\n'
WSGI = """
import json, os
def app(environ, start):
    start('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps({'process': os.environ['FUNGIBLE_PROCESS']}).encode()]
"""
ASGI = """
import json, os
async def app(scope, receive, send):
    if scope['type'] == 'http':
        body = json.dumps({'process': os.environ['FUNGIBLE_PROCESS']}).encode()
        await send({'type': 'http.response.start', 'status': 200, 'headers': []})
        await send({'type': 'http.response.body', 'body': body})
"""
GUNICORN = "gunicorn --bind unix:$FUNGIBLE_SOCKET shop:app"
UVICORN = "uvicorn --uds $FUNGIBLE_SOCKET shop:app"


def shop(home: Home, command: str) -> None:
    app = ASGI if command.startswith("uvicorn") else WSGI
    home.write({"Procfile": f"web: {command}\n", "shop.py": app, "fungible.toml": SETTINGS})


@pytest.mark.parametrize("command", [GUNICORN, UVICORN], ids=["gunicorn", "uvicorn"])
@pytest.mark.parametrize("level", ["auto", "copy"])
def test_a_real_server_answers_there(home: Home, command: str, level: str) -> None:
    if level == "copy" and landlock.version() == 0:
        pytest.skip("no Landlock")
    shop(home, command)
    with home.start("web=2", "--isolation", level) as formation:
        assert {address.partition("@")[0] for address in addresses(home)} == {"unix"}
        assert set(processes_in_turn(formation.url, 4)) == {"web.1", "web.2"}
        assert formation.stop() == 0
    assert not formation.of("process.killed")
    assert home.left == []


def addresses(home: Home) -> list[str]:
    """Where the processes listen: the sockets in the runtime folder."""
    return [f"unix@{path}" for path in home.base.glob("run/fungible/*/*/s") if path.is_socket()]


def test_one_that_crashed_is_back_on_a_socket_of_its_own(home: Home) -> None:
    shop(home, GUNICORN)
    with home.start("web=1") as formation:
        first = formation.wait("process.ready", "web.1")
        os.kill(first["pid"], signal.SIGKILL)
        again = formation.wait("process.ready", "web.1", after=formation.events.index(first) + 1)
        assert again["instance"] != first["instance"]
        assert processes_in_turn(formation.url, 2) == ["web.1", "web.1"]
        assert len(addresses(home)) == 1
        assert formation.stop() == 0


def test_servers_forked_behind_a_socket_are_counted(home: Home) -> None:
    shop(home, f"{GUNICORN} -w 3")
    with home.start("web=1") as formation:
        assert formation.wait("process.forks_servers", "web.1")["servers"] == 3
        assert formation.stop() == 0


def test_one_that_listens_elsewhere_is_told_what_to_take(home: Home) -> None:
    shop(home, "gunicorn --bind 127.0.0.1:0 shop:app")
    with home.start("web=1", as_json=False, up=False) as formation:
        formation.wait_for(lambda: "let the command take $FUNGIBLE_SOCKET" in formation.say())
        assert formation.stop() == 0


def test_there_is_no_port(home: Home) -> None:
    home.write({"Procfile": WEB, "fungible.toml": SETTINGS})
    with home.start("web=2") as formation:
        assert set(processes_in_turn(formation.url, 4)) == {"web.1", "web.2"}
        assert formation.get("/env/PORT").json()["value"] is None
        assert formation.stop() == 0


def test_a_runtime_folder_with_a_long_path_is_passed_over(home: Home) -> None:
    shop(home, UVICORN)
    long = home.base / ("x" * 60)
    long.mkdir(mode=0o700)
    home.environment = {"XDG_RUNTIME_DIR": str(long), "TMPDIR": str(home.base / "home")}
    with home.start("web=1") as formation:
        assert processes_in_turn(formation.url, 1) == ["web.1"]
        assert list(Path(long).iterdir()) == []
        assert formation.stop() == 0
