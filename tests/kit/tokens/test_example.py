"""The example of docs/tokens.md as it stands there: one process gives the token and is killed, another knows it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from fungible_kit import Tokens
from tests.runtime.harness import PATIENCE, Formation, Home, new_home

PAGE = Path(__file__).parents[3] / "docs" / "tokens.md"
PG = "pg@8.16.3"
ANN = {"name": "ann", "password": "apple-pie"}


def files_of(example: str) -> dict[str, str]:
    """The files that the page shows below a folder."""
    shown = re.findall(r"^`([\w.]+)/([\w.]+)`\n\n```\w*\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    found = {name: text for folder, name, text in shown if folder == example}
    if example == "fastapi_sqlite":
        found = files_of("flask") | {"Procfile": files_of("fastapi")["Procfile"]} | found
    assert {"Procfile", "fungible.toml"} < set(found)
    return found


@pytest.fixture
def home() -> Iterator[Home]:
    made = new_home()
    try:
        yield made
        made.wait_until_gone()
    finally:
        shutil.rmtree(made.base, ignore_errors=True)


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PostgreSQL's client for Node, installed once."""
    if shutil.which("npm") is None or subprocess.run(["node", "-e", "require('zlib').crc32('')"]).returncode:
        pytest.skip("needs npm, and Node 20.15 or later")
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text("{}")
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", PG]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return folder / "node_modules"


@pytest.fixture
def database_url(postgres_url: str, name: str) -> Iterator[str]:
    """A database of its own in the tests' PostgreSQL."""
    database = f"{name}_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}")
        yield re.sub(r"/\w+$", f"/{database}", postgres_url)
        connection.execute(f"DROP DATABASE {database} WITH (FORCE)")


@pytest.fixture
def prepare(home: Home, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """A function that puts an example into the home's app folder, with what it needs."""

    def put(example: str) -> None:
        home.write(files_of(example))
        if example == "node":
            shutil.copytree(request.getfixturevalue("node_modules"), home.app / "node_modules")
        if example not in (
            "flask",
            "fastapi_sqlite",
        ):  # a URL that is set is taken, so the tests' server does for both
            home.environment["DATABASE_URL"] = request.getfixturevalue("database_url")

    return put


def get_data(formation: Formation, token: str | None) -> httpx.Response:
    return formation.get("/data", headers={"Authorization": f"Bearer {token}"} if token else {})


@pytest.mark.parametrize("example", ["fastapi", "fastapi_sqlite", "flask", "node"])
def test_the_user_is_found_by_the_token_though_the_process_that_gave_it_was_killed(
    example: str, home: Home, prepare: Callable[[str], None]
) -> None:
    prepare(example)
    with home.start("web=3") as formation:
        wrong = httpx.post(formation.url + "/login", json=ANN | {"password": "wrong"}, timeout=PATIENCE)
        nobody = httpx.post(formation.url + "/login", json=ANN | {"name": "nobody"}, timeout=PATIENCE)
        assert (wrong.status_code, wrong.content) == (nobody.status_code, nobody.content) == (401, nobody.content)

        answer = httpx.post(formation.url + "/login", json=ANN, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        token = answer.json()["token"]
        assert re.fullmatch(Tokens("sqlite:///unused.db", prefix="acme").pattern, token)

        served = formation.wait("router.request", path="/login", status=200)
        killed = len(formation.events)
        os.kill(formation.wait("process.started", instance=served["instance"])["pid"], signal.SIGKILL)
        found = get_data(formation, token)
        assert found.status_code == 200, found.text
        assert found.json()["user"] == "ann" and found.json()["data"] == "of Ann"
        assert formation.wait("router.request", path="/data", status=200)["instance"] != served["instance"]

        # The killed one is replaced: now every process knows the token, the one that was just born, too.
        assert formation.wait("process.ended", instance=served["instance"])["status"] == -signal.SIGKILL
        born = formation.wait("process.ready", after=killed)["process"]
        assert born == served["process"]
        answers = [get_data(formation, token) for _ in range(6)]
        assert {each.status_code for each in answers} == {200}
        assert {each.json()["process"] for each in answers} == {"web.1", "web.2", "web.3"}

        for bad in (token[:-1] + ("0" if token[-1] != "0" else "1"), "junk", None):
            refused = get_data(formation, bad)
            error = ', error="invalid_token"' if bad else ""
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, f'Bearer realm="acme"{error}')
        said = formation.say()
        assert token not in said and "apple-pie" not in said
        assert formation.stop() == 0


def test_a_token_of_one_language_is_good_in_the_other(
    home: Home, prepare: Callable[[str], None], database_url: str
) -> None:
    prepare("node")
    with home.start("web=1") as formation:
        tokens = Tokens(database_url, prefix="acme")
        from_node = httpx.post(formation.url + "/login", json=ANN, timeout=PATIENCE).json()["token"]
        grant = tokens.verify(f"Bearer {from_node}", "read")
        issued = tokens.issue(grant.user_id, scopes={"read"}, renew_for="1d")
        assert get_data(formation, issued.secret).json()["user"] == "ann"
        refreshed = tokens.refresh(f"Bearer {issued.secret}")
        for secret in (issued.secret, refreshed.secret):  # the grace is taken there as well
            assert get_data(formation, secret).status_code == 200
        lacking = get_data(formation, tokens.issue(grant.user_id).secret)
        assert lacking.status_code == 403
        assert lacking.headers["www-authenticate"].endswith('error="insufficient_scope", scope="read"')
        tokens.revoke(refreshed.id)
        assert get_data(formation, refreshed.secret).status_code == 401
        tokens.revoke_user(grant.user_id)
        assert get_data(formation, from_node).status_code == 401
        tokens.close()
        assert formation.stop() == 0
