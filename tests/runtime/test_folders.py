"""Where an app's things are kept, and that what is empty goes with the last one who was there."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

from fungible.runtime.ground.folders import Folders, folders_for
from tests.runtime.harness import WEB, Home

NAME = "shop-1a2b3c4d"


def folders(base: Path, name: str = NAME) -> Folders:
    return folders_for(name, {"XDG_STATE_HOME": str(base / "state"), "XDG_RUNTIME_DIR": str(base / "run")})


def test_what_is_empty_goes_with_the_last_one(home: Home) -> None:
    made = folders(home.base).make()
    (made.run.parent / "ports").mkdir()
    (made.run.parent / "left" / "by another").mkdir(parents=True)
    assert all(
        stat.S_IMODE(each.stat().st_mode) == 0o700 for each in (made.root, made.state, made.run, made.processes)
    )
    made.leave()
    assert list((home.base / "run").iterdir()) == []
    assert list((home.base / "state").iterdir()) == []


def test_what_is_kept_stays(home: Home) -> None:
    made = folders(home.base).make()
    (made.services / "STORE").mkdir()
    (made.services / "STORE" / "a").touch()
    (made.state / "lock").touch()
    made.leave()
    assert {path.name for path in made.state.rglob("*")} == {"lock", "services", "STORE", "a"}


def test_an_empty_store_is_kept(home: Home) -> None:
    made = folders(home.base).make()
    (made.services / "STORE").mkdir()
    made.leave()
    assert (made.services / "STORE").is_dir()


def test_nothing_goes_while_another_is_there(home: Home) -> None:
    script = (
        "import sys; from pathlib import Path; from fungible.runtime.ground.folders import folders_for\n"
        "base = sys.argv[1]\n"
        "made = folders_for('blog-00000000', {'XDG_STATE_HOME': base + '/state', 'XDG_RUNTIME_DIR': base + '/run'})\n"
        "made.make(); print('in', flush=True); sys.stdin.readline(); made.leave()\n"
    )
    made = folders(home.base).make()
    with subprocess.Popen(
        [sys.executable, "-c", script, str(home.base)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        made.leave()
        assert made.run.is_dir() and made.processes.is_dir()
        other.communicate("\n")
    assert list((home.base / "run").iterdir()) == []


def test_one_who_comes_when_another_goes_has_folders(home: Home) -> None:
    """Four at a time, coming and going."""
    script = (
        "import sys; from fungible.runtime.ground.folders import folders_for\n"
        "base, name = sys.argv[1:]\n"
        "for _ in range(100):\n"
        "    made = folders_for(name, {'XDG_STATE_HOME': base + '/state', 'XDG_RUNTIME_DIR': base + '/run'}).make()\n"
        "    (made.run / 'note').touch(); (made.processes / 'mine').mkdir(exist_ok=True)\n"
        "    (made.run / 'note').unlink(missing_ok=True); (made.processes / 'mine').rmdir()\n"
        "    made.leave()\n"
    )
    them = [
        subprocess.Popen([sys.executable, "-c", script, str(home.base), f"a-{number:08x}"], stderr=subprocess.PIPE)
        for number in range(4)
    ]
    assert [each.communicate(timeout=60)[1] for each in them] == [b""] * 4
    assert list((home.base / "run").iterdir()) == []


def test_a_one_off_and_a_formation_leave_no_empty_folder(home: Home) -> None:
    assert home.run("run", "--", "true").returncode == 0
    assert list((home.base / "run").iterdir()) == []
    assert list((home.base / "state").iterdir()) == []
    home.write({"Procfile": WEB})
    with home.start() as formation:
        assert home.run("run", "--", "true").returncode == 0
        assert formation.get().status_code == 200
        assert formation.stop() == 0
    assert list((home.base / "run").iterdir()) == []
