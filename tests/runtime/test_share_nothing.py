"""What processes write is private, listed and thrown away: by the whole of `start`, as root and as anybody."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

import pytest

from fungible.build.releases import KEPT
from tests.runtime.harness import Home, wait_until

WEB = "web: python3 server.py\n"
SQLITE = (
    "import sqlite3, sys, time\n"
    "c = sqlite3.connect(sys.argv[1]); c.execute('create table t(x)'); c.commit()\n"
    "time.sleep(float(sys.argv[2]))\n"
)


def as_ordinary_user(home: Home) -> Home:
    """The same home, owned and used by uid 1001."""
    if os.geteuid() != 0:
        pytest.skip("already an ordinary user")
    source, packages = Path(__file__).parents[2] / "src", Path(sysconfig.get_path("purelib"))
    python = Path("/usr/bin/python3")
    if not python.exists() or shutil.which("setpriv") is None:
        pytest.skip("no Python that an ordinary user can run")
    for path in (source, packages, home.base.parent):
        if not all(part.stat().st_mode & 0o001 for part in (path, *path.parents)):
            pytest.skip(f"{path} is not readable for others")
    for path in (home.base, *home.base.rglob("*")):
        os.chown(path, 1001, 1001)
    home.command = (
        *("setpriv", "--reuid", "1001", "--regid", "1001", "--clear-groups", str(python)),
        *("-c", "from fungible.cli import main; main()"),
    )
    shim = home.base / "shim"  # what the valkey client needs below Python 3.11.3, and our lock leaves out
    shim.mkdir(mode=0o755)
    (shim / "async_timeout.py").write_text("from asyncio import timeout\n")
    home.environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{source}:{packages}:{shim}"}
    return home


@pytest.mark.parametrize("level", ["full", "copy"])
@pytest.mark.parametrize("user", ["root", "ordinary"])
def test_writes_stay_in_their_process_never_reach_the_apps_folder_and_are_listed(
    home: Home, user: str, level: str
) -> None:
    home.write({"Procfile": WEB, "kept.txt": "kept"})
    if user == "ordinary":
        as_ordinary_user(home)
    before = {path: path.stat() for path in home.app.rglob("*")}
    with home.start("web=2", "--isolation", level, up=False) as formation:
        try:
            formation.wait_until_up()
        except AssertionError:
            if "is not possible here" in formation.say():
                pytest.skip(f"level {level} is not possible here")
            raise
        writer = formation.get("/write/uploads/a.png").json()["process"]
        wait_until(lambda: formation.get("/write/kept.txt").json()["process"] == writer)
        seen = {}
        for _ in range(4):
            said = formation.get("/read/uploads/a.png").json()
            seen[said["process"]] = said["text"]
        assert seen == {"web.1": None, "web.2": None} | {writer: "written"}
        assert formation.stop() == 0
    wrote = {e["process"]: e["paths"] for e in formation.of("process.wrote")}
    assert "uploads/a.png" in wrote[writer]
    assert "kept.txt" in wrote[writer]
    after = {path: path.stat() for path in home.app.rglob("*")}
    assert {path: (s.st_size, s.st_mtime_ns) for path, s in after.items()} == {
        path: (s.st_size, s.st_mtime_ns) for path, s in before.items()
    }
    assert home.left == []


def test_what_was_written_is_told_to_people(home: Home) -> None:
    work = "mkdir uploads; echo x > uploads/a.png; rm server.py; echo done; sleep 600"
    home.write({"Procfile": f"worker: sh -c '{work}'\n"})
    with home.start(as_json=False, up=False) as formation:
        formation.wait_for(lambda: "| done" in formation.say())
        assert formation.stop() == 0
    assert "wrote: -server.py, uploads/a.png (thrown away)" in formation.say()


@pytest.mark.parametrize("level", ["full", "copy"])
@pytest.mark.parametrize("seconds", ["600", "0"], ids=["while it runs", "when it has ended"])
def test_a_database_in_the_apps_folder_stops_the_start_with_the_mend(home: Home, level: str, seconds: str) -> None:
    home.write({"Procfile": f"web: python3 db.py shop.db {seconds}\n", "db.py": SQLITE})
    done = home.run("start", "--port", "0", "--isolation", level)
    if "is not possible here" in done.stderr:
        pytest.skip(f"level {level} is not possible here")
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("fungible: shop.db: web.1 writes an SQLite database inside the app's folder")
    assert 'add DATABASE_URL = "sqlite" under [tool.fungible.services]' in last
    assert f"sqlite:///{home.base}/state/fungible/" in last
    assert not (home.app / "shop.db").exists()
    home.wait_until_gone()
    assert home.left == []


def test_a_database_that_the_release_command_writes_stops_the_start_with_the_mend(home: Home) -> None:
    home.write({"Procfile": WEB + "release: python3 db.py shop.db 0\n", "db.py": SQLITE})
    done = home.run("start", "--port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "release.1    | wrote: shop.db (thrown away)" in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("fungible: shop.db: the release command writes an SQLite database inside the app's folder")
    assert home.left == []


def test_a_database_in_scratch_is_nobodys_business(home: Home) -> None:
    home.write({"Procfile": "web: python3 db.py $FUNGIBLE_SCRATCH/x.db 0 && python3 server.py\n", "db.py": SQLITE})
    with home.start() as formation:
        assert formation.get().status_code == 200
        assert formation.stop() == 0
    assert not formation.of("process.wrote")


def test_a_machine_that_refuses_full_gets_the_next_level_and_asking_for_full_is_exit_3(home: Home) -> None:
    """In a user namespace that may have no mount namespace, as in a default container."""
    home.write({"Procfile": WEB})
    unshare = shutil.which("unshare")
    forbid = "echo 0 > /proc/sys/user/max_mnt_namespaces"
    if unshare is None or os.system(f"{unshare} -U --map-root-user sh -c '{forbid}' 2>/dev/null"):
        pytest.skip("no user namespaces here")
    home.command = (unshare, "-U", "--map-root-user", "sh", "-c", f'{forbid} && exec "$@"', "sh", *home.command)
    done = home.run("start", "--port", "0", "--isolation", "full")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("fungible: isolation full is not possible here: the system refused it (")
    with home.start("web=1") as formation:
        said = formation.of("notice")[0]["text"]
        assert said.startswith(("isolation copy (not isolated: loopback ports", "isolation scratch (not isolated"))
        assert formation.get().status_code == 200
        assert formation.stop() == 0


def test_the_state_folder_may_lie_inside_the_apps_folder(home: Home) -> None:
    """A container whose HOME is the app's folder."""
    home.environment = {"XDG_STATE_HOME": str(home.app / ".local" / "state"), "HOME": str(home.app)}
    home.write({"Procfile": "web: python3 server.py\n"})
    for _ in range(2):
        with home.start() as formation:
            assert formation.get("/read/Procfile").json()["text"] == "web: python3 server.py\n"
            listed = formation.get("/env/FUNGIBLE_RELEASE").json()["value"]
            assert listed == "v1", "what we keep there makes no new release"
            assert formation.stop() == 0
    shutil.rmtree(home.app / ".local")


