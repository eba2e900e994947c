"""Releases on disk: builds that are shared, what is kept, what is abandoned."""

from __future__ import annotations

from pathlib import Path

from fungible.build.releases import KEPT, Sealed, Sealing, abandon, derive, list_releases
from fungible.build.seal import fingerprint, read_tree


def sealed(app: Path, folder: Path, text: str, in_use: tuple[int, ...] = ()) -> Sealed:
    (app / "text").write_text(text)
    sealing = Sealing(folder, read_tree(app).bound)
    sealing.take(app)
    sealing.declare({"Procfile": b"web: x\n"})
    return sealing.finish({}, text, reason="code", in_use=in_use)


def make(tmp_path: Path) -> tuple[Path, Path]:
    app, folder = tmp_path / "app", tmp_path / "releases"
    app.mkdir()
    folder.mkdir()
    return app, folder


def test_a_change_of_config_vars_shares_the_build(tmp_path: Path) -> None:
    app, folder = make(tmp_path)
    first = sealed(app, folder, "one")
    second = derive(folder, first, {"A": "1"}, reason="config set A")
    assert (second.name, second.build, second.content, second.config) == ("v2", 1, first.content, {"A": "1"})
    assert (second.declared / "Procfile").read_bytes() == b"web: x\n"
    assert (second.declared / "Procfile").stat().st_mode & 0o777 == 0o600
    assert not (folder / "v2" / "app").exists()
    assert list_releases(folder) == (first, second)


def test_what_a_kept_release_or_a_running_one_needs_is_kept(tmp_path: Path) -> None:
    app, folder = make(tmp_path)
    first = sealed(app, folder, "one")
    second = sealed(app, folder, "two")
    for number in range(KEPT + 3):
        derive(folder, second, {"N": str(number)}, reason="config set N", in_use=(1,))
    names = [release.name for release in list_releases(folder)]
    assert names == ["v1", "v2", *(f"v{number}" for number in range(6, 11))]
    sealed(app, folder, "three")
    assert first.name not in [release.name for release in list_releases(folder)]
    assert second.content.exists()


def test_an_abandoned_release_says_why(tmp_path: Path) -> None:
    app, folder = make(tmp_path)
    sealed(app, folder, "one")
    abandon(folder, 1, "web.1 did not become ready")
    assert [release.abandoned for release in list_releases(folder)] == ["web.1 did not become ready"]
    abandon(folder, 9, "there is no such release")


def test_a_fingerprint_follows_files_but_not_caches(tmp_path: Path) -> None:
    app, _ = make(tmp_path)
    (app / "a.py").write_text("1")
    first = fingerprint(app)
    (app / "__pycache__").mkdir()
    (app / "__pycache__" / "a.pyc").write_text("")
    assert fingerprint(app) == first
    (app / "b.py").write_text("")
    assert fingerprint(app) != first
