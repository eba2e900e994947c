"""Sealing: what of a folder goes into a release, and what a release on disk is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fungible.build.releases import KEPT, Sealing, list_releases
from fungible.build.seal import copy_tree, read_tree


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "shop" / "static").mkdir(parents=True)
    (folder / "shop" / "views.py").write_text("x = 1\n")
    (folder / "shop" / "static" / "a.css").write_text("")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("shop/views.py")
    (folder / "empty").mkdir()
    for left_out in (".git", "__pycache__", "shop/__pycache__", ".mypy_cache"):
        (folder / left_out).mkdir()
        (folder / left_out / "x").write_text("")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "pyvenv.cfg").write_text("")
    (folder / "node_modules" / "left-pad").mkdir(parents=True)
    os.mkfifo(folder / "pipe")
    return folder


def test_code_is_copied_environments_are_bound_and_caches_are_left_out(app: Path, tmp_path: Path) -> None:
    tree = read_tree(app)
    assert set(tree.files) == {"link", "run.sh", "shop/static/a.css", "shop/views.py"}
    assert set(tree.folders) == {"empty", "shop", "shop/static"}
    assert set(tree.bound) == {".venv", "node_modules"}
    copy_tree(tree, tmp_path / "copy")
    assert (tmp_path / "copy" / "link").readlink() == Path("shop/views.py")
    assert (tmp_path / "copy" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert list((tmp_path / "copy" / ".venv").iterdir()) == []
    before, after = (app / "shop" / "views.py").stat(), (tmp_path / "copy" / "shop" / "views.py").stat()
    assert before.st_mtime_ns == after.st_mtime_ns


def test_the_digest_follows_what_would_run(app: Path) -> None:
    first = read_tree(app).digest
    assert read_tree(app).digest == first
    (app / "__pycache__" / "y").write_text("")
    assert read_tree(app).digest == first
    (app / "run.sh").chmod(0o644)
    second = read_tree(app).digest
    assert second != first
    os.utime(app / "shop" / "views.py", ns=(0, 0))
    assert read_tree(app).digest != second


def test_what_git_ignores_is_left_out_and_named(app: Path) -> None:
    (app / ".git" / "x").unlink()
    (app / ".git").rmdir()
    subprocess.run(["git", "init", "-q", str(app)], check=True)
    (app / ".gitignore").write_text("*.db\n.venv\nnode_modules\n")
    (app / "shop.db").write_text("data")
    tree = read_tree(app)
    assert "shop.db" not in tree.files
    assert "shop/views.py" in tree.files
    assert tree.ignored == ("shop.db",)
    assert set(tree.bound) == {".venv", "node_modules"}


def test_a_repository_within_the_apps_is_sealed_too(app: Path) -> None:
    (app / ".git" / "x").unlink()
    (app / ".git").rmdir()
    (app / "vendored").mkdir()
    for folder in (app, app / "vendored"):
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (app / "vendored" / "part.py").write_text("x = 1\n")
    (app / "vendored" / ".gitignore").write_text("*.db\n")
    (app / "vendored" / "part.db").write_text("data")
    tree = read_tree(app)
    assert "vendored/part.py" in tree.files
    assert tree.ignored == ("vendored/part.db",)


def test_folders_can_be_left_out(app: Path, tmp_path: Path) -> None:
    (app / "state" / "fungible").mkdir(parents=True)
    (app / "state" / "fungible" / "x").write_text("")
    assert "state/fungible/x" in read_tree(app).files
    assert "state/fungible/x" not in read_tree(app, without=(app / "state" / "fungible",)).files


def test_a_file_that_went_meanwhile_is_passed_over(app: Path, tmp_path: Path) -> None:
    tree = read_tree(app)
    (app / "run.sh").unlink()
    copy_tree(tree, tmp_path / "copy")
    assert not (tmp_path / "copy" / "run.sh").exists()
    assert (tmp_path / "copy" / "shop" / "views.py").exists()


def test_a_release_is_seen_when_it_is_complete_and_only_the_last_are_kept(app: Path, tmp_path: Path) -> None:
    folder = tmp_path / "releases"
    folder.mkdir()
    tree = read_tree(app)
    copy_tree(tree, tmp_path / "build")
    sealing = Sealing(folder, tree.bound)
    sealing.take(tmp_path / "build")
    assert list_releases(folder) == ()
    first = sealing.finish({"KEY": "value"}, "digest")
    assert list_releases(folder) == (first,)
    assert (first.name, first.config, first.digest) == ("v1", {"KEY": "value"}, "digest")
    assert (first.content.parent / "release.json").stat().st_mode & 0o777 == 0o600
    abandoned = Sealing(folder, tree.bound)
    abandoned.take(tmp_path / "build")
    abandoned.abandon()
    assert not abandoned.content.exists()
    for _ in range(KEPT + 2):
        sealing = Sealing(folder, tree.bound)
        sealing.take(tmp_path / "build")
        last = sealing.finish({}, "digest")
    kept = list_releases(folder)
    assert len(kept) == KEPT
    assert kept[-1] == last
    assert [release.number for release in kept] == sorted(release.number for release in kept)


@pytest.mark.parametrize("damage", ["", "[]", '{"config": {}}', "\x00"])
def test_a_damaged_record_is_no_release(tmp_path: Path, damage: str) -> None:
    (tmp_path / "v1" / "app").mkdir(parents=True)
    (tmp_path / "v1" / "release.json").write_text(damage)
    assert list_releases(tmp_path) == ()
