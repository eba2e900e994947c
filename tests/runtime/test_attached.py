"""Backing services attached to a formation: started, found by their URLs, kept; and shared with one-off processes."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path

import pytest
import valkey

from fungible.services.inventory import inventory
from tests.runtime.harness import WEB, Home

SERVICES = '[services]\nVALKEY_URL = "valkey"\nDATABASE_URL = "sqlite"\nSTORE = "folder"\n'
COUNT = (
    "import os, pathlib, sqlite3\n"
    "path = os.environ['DATABASE_URL'].removeprefix('sqlite:///')\n"
    "c = sqlite3.connect(path)\n"
    "c.execute('pragma journal_mode = wal'); c.execute('create table if not exists t(x)')\n"
    "c.execute('insert into t values (1)'); c.commit()\n"
    "print('rows', c.execute('select count(*) from t').fetchone()[0], flush=True)\n"
    "with open(os.environ['STORE'] + '/log', 'a') as f: f.write('x')\n"
    "print('store', len(open(os.environ['STORE'] + '/log').read()), flush=True)\n"
)
PING = "import os, valkey; c = valkey.Valkey.from_url(os.environ['VALKEY_URL']); print('count', c.incr('n'))"


def test_services_are_attached_and_their_data_survives(home: Home) -> None:
    home.write(
        {"Procfile": WEB + "worker: python count.py && sleep 600\n", "count.py": COUNT, "fungible.toml": SERVICES}
    )
    urls = []
    for turn in (1, 2):
        with home.start("web=1", "worker=1") as formation:
            formation.wait("log.line", "worker.1", text=f"rows {turn}")
            formation.wait("log.line", "worker.1", text=f"store {turn}")
            urls.append(formation.get("/env/VALKEY_URL").json()["value"])
            with valkey.Valkey.from_url(urls[-1]) as client:
                assert client.incr("starts") == turn
            assert formation.stop() == 0
        assert not formation.of("process.wrote"), "attached folders are not thrown away"
    home.wait_until_gone()
    with pytest.raises(valkey.ConnectionError):
        valkey.Valkey.from_url(urls[-1]).ping()


def test_a_url_that_is_set_already_wins(home: Home) -> None:
    home.write({"Procfile": WEB, "fungible.toml": SERVICES, ".env": "VALKEY_URL=redis://elsewhere.example:1/0\n"})
    home.environment = {"STORE": str(home.base / "mine")}
    (home.base / "mine").mkdir()
    with home.start() as formation:
        assert formation.get("/env/VALKEY_URL").json()["value"] == "redis://elsewhere.example:1/0"
        assert formation.get("/env/STORE").json()["value"] == str(home.base / "mine")
        formation.get(f"/write/{home.base}/mine/a")
        assert formation.stop() == 0
    assert (home.base / "mine" / "a").read_text() == "written", "a folder set elsewhere is attached as well"


@pytest.mark.parametrize("level", ["full", "copy"])
def test_attached_folders_may_lie_in_a_folder_that_is_hidden(home: Home, level: str) -> None:
    """The state of these tests is below /tmp, which level full hides."""
    assert str(home.base).startswith("/tmp/")
    home.write({"Procfile": "worker: python count.py && sleep 600\n", "count.py": COUNT, "fungible.toml": SERVICES})
    with home.start("--isolation", level) as formation:
        formation.wait("log.line", "worker.1", text="store 1")
        assert formation.stop() == 0
    database = next(home.base.glob("state/fungible/*/services/DATABASE_URL/db.sqlite3"))
    assert sqlite3.connect(database).execute("select count(*) from t").fetchone() == (1,)


def test_a_one_off_process_beside_a_formation_uses_its_services(home: Home) -> None:
    home.write({"Procfile": WEB, "count.py": COUNT, "fungible.toml": SERVICES})
    with home.start("web=1") as formation:
        url = formation.get("/env/VALKEY_URL").json()["value"]
        for turn in (1, 2):
            ran = home.run("run", "--", "python", "-c", PING)
            assert (ran.returncode, ran.stdout) == (0, f"count {turn}\n"), ran.stderr
        with valkey.Valkey.from_url(url) as client:
            assert client.get("n") == b"2", "it was the same server, and it still runs"
        assert home.run("run", "--", "python", "count.py").stdout == "rows 1\nstore 1\n"
        assert formation.stop() == 0


def test_without_a_formation_a_one_off_process_has_services_of_its_own_for_as_long_as_it_runs(home: Home) -> None:
    home.write({"fungible.toml": SERVICES})
    for turn in (1, 2):
        ran = home.run("run", "--", "python", "-c", PING)
        assert (ran.returncode, ran.stdout) == (0, f"count {turn}\n"), ran.stderr
    home.wait_until_gone()
    assert home.left == []


def test_a_start_leaves_a_one_off_process_in_peace(home: Home) -> None:
    script = (
        "import os, pathlib, sys, time\n"
        "own = pathlib.Path(os.environ['TMPDIR'], 'a'); own.write_text('mine'); pathlib.Path('b').write_text('b')\n"
        "print('up', flush=True); sys.stdin.readline()\n"
        "print(own.read_text(), pathlib.Path('b').read_text(), flush=True)\n"
    )
    home.write({"Procfile": WEB, "wait.py": script})
    with home.one_off("python", "wait.py") as one_off:
        assert one_off.stdout is not None
        assert one_off.stdout.readline() == "up\n"
        with home.start() as formation:
            assert not formation.of("notice", text="cleaned up after 1 processes that a killed supervisor had left")
            assert formation.stop() == 0
        out, err = one_off.communicate("go\n", timeout=60)
    assert out == "mine b\n", err
    assert one_off.returncode == 0
    assert home.left == []


def test_a_formation_killed_with_its_services_starts_again_on_its_data(home: Home) -> None:
    home.write({"Procfile": WEB, "fungible.toml": SERVICES})
    with home.start() as formation:
        url = formation.get("/env/VALKEY_URL").json()["value"]
        with valkey.Valkey.from_url(url) as client:
            client.set("kept", "yes")
        formation.stop(signal.SIGKILL)
    with home.start() as formation:
        url = formation.get("/env/VALKEY_URL").json()["value"]
        with valkey.Valkey.from_url(url) as client:
            assert client.get("kept") == b"yes"
        assert formation.stop() == 0


def test_the_note_about_servers_is_private(home: Home) -> None:
    home.write({"Procfile": WEB, "fungible.toml": SERVICES})
    with home.start() as formation:
        note = next((home.base / "run" / "fungible").glob("*/services.json"))
        assert note.stat().st_mode & 0o777 == 0o600
        assert list(json.loads(note.read_text())) == ["VALKEY_URL"]
        assert Path(note.parent).stat().st_mode & 0o777 == 0o700
        assert formation.stop() == 0


def test_postgres_and_memcached_where_the_system_has_them(home: Home) -> None:
    found = {service.kind: service.present for service in inventory()}
    if not (found["postgres"] and found["memcached"]):
        pytest.skip("the system has not both")
    script = (
        "import os, psycopg, socket\n"
        "with psycopg.connect(os.environ['DATABASE_URL']) as c:\n"
        "    c.execute('create table if not exists t(x int)'); c.execute('insert into t values (1)')\n"
        "    print(c.execute('select count(*) from t').fetchone()[0])\n"
        "host, port = os.environ['CACHE'].rsplit('/', 1)[-1].split(':')\n"
        "s = socket.create_connection((host, int(port))); s.sendall(b'version\\r\\n'); print(s.recv(7).decode())\n"
    )
    home.write(
        {
            "Procfile": WEB,
            "p.py": script,
            "fungible.toml": '[services]\nDATABASE_URL = "postgres"\nCACHE = "memcached"\n',
        }
    )
    with home.start("web=1") as formation:
        ran = home.run("run", "--", "python", "p.py")
        assert ran.stdout == "1\nVERSION\n", ran.stderr
        assert formation.stop() == 0
    ran = home.run("run", "--", "python", "p.py")
    assert ran.stdout == "2\nVERSION\n", ran.stderr
