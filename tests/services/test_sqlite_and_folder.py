"""Files and tables: what a dump shows, what a restore repairs, whatever an app left behind."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fungible.app.problem import Problem
from fungible.services import sqlite_file
from fungible.services.folder import FolderStore
from fungible.services.sqlite import SqliteStore
from fungible.services.store import Store

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12).filter(
    lambda name: not name.lower().startswith("sqlite_")
)
values = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(), st.binary(max_size=50)
)


def run(store: Store, *steps: Any) -> list[Any]:
    """The results of steps: functions are called, coroutines awaited, between start and stop."""

    async def scenario() -> list[Any]:
        await store.start()
        results = []
        for step in steps:
            result = step(results)
            results.append(await result if asyncio.iscoroutine(result) else result)
        await store.stop()
        return results

    return asyncio.run(scenario())


def sqlite(store: SqliteStore, *statements: str) -> None:
    with closing(sqlite3.connect(store.source / "db.sqlite3")) as database, database:
        for statement in statements:
            database.execute(statement)


tables = st.lists(
    st.tuples(names, st.lists(st.tuples(values, values), max_size=5)),
    max_size=3,
    unique_by=lambda table: table[0].lower(),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables, st.booleans())
def test_any_table_comes_back_and_is_json(
    tmp_path_factory: pytest.TempPathFactory, content: list[Any], wal: bool
) -> None:
    folder = tmp_path_factory.mktemp("any") / "DB"
    store = SqliteStore("DB", folder, durable=False)

    def fill(_: object) -> None:
        with closing(sqlite3.connect(folder / "db.sqlite3")) as database, database:
            database.execute(f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}")
            for table, rows in content:
                quoted = table.replace('"', '""')
                database.execute(f'CREATE TABLE "{quoted}" (a, "b c")')
                database.executemany(f'INSERT INTO "{quoted}" VALUES (?, ?)', rows)

    def spoil(_: object) -> None:
        with closing(sqlite3.connect(folder / "db.sqlite3")) as database, database:
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
                database.execute('DROP TABLE "' + table.replace('"', '""') + '"')
            database.execute("CREATE TABLE spoilt (x)")

    results = run(
        store,
        fill,
        lambda _: store.dump(),
        lambda _: store.snapshot(),
        spoil,
        lambda results: store.restore(results[2]),
        lambda _: store.dump(),
    )
    assert results[1] == results[5]
    json.dumps(results[1], allow_nan=False).encode()
    assert set(results[1]) == {f"table {name}" for name, _ in content}
    for table, rows in content:
        assert len(results[1][f"table {table}"]) == len(rows)


def test_text_and_blob_and_number_are_told_apart(tmp_path: Path) -> None:
    store = SqliteStore("DB", tmp_path / "DB")
    dump = run(
        store,
        lambda _: sqlite(
            store, "CREATE TABLE t (v)", "INSERT INTO t VALUES ('1'), (1), (x'31'), (CAST(x'ff' AS TEXT))"
        ),
        lambda _: store.dump(),
    )[1]
    assert [row["v"] for row in dump["table t"]] == ["1", 1, {"base64": "MQ=="}, {"base64": "/w=="}]


def test_rows_come_in_the_order_of_their_making_and_indexes_inside_stay_out(tmp_path: Path) -> None:
    store = SqliteStore("DB", tmp_path / "DB")
    statements = (
        "CREATE TABLE keyed (id TEXT PRIMARY KEY)",
        "INSERT INTO keyed VALUES ('z'), ('a')",
        "CREATE TABLE pairs (a, b, PRIMARY KEY (b, a)) WITHOUT ROWID",
        "INSERT INTO pairs VALUES (1, 2), (2, 1)",
        "CREATE TABLE hides (rowid TEXT, oid TEXT)",
        "INSERT INTO hides VALUES ('z', 'b'), ('a', 'c')",
        "CREATE VIRTUAL TABLE words USING fts5 (body)",
        "INSERT INTO words VALUES ('hello world')",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE computed (x, y AS (x + 1))",
        "INSERT INTO computed (x) VALUES (1)",
    )
    dump = run(store, lambda _: sqlite(store, *statements), lambda _: store.dump())[1]
    assert dump == {
        "table computed": [{"x": 1, "y": 2}],
        "table hides": [{"rowid": "z", "oid": "b"}, {"rowid": "a", "oid": "c"}],
        "table keyed": [{"id": "z"}, {"id": "a"}],
        "table pairs": [{"a": 2, "b": 1}, {"a": 1, "b": 2}],
        "table words": [{"body": "hello world"}],
    }


def test_a_library_without_the_list_of_tables_sees_the_same(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "db")) as database, database:
        database.execute("CREATE TABLE a (x)")
        database.execute("CREATE TABLE b (x PRIMARY KEY) WITHOUT ROWID")
        database.execute("CREATE VIRTUAL TABLE c USING fts5 (body)")
        assert sqlite_file._names_by_statement(database) == sqlite_file._names(database)


def test_a_write_in_the_log_of_a_killed_process_is_kept_and_put_back(tmp_path: Path) -> None:
    """A process killed in WAL mode leaves -wal and -shm behind: both belong to the content."""
    store = SqliteStore("DB", tmp_path / "DB")
    program = (
        "import sqlite3, sys, os, signal\n"
        "d = sqlite3.connect(sys.argv[1]); d.execute('PRAGMA journal_mode = WAL')\n"
        "d.execute('CREATE TABLE IF NOT EXISTS t (x)')\n"
        "d.execute('INSERT INTO t VALUES (?)', sys.argv[2:]); d.commit()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    def killed(word: str) -> None:
        subprocess.run(["python3", "-c", program, str(store.source / "db.sqlite3"), word], check=False)
        assert (store.source / "db.sqlite3-wal").exists()

    results = run(
        store,
        lambda _: killed("one"),
        lambda _: store.snapshot(),
        lambda _: killed("two"),
        lambda results: store.restore(results[1]),
        lambda _: store.dump(),
        lambda _: killed("three"),
        lambda results: store.restore(results[1]),
        lambda _: store.dump(),
    )
    assert results[4] == results[7] == {"table t": [{"x": "one"}]}


def test_a_locked_database_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = sqlite3.connect
    monkeypatch.setattr(
        sqlite_file.sqlite3, "connect", lambda *rest, **words: honest(*rest, **{**words, "timeout": 0.05})
    )
    store = SqliteStore("DB", tmp_path / "DB")
    asyncio.run(store.start())
    sqlite(store, "CREATE TABLE t (x INTEGER PRIMARY KEY AUTOINCREMENT)")
    with closing(honest(store.source / "db.sqlite3")) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        for step in (store.dump(), store.skew(1)):
            with pytest.raises(Problem, match="locked"):
                asyncio.run(step)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    store = FolderStore("STORE", tmp_path / "STORE")
    asyncio.run(store.start())
    return store


def test_what_a_folder_shows(folder: FolderStore) -> None:
    root = folder.source
    (root / "a.txt").write_text("order 7\n")
    (root / "b.bin").write_bytes(b"\x00\x01")
    (root / "big.txt").write_text("x" * 70_000)
    (root / "empty").mkdir()
    (root / "sub").mkdir()
    (root / "sub" / "link").symlink_to("../a.txt")
    os.mkfifo(root / "pipe")
    os.link(root / "a.txt", root / "sub" / "same")
    (root / "a.txt").chmod(0o640)
    with closing(sqlite3.connect(root / "sub" / "data.db")) as database, database:
        database.execute("CREATE TABLE t (x)")
    (root / os.fsdecode(b"bad\xff")).write_text("")
    dump = asyncio.run(folder.dump())
    assert dump["file a.txt"] == [{"mode": "0640", "text": "order 7\n"}]
    assert dump["file b.bin"][0]["size"] == 2 and len(dump["file b.bin"][0]["sha256"]) == 64
    assert dump["file big.txt"][0]["size"] == 70_000
    assert dump["file empty/"] == [{"mode": "0755"}]
    assert dump["file sub/link"] == [{"link": "../a.txt"}]
    assert dump["file sub/data.db: table t"] == []
    assert "file pipe" not in dump and "file sub" not in dump and "file bad\ufffd" in dump
    json.dumps(dump).encode()


def state(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content: Any = None
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        # The time of a link itself is nothing that an app can set or see by following it.
        changed = 0 if path.is_symlink() else status.st_mtime_ns
        found[str(path.relative_to(root))] = (stat.S_IMODE(status.st_mode), changed, content)
    return found


def test_restore_repairs_every_kind_of_change(folder: FolderStore) -> None:
    root = folder.source
    for name in ("same", "changed", "deleted", "becomes-folder", "becomes-link", "mode", "inside/deep"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(name)
        os.utime(root / name, (1_000_000_000, 1_000_000_000))
    (root / "link").symlink_to("same")
    (root / "gone").mkdir(mode=0o711)
    before = state(root)
    taken = asyncio.run(folder.snapshot())
    for _ in range(3):
        (root / "changed").write_text("CHANGED")  # the same size
        os.utime(root / "changed", (1_000_000_000, 1_000_000_000))  # and the same time
        (root / "deleted").unlink()
        (root / "becomes-folder").unlink()
        (root / "becomes-folder").mkdir()
        (root / "becomes-folder" / "x").write_text("x")
        (root / "becomes-link").unlink()
        (root / "becomes-link").symlink_to("/etc")
        (root / "mode").chmod(0o600)
        (root / "link").unlink()
        (root / "link").symlink_to("changed")
        (root / "gone").rmdir()
        (root / "new" / "deep").mkdir(parents=True)
        (root / "new" / "deep" / "file").write_text("new")
        (root / "new" / "deep").chmod(0o000)
        os.mkfifo(root / "pipe")
        (root / "inside").chmod(0o500)
        asyncio.run(folder.restore(taken))
        assert state(root) == before


def test_a_file_that_did_not_change_is_not_copied_again(folder: FolderStore) -> None:
    for name in ("a", "b"):
        (folder.source / name).write_text(name)
    taken = asyncio.run(folder.snapshot())
    asyncio.run(folder.restore(taken))
    inodes = {name: (folder.source / name).stat().st_ino for name in ("a", "b")}
    (folder.source / "b").write_text("x")
    asyncio.run(folder.restore(taken))
    assert (folder.source / "a").stat().st_ino == inodes["a"]
    assert (folder.source / "b").stat().st_ino != inodes["b"]
    assert (folder.source / "b").read_text() == "b"


def git(folder: Path, *words: str, date: str = "2020-01-01T00:00:00Z") -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_AUTHOR_DATE": date,
        "GIT_COMMITTER_DATE": date,
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.org",
    }
    subprocess.run(["git", "-C", str(folder), *words], env=environment, check=True, capture_output=True)


def test_a_repository_is_compared_by_what_it_commits(tmp_path: Path) -> None:
    dumps = []
    for number, date in enumerate(("2020-01-01T00:00:00Z", "2021-02-02T00:00:00Z")):
        store = FolderStore("STORE", tmp_path / str(number))
        asyncio.run(store.start())
        work = store.source / "wiki"
        work.mkdir()
        git(work, "init", "-b", "main")
        (work / "page.md").write_text("hello")
        git(work, "add", ".")
        git(work, "commit", "-m", "first page", date=date)
        subprocess.run(["git", "clone", "-q", "--bare", str(work), str(store.source / "bare.git")], check=True)
        dumps.append(asyncio.run(store.dump()))
    assert dumps[0] == dumps[1]  # though the commits differ by their dates
    assert dumps[0]["file wiki/page.md"][0]["text"] == "hello"
    assert [row["ref"] for row in dumps[0]["repository bare.git"]] == ["HEAD", "refs/heads/main"]
    assert dumps[0]["repository wiki/.git"][1]["subject"] == "first page"
    assert not any("objects" in key for key in dumps[0])
    git(tmp_path / "0" / "wiki", "commit", "--allow-empty", "-m", "second")
    assert asyncio.run(FolderStore("STORE", tmp_path / "0").dump()) != dumps[0]