def test_an_edit_reaches_no_running_process_and_makes_a_release_at_the_next_start(home: Home) -> None:
    home.write({"Procfile": WEB, "text": "one"})
    with home.start() as formation:
        home.write({"text": "two"})
        assert formation.get("/read/text").json()["text"] == "one"
        formation.get("/exit/1")
        formation.wait("process.ready", after=formation.events.index(formation.wait("process.ended")))
        assert formation.get("/read/text").json()["text"] == "one"
        assert formation.stop() == 0
    with home.start() as formation:
        assert formation.get("/read/text").json()["text"] == "two"
        assert formation.get("/env/FUNGIBLE_RELEASE").json()["value"] == "v2"
        assert formation.stop() == 0


@pytest.mark.parametrize("user", ["root", "ordinary"])
def test_what_is_sealed_is_read_only_by_mode_and_goes_with_its_release(home: Home, user: str) -> None:
    home.write({"Procfile": WEB, "run.sh": "true\n", "deep/a.py": "A = 0\n"})
    (home.app / "run.sh").chmod(0o755)
    if user == "ordinary":
        as_ordinary_user(home)
    with home.start() as formation:
        for number in range(1, KEPT + 3):
            (home.app / "deep/a.py").write_text(f"A = {number}\n")
            assert home.run("release").stdout == f"v{number + 1} serves\n"
        (state,) = home.base.glob("state/fungible/app-*")
        assert {path.name for path in (state / "releases").iterdir()} == {f"v{n}" for n in range(4, KEPT + 4)}
        files = [path for path in home.base.glob("state/fungible/**/app/**/*") if path.is_file()]
        assert {path.name: path.stat().st_mode & 0o777 for path in files if path.suffix != ".pyc"} == {
            **dict.fromkeys(("Procfile", "a.py", "server.py"), 0o444),
            "run.sh": 0o555,
        }
        assert {path.stat().st_mode & 0o222 for path in files} == {0}
        assert home.run("rollback", "v5").stdout == f"v{KEPT + 4} serves\n"
        assert (state / "releases/v5/app/deep/a.py").read_text() == "A = 4\n"
        assert formation.stop() == 0
