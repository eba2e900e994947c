"""`fungible build`: what it makes is named by its content, found again, written out; releases take it over."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import shutil
import stat
import sys
import threading
from pathlib import Path

import httpx
import pytest

from fungible.build.byte_code import compile_byte_code
from fungible.build.digests import contents_of
from fungible.build.store import KEPT, Record, Store, read_record
from tests.build.apps import FLASK_WITH_KIT
from tests.build.test_front_ends import a_home, build, content, home
from tests.runtime.harness import PATIENCE, WEB, Home

__all__ = ["home"]

MAKES = 'build = ["echo made > made.txt", "echo again"]\n'


def test_a_second_build_of_the_same_tree_runs_nothing(home: Home) -> None:
    home.write({"Procfile": "worker: true\n", "fungible.toml": MAKES, "a.py": "A = {'x', 'y'}\n"})
    first = build(home)
    for path in home.app.rglob("*"):
        os.utime(path, (1, 1))
    done = home.run("build", "--json")
    second = json.loads(done.stdout)
    assert (first["reused"], second["reused"], second["digest"]) == (False, True, first["digest"])
    assert done.stderr == ""
    with a_home() as elsewhere:
        shutil.rmtree(elsewhere.app)
        shutil.copytree(home.app, elsewhere.app)
        other = build(elsewhere)
        assert (other["reused"], other["digest"]) == (False, first["digest"]), "byte-identical on another path"
        elsewhere.environment["XDG_STATE_HOME"] = str(home.base / "state")
        assert build(elsewhere)["reused"], "and found there, too"
    home.write({"a.py": "A = 1\n"})
    assert not build(home)["reused"]


def test_a_build_that_names_its_own_folder_is_for_that_folder_alone(home: Home) -> None:
    home.write({"Procfile": "worker: true\n", "fungible.toml": 'build = ["pwd > where.txt"]\n'})
    first = build(home)
    assert build(home)["reused"]
    with a_home() as elsewhere:
        shutil.rmtree(elsewhere.app)
        shutil.copytree(home.app, elsewhere.app)
        elsewhere.environment["XDG_STATE_HOME"] = str(home.base / "state")
        second = build(elsewhere)
        assert not second["reused"]
        assert (content(home, second) / "where.txt").read_text().strip() in (str(elsewhere.app), second["digest"])
    assert first["digest"] != second["digest"]


def test_what_went_in_is_written_down_and_byte_code_is_compiled(home: Home) -> None:
    home.write({"Procfile": "worker: true\n", "fungible.toml": MAKES, "a.py": "A = 1\n", "wrong.py": "A = (\n"})
    done = build(home)
    folder = content(home, done)
    record = read_record(folder.parent / "build.json")
    assert record.commands == ("echo made > made.txt", "echo again")
    assert set(record.inputs) == {"Procfile", "a.py", "fungible.toml", "wrong.py"}
    assert {"made.txt", "a.py"} < set(record.files)
    assert record.tools["python"].startswith("Python 3")
    assert contents_of(folder).digest == record.digest == folder.parent.name
    (byte_code,) = (folder / "__pycache__").glob("a.*.pyc")
    assert byte_code.read_bytes()[4:8] == b"\1\0\0\0", "by digest, not by time, and taken as it is (PEP 552)"


def test_byte_code_of_files_that_are_the_same_is_taken_over(tmp_path: Path) -> None:
    """What is taken over shows by a mark at its end, which no compiler makes."""
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.defpath}"}
    files = {"same.py": "A = 1\n", "shop/same.py": "B = 1\n", "other.py": "C = 1\n", "foreign.py": "D = 1\n"}
    for made in ("first", "second"):
        for name, text in files.items():
            path = tmp_path / made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    first, second = tmp_path / "first", tmp_path / "second"
    asyncio.run(compile_byte_code(first, sorted(files), environment))
    compiled = {name: code.read_bytes() for name in files for code in [byte_code_of(first / name)]}
    for name in files:
        with byte_code_of(first / name).open("ab") as code:
            code.write(b"mark")
    code = byte_code_of(first / "foreign.py")
    code.write_bytes(b"\0\0\r\n" + code.read_bytes()[4:])  # of another interpreter
    (second / "other.py").write_text("C = 2\n")
    (second / "new.py").write_text("E = 1\n")
    (second / "same.py").chmod(0o444)
    asyncio.run(compile_byte_code(second, [*sorted(files), "new.py"], environment, first))
    for name in ("same.py", "shop/same.py"):
        assert byte_code_of(second / name).read_bytes() == compiled[name] + b"mark"
    assert not byte_code_of(second / "other.py").read_bytes().endswith(b"mark")
    assert byte_code_of(second / "foreign.py").read_bytes() == compiled["foreign.py"]
    assert byte_code_of(second / "new.py").exists()


def byte_code_of(source: Path) -> Path:
    return Path(importlib.util.cache_from_source(str(source)))


def test_out_is_a_read_only_tree_that_keeps_what_was_there_before(home: Home) -> None:
    home.write(FLASK_WITH_KIT)
    out = home.app / "out"
    done = build(home, "--out", "out", "--no-boot")
    assert done["out"] == str(out)
    assert not [
        path for path in out.rglob("*") if stat.S_IMODE(path.lstat().st_mode) & 0o222 and not path.is_symlink()
    ]
    assert read_record(out / ".fungible/build.json").digest == done["digest"]
    before = json.loads((out / ".fungible/assets/manifest.json").read_text())["names"]["site.css"]
    assert build(home, "--no-boot")["reused"], "what was written out is no part of the app"
    home.write({"static/site.css": "p { color: red }"})
    build(home, "--out", "out", "--no-boot")
    assert (out / ".fungible/assets/files" / before).is_file()
    assert before in json.loads((out / ".fungible/assets/previous.json").read_text())["files"]
    assert sorted(path.name for path in home.app.iterdir() if "out" in path.name) == ["out"]


@pytest.mark.parametrize(
    ("out", "said"),
    [(".", "the app's own folder"), ("static", "no build of Fungible's"), ("no/where", "make it first")],
)
def test_out_does_not_touch_what_is_not_its_own(home: Home, out: str, said: str) -> None:
    home.write(FLASK_WITH_KIT)
    done = home.run("build", "--out", out)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert (home.app / "static/site.css").exists()


@pytest.mark.parametrize("level", ["copy", "readonly", "scratch", "none"])
def test_where_nothing_can_be_mounted_the_build_is_written_and_the_apps_folder_is_not(home: Home, level: str) -> None:
    settings = 'build = ["echo x > static/made.txt"]\n[assets]\nroots = ["static"]\n'
    home.write({**FLASK_WITH_KIT, "fungible.toml": settings})
    done = build(home, "--isolation", level)
    assert (content(home, done) / "static/made.txt").read_text() == "x\n"
    assert not (home.app / "static/made.txt").exists()
    assert done["boot"]["assets"] == 2
    spoils = "import pathlib\nfor path in pathlib.Path('static').iterdir():\n    path.open('a').write('spoilt')\n"
    home.write({"app.py": f"try:\n    exec({spoils!r})\nexcept OSError:\n    pass\n{FLASK_WITH_KIT['app.py']}"})
    done = build(home, "--isolation", level)
    with home.start("--isolation", level) as formation:
        assert formation.get("/").status_code == 200
        assert formation.stop() == 0
    assert contents_of(content(home, done)).digest == done["digest"], "whatever processes do, a build stays"
    if level in ("copy", "readonly"):
        home.write({"fungible.toml": f'build = ["echo x > {home.app}/static/made.txt"]\n'})
        assert "Permission denied" in build(home, "--isolation", level, code=1)


def test_a_command_that_fails_leaves_nothing(home: Home) -> None:
    home.write({"Procfile": WEB, "fungible.toml": 'build = ["echo wrong; exit 5"]\n'})
    done = home.run("build")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("fungible: the build command `echo wrong; exit 5` ended with 5")
    assert "wrong" in done.stderr
    assert home.left == [] and not list(home.base.glob("state/fungible/builds/*"))


def test_start_takes_over_what_build_has_made_and_releases_tell_its_digest(home: Home) -> None:
    home.write(FLASK_WITH_KIT)
    done = build(home)
    with home.start() as formation:
        assert not formation.of("notice", text="assets: 2 files"), "it was there already"
        (release,) = json.loads(home.run("releases", "--json").stdout)["releases"]
        assert release["digest"] == done["digest"]
        assert done["digest"][:12] in home.run("releases").stdout
        assert formation.stop() == 0


def test_a_one_off_process_has_the_assets_of_what_has_been_built(home: Home) -> None:
    home.write(FLASK_WITH_KIT)
    assert home.run("run", "--", "true").returncode == 0
    command = ("run", "--", "python", "-c", "from fungible_kit import asset; print(asset('site.css'))")
    without = home.run(*command)
    assert without.returncode == 1 and "fungible build --out DIR" in without.stderr
    build(home, "--no-boot")
    assert re.fullmatch(r"/assets/site\.[0-9a-f]{16}\.css\n", home.run(*command).stdout)


def test_an_app_without_assets_that_compiles_at_run_time_is_told_and_starts(home: Home) -> None:
    server = Path(__file__).parents[1] / "runtime" / "server.py"
    home.write(
        {"Procfile": WEB, "server.py": server.read_text(), "v.py": "import subprocess\nsubprocess.run(['sass'])\n"}
    )
    with home.start() as formation:
        assert formation.get("/").status_code == 200
        assert "v.py:2: sass is run by a process" in formation.say()
        assert formation.stop() == 0


def test_a_roll_serves_the_assets_of_old_pages_and_of_new_ones_throughout(home: Home) -> None:
    home.write(FLASK_WITH_KIT)
    with home.start("web=2") as formation:

        def addresses() -> list[str]:
            return re.findall(r'(?:href|src)=["\'](/assets/[^"\']+)', formation.get("/").text)

        old = addresses()
        assert len(old) == 2
        wrong: list[str] = []
        over = threading.Event()

        def reader() -> None:
            """A browser with the old page, and one that has just loaded whichever is served."""
            with httpx.Client(base_url=formation.url, trust_env=False, timeout=PATIENCE) as client:
                while not over.is_set():
                    page = client.get("/").text
                    for path in {*old, *re.findall(r'(?:href|src)=["\'](/assets/[^"\']+)', page)}:
                        answer = client.get(path)
                        if answer.status_code != 200 or "immutable" not in answer.headers["cache-control"]:
                            wrong.append(f"{answer.status_code} {path}")

        thread = threading.Thread(target=reader)
        thread.start()
        try:
            home.write({"static/logo.svg": "<svg xmlns='http://www.w3.org/2000/svg'><g/></svg>"})
            assert home.run("release").stdout == "v2 serves\n"
        finally:
            over.set()
            thread.join()
        new = addresses()
        assert not {*old} & {*new}
        assert wrong == []
        assert [formation.get(path).status_code for path in (*old, *new)] == [200] * 4
        assert formation.get(old[0].replace("site", "sight")).headers["cache-control"] == "no-store"
        assert formation.stop() == 0


def record(number: int, bound_to: str | None = None) -> Record:
    return Record(f"{number:064x}", f"key{number}", "test", (), {}, {}, {}, {}, bound_to=bound_to)


def test_the_store_keeps_the_builds_that_were_used_last(tmp_path: Path) -> None:
    store = Store(tmp_path / "builds")
    for number in range(KEPT + 3):
        with store.draft() as draft:
            draft.mkdir()
            (draft / "a").write_text(str(number))
            store.add(draft, record(number))
        assert store.find("key0", tmp_path) is not None, "it was used, so it stays"
    names = [path.name for path in (tmp_path / "builds").iterdir()]
    assert len(names) == KEPT + 1 and "keys" in names
    assert store.find("key1", tmp_path) is None
    assert len(list((tmp_path / "builds/keys").iterdir())) == KEPT


def test_a_draft_goes_whatever_happens_and_left_overs_go_with_the_next(tmp_path: Path) -> None:
    store = Store(tmp_path / "builds")
    with pytest.raises(RuntimeError), store.draft() as draft:
        draft.mkdir()
        raise RuntimeError
    assert not list((tmp_path / "builds").iterdir())
    (tmp_path / "builds/draft-killed/app").mkdir(parents=True)
    with store.draft() as draft:
        assert not (tmp_path / "builds/draft-killed").exists()
        draft.mkdir()
        with store.draft():
            assert draft.exists(), "another's is not taken"
        store.add(draft, record(1, bound_to="/somewhere"))
    assert store.find("key1", tmp_path) is None
    found = store.find("key1", Path("/somewhere"))
    assert found is not None and found.digest == f"{1:064x}"
    (found.content.parent / "build.json").write_text("{")
    assert store.find("key1", Path("/somewhere")) is None
